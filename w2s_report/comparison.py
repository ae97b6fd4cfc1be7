r"""What decides: every model beside its rivals, on the same labels left out.

Teacher, student, baseline and ceiling are fitted with the heads of `w2s_report.heads`, or their
predictions are taken as they were given. Beside them stand the best constant, and a student of the
teacher's answers in random order, which can know no more than a constant: where it does, something
leaks.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from threadpoolctl import ThreadpoolController

from w2s_report import heads
from w2s_utils.geometry import Range
from w2s_utils.similarity import similarity

LEVEL = 0.95
Z = float(special.ndtri((1 + LEVEL) / 2))  # half-width over a standard error
OTHERS = {"student": "{}", "teacher": "{} itself", "baseline": "{} on the labels"}
ROLES = ("constant", "teacher", "student", "weighted", "baseline", "ceiling", "shuffled")
RIVALS = ("constant", "baseline", "teacher")
MOST_ROWS = 4000  # labels, pseudo-labels and test rows of a split, each
CONTROLS = 4  # splits with a student of shuffled answers
STRONG = "strong"  # a student without a name of its own
ROUNDING = 1e-9  # of the constant's error: differences below are none
BLAS = ThreadpoolController()  # libraries are looked for once: it takes as long as a split
FEWEST, MOST_DRAWN = 60, 800_000  # rows of which thirds are drawn, rows in all of them
SUSPECT = 1e-3  # of predictions that look in sample


@dataclass(frozen=True)
class Design:
    """How rows are split."""

    n: int
    """Labels of a split,"""
    N: int
    """pseudo-labels,"""
    test: int
    """and labels tested on."""
    ceiling: bool
    """Whether the rows with pseudo-labels have labels too, so that a ceiling can be fitted."""

    @classmethod
    def of(cls, labelled: int, free: int) -> Self:
        """Split a number of labelled rows, beside which so many have none.

        With at least half as many rows without label as with one, 60 % of the labels are given
        and the rest test; otherwise 25 % are given, 50 % hidden and 25 % test.
        """
        if free >= labelled / 2:
            n = round(0.6 * labelled)
            return cls(n, min(free, MOST_ROWS), labelled - n, False)
        n, N = round(0.25 * labelled), round(0.5 * labelled)
        return cls(n, N, labelled - n - N, True)


@dataclass(frozen=True)
class Comparison:
    """One teacher and its student beside what can be had without them.

    Errors are means over labels left out; intervals are at 95 % and allow for splits that share
    rows. By metric: "squared error", or "log-loss" (in nats) and "error rate" (1 less accuracy).
    """

    teacher: str
    given: tuple[str, ...]
    """Models whose predictions were given; the others were fitted."""
    n: int
    N: int
    test_rows: int
    splits: int
    """Labels, pseudo-labels and test rows of a split; one split where nothing was fitted to
    labels."""
    decides: str
    """Metric of the verdict: the first, or the error rate where only classes were given."""
    errors: Mapping[str, Mapping[str, Range]]
    """By metric, of "constant", "teacher", "student", "baseline", "ceiling" (where its labels are
    there), and in some splits of students of "shuffled" and of "weighted" pseudo-labels."""
    better: Mapping[str, Mapping[str, Mapping[str, Range]]]
    """By metric, model ("student" or "teacher") and rival: the rival's error less the model's."""
    pgr: Mapping[str, Range]
    """By metric, where teacher and ceiling are demonstrably apart."""
    opr: Mapping[str, Range]
    """By metric: the baseline's error over the student's."""
    misfit: Range
    """Mean square of student less teacher, or mean KL(student || teacher) in nats."""
    in_sample: float | None = None
    """Probability that given answers of the teacher are as unlike on rows with and without a label
    by chance; small where it was trained on these labels. None where that cannot be tested."""
    weighted: Range | None = None
    """Student's error less that of one whose pseudo-labels count by the teacher's confidence, its
    largest probability; of classes."""
    others: Mapping[str, Range] = field(default_factory=dict)
    """Error of every other student, by name, of every other teacher ("small itself") and of other
    strong models ("large on the labels"), less that of this student, on the same inputs."""
    halves: tuple[float, float] = (np.nan, np.nan)
    """Student's error over a random half of the test rows, and over the other."""
    student: str = STRONG
    similarity: Mapping[str, Range] = field(default_factory=dict)
    """Of teacher and student, for classes: "CAPA" and "error consistency"."""
    tails: Mapping[str, float] = field(default_factory=dict)
    """Extreme value index of each model's squared errors; from 1/2 on they have no variance."""

    @property
    def name(self) -> str:
        """Of the pair: the teacher's, where there is one student."""
        return Match(self.teacher, self.student).name


class Match(NamedTuple):
    """A teacher and its student."""

    teacher: str
    student: str

    @property
    def name(self) -> str:
        """The teacher's, where the student has none of its own."""
        return self.teacher + (f" → {self.student}" if self.student != STRONG else "")

    def key(self, role: str) -> tuple[str, str]:
        """A role, and the name under which this match finds what fills it."""
        student = {"baseline": self.student, "ceiling": self.student}
        return role, {"constant": "", "teacher": self.teacher, **student}.get(role, self.name)


@dataclass(frozen=True, eq=False)
class Contest:
    """What is compared: self-contained, so that splits can be sent to other processes."""

    matches: tuple[Match, ...]
    head: heads.Kind
    targets: NDArray[np.float64]
    """Shape (labelled, k): numbers, or one class a column."""
    features: Mapping[str, NDArray[np.float64]]
    """By model, shape (rows, d): white directions without the constant, labelled rows first."""
    variances: Mapping[str, NDArray[np.float64]]
    """By model, shape (d,), as shares of the largest."""
    given: Mapping[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)
    """Predictions by `Match.key`, shape (rows, k), NaN where there are none."""
    hard: bool = False
    """Whether some predictions are classes without probabilities."""

    @property
    def classes(self) -> bool:
        """Whether targets are classes."""
        return self.head == "logistic"

    @property
    def apart(self) -> NDArray[np.bool_]:
        """Labelled rows without some prediction: learnt from, never tested on."""
        none = np.zeros(len(self.targets), bool)
        missing = [np.isnan(v[: len(none)]).any(axis=1) for v in self.given.values()]
        return np.logical_or.reduce([none, *missing])

    @property
    def fixed(self) -> bool:
        """Whether nothing is fitted to labels that would be tested on: one split says all."""
        needed = [match.key(role) for match in self.matches for role in ("teacher", "baseline")]
        fits = {role for role, name in needed if (role, name) not in self.given}
        return not fits or (fits == {"baseline"} and bool(self.apart.sum() >= 20))

    def fit(self, model: str, rows: NDArray, targets: Sequence[NDArray]) -> heads.Predict:
        """Fit a model's heads to targets of some rows; returns what predicts other rows."""
        phi = self.features[model]
        predict = heads.fit(self.head, phi[rows], self.variances[model], targets)
        return lambda others: predict(phi[others])


def run(tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Call functions, each with its arguments, in threads (most is BLAS); yield in their order."""
    parallel = joblib.Parallel(prefer="threads", return_as="generator")
    yield from parallel(joblib.delayed(one)(*given) for one, *given in tasks)


def compare(
    contest: Contest, design: Design, trials: int, seed: int, run: Callable = run
) -> tuple[Comparison, ...]:
    """Compare all teachers and students on the same splits, as many as ``trials`` if they matter.

    The design's shares of the labelled rows are learnt from, and have their labels hidden and are
    given pseudo-labels; none hidden means that pseudo-labels are for the rows without label. The
    same seed gives the same bits, whoever does the work: ``run`` takes the splits as `run` does.
    """
    generators = np.random.default_rng(seed).spawn(1 if contest.fixed else trials)
    tasks = enumerate(generators)
    splits = list(run([(one_split, contest, design, g, i < CONTROLS) for i, g in tasks]))
    return tuple(_comparison(contest, match, splits, seed) for match in contest.matches)


def one_split(
    contest: Contest, design: Design, rng: np.random.Generator, control: bool
) -> dict[str, Any]:
    """Losses of every model on the rows that one split tests on, and the sizes."""
    with BLAS.limit(limits=1, user_api="blas"):
        given, pseudo, tested = _parts(contest, design, rng)
        truth, goal = contest.targets[given], contest.targets[tested]
        # Of classes that a sample lacks a constant is not certain.
        prior = float(contest.classes)
        middle = (truth.sum(axis=0) + prior / truth.shape[1]) / (len(truth) + prior)
        said = {who: values[tested] for who, values in contest.given.items()}
        said["constant", ""] = np.broadcast_to(middle, goal.shape)
        teachers, students = map(dict.fromkeys, zip(*contest.matches, strict=True))
        for role, name in itertools.product(("baseline", "ceiling"), students):
            rows = given if role == "baseline" else np.concatenate([given, pseudo])
            known = name in contest.features and rows.max() < len(contest.targets)
            if known and (role, name) not in said:
                [said[role, name]] = contest.fit(name, rows, [contest.targets[rows]])(tested)
        answers: dict[str, NDArray] = {}
        lessons: dict[str, dict[tuple[str, str], NDArray]] = {name: {} for name in students}
        for name in teachers:
            if ("teacher", name) in said:
                answers[name] = contest.given["teacher", name][pseudo]
            else:
                fitted = contest.fit(name, given, [truth])
                [answers[name]], [said["teacher", name]] = fitted(pseudo), fitted(tested)
        for match in contest.matches:
            if match.key("student") not in said:
                taught = lessons[match.student]
                taught[match.key("student")] = answers[match.teacher]
                if control:
                    taught[match.key("shuffled")] = rng.permutation(answers[match.teacher])
                if control and contest.classes:
                    sure = answers[match.teacher].max(axis=1, keepdims=True)
                    taught[match.key("weighted")] = answers[match.teacher] * sure / sure.mean()
        for name, taught in lessons.items():
            if taught:
                fitted = contest.fit(name, pseudo, list(taught.values()))
                said |= zip(taught, fitted(tested), strict=True)
        measures = {}
        for match in contest.matches:
            both = said[match.key("student")], said[match.key("teacher")]
            measures[match] = {"misfit": misfit(contest, *both)}
            if contest.classes:
                measures[match] |= similarity(*both, goal)
        return {
            "losses": {key: _losses(contest, values, goal) for key, values in said.items()},
            "measures": measures,
            "tested": tested,
            "given": len(given),
            "pseudo": len(pseudo),
        }


def _parts(
    contest: Contest, design: Design, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Rows that are learnt from, that get pseudo-labels, and that are tested on."""
    apart, whole = np.flatnonzero(contest.apart), np.flatnonzero(~contest.apart)
    order = rng.permutation(whole)
    rows = max((len(v) for v in (*contest.features.values(), *contest.given.values())), default=0)
    free = np.arange(len(contest.targets), rows)
    for (role, _), values in contest.given.items():
        if role == "teacher":
            free = free[np.isfinite(values[free]).all(axis=1)]
    size = design.n + design.test + design.N * design.ceiling
    n = 0 if contest.fixed else round(design.n / size * len(order))
    N = round(design.N * design.ceiling / size * len(order)) if contest.features else 0
    given = np.concatenate([apart, order[:n]]) if n or len(apart) else order
    pseudo = order[n : n + N] if N else free
    return given[:MOST_ROWS], pseudo[:MOST_ROWS], order[n + N :][:MOST_ROWS]


def _losses(contest: Contest, values: NDArray, goal: NDArray) -> dict[str, NDArray]:
    if not contest.classes:
        return {"squared error": np.sum((values - goal) ** 2, axis=1)}
    wrong = values.argmax(axis=1) != goal.argmax(axis=1)
    logs = -np.sum(goal * np.log(heads.inside(values)), axis=1)
    return {"log-loss": logs, "error rate": wrong.astype(float)}


def misfit(contest: Contest, student: NDArray, teacher: NDArray) -> NDArray:
    """Squared difference of answers on each row, or KL(student || teacher) of classes."""
    each = (student - teacher) ** 2
    if contest.classes:
        each = special.rel_entr(heads.inside(student), heads.inside(teacher))
    return np.asarray(each.sum(axis=1))


def _comparison(contest: Contest, match: Match, splits: list[Any], seed: int) -> Comparison:
    first, labelled = splits[0], len(contest.targets)
    # Splits share labels, or pairs of them: squared errors are quadratic in noise, others linear.
    part = first["given"] / labelled if len(splits) > 1 else 0.0
    linear, shared = (p / (1 - p) for p in (part, part if contest.classes else part**2))

    def of(losses: Sequence[NDArray | None]) -> NDArray:
        values = np.full((len(splits), labelled), np.nan)
        for row, split, found in zip(values, splits, losses, strict=True):
            if found is not None:
                row[split["tested"]] = found
        return values

    interval = functools.partial(_interval, shared=shared)

    def ratio(numerator: NDArray, denominator: NDArray) -> Range:
        # To the first order in what rows and splits change.
        below = np.nanmean(denominator)
        value = np.nanmean(np.where(np.isnan(denominator), np.nan, numerator)) / below
        apart = interval((numerator - value * denominator) / below, skew=False)
        return around(value, (apart.high - apart.low) / 2)

    def losses(who: tuple[str, str], metric: str) -> NDArray:
        return of([s["losses"].get(who, {}).get(metric) for s in splits])

    present = {role: key for role in ROLES if (key := match.key(role)) in first["losses"]}
    tables: dict[str, dict[str, NDArray]] = {}
    errors: dict[str, dict[str, Range]] = {}
    better: dict[str, dict[str, dict[str, Range]]] = {}
    pgr, opr = {}, {}
    for metric in first["losses"]["constant", ""]:
        found = tables[metric] = {role: losses(key, metric) for role, key in present.items()}
        least = ROUNDING * float(np.nanmean(found["constant"]))
        told = functools.partial(interval, least=least)
        means = {role: told(v) for role, v in found.items()}
        errors[metric] = {role: nonnegative(v) for role, v in means.items()}
        better[metric] = against(found, lambda one, other: told(one - other))  # noqa: B023
        if "baseline" in found and means["student"].low > least:
            opr[metric] = ratio(found["baseline"], found["student"])
        if "ceiling" in found:
            gap = found["teacher"] - found["ceiling"]
            if resolved(told(gap)):
                pgr[metric] = ratio(found["teacher"] - found["student"], gap)
    decides = list(errors)[-1 if contest.hard else 0]
    student, weighted = tables[decides]["student"], tables[decides].get("weighted")
    seen = [s["measures"][match] for s in splits]
    measures = {key: of([one.get(key) for one in seen]) for key in seen[0]}
    by_row = np.nanmean(student[:, np.isfinite(student).any(axis=0)], axis=0)
    half = np.random.default_rng(seed).permutation(len(by_row)) < len(by_row) / 2
    return Comparison(
        teacher=match.teacher,
        student=match.student,
        in_sample=_in_sample(contest, match, seed),
        given=tuple(role for role, name in contest.given if match.key(role) == (role, name)),
        n=first["given"],
        N=first["pseudo"],
        test_rows=len(first["tested"]),
        splits=len(splits),
        decides=decides,
        errors=errors,
        better=better,
        pgr=pgr,
        opr=opr,
        misfit=nonnegative(_interval(measures.pop("misfit"), least, shared=linear, skew=False)),
        weighted=None if weighted is None else told(student - weighted),
        others={
            OTHERS[role].format(name): told(losses((role, name), decides) - student)
            for role, name in first["losses"]
            if role in OTHERS and match.key(role) != (role, name)
        },
        halves=(float(by_row[half].mean()), float(by_row[~half].mean())),
        similarity={key: interval(values) for key, values in measures.items()},
        tails={k: _extreme_value_index(v) for k, v in tables.get("squared error", {}).items()},
    )


def _interval(values: NDArray, least: float = 0.0, *, shared: float, skew: bool = True) -> Range:
    """Mean over splits and rows, shape (splits, labelled), NaN where a row is not tested on.

    Rows are drawn, and so is what a split learns from. The squared error of the mean is what each
    row's sum over the splits tells, and that of the splits, as far as they differ by more than
    their rows explain (two-way clusters: Cameron, Gelbach and Miller 2011). The latter is not
    averaged away where splits share what they learn from: ``shared`` is its covariance between two
    splits over the variance between splits. A row teaches where it does not test: if rows that are
    hard to answer also teach badly, that adds -2 Cov(split's own effect, mean effect of its rows).
    If they teach well, a row's two effects cancel in part, and are added before they are squared;
    of that only what passes a one-sided test at `LEVEL` counts (Breiman's garrote, 1995).
    """
    values = values[np.isfinite(values).any(axis=1)]
    there, splits, mean = np.isfinite(values), len(values), np.nanmean(values)
    total, size, tests = there.sum(), there.sum(axis=1), there.sum(axis=0)
    apart = np.where(there, values - mean, 0.0)
    by_row, by_split, each = (np.sum(v**2) / total**2 for v in (apart.sum(0), apart.sum(1), apart))
    # A split's rows are drawn without replacement: they explain less by what all rows vary.
    variance = by_row + max(by_split - each + (by_row - each) / splits, 0) * (1 + shared * splits)
    if splits > 2:
        row = np.where(there, apart.sum(axis=0) / np.maximum(tests, 1), 0.0)
        own = (apart - row) * (tests / np.maximum(tests - 1, 1))  # beside the other splits
        (own_2, both), (_, row_2) = np.cov(own.sum(1) / size, row.sum(1) / size)
        if both > 0:
            chance = stats.t.ppf(LEVEL, splits - 2) ** 2 / (splits - 2)
            both *= max(1 - chance * (own_2 / both * row_2 / both - 1), 0)
            variance += both**2 / by_row
        variance -= 2 * both
    rows = apart.sum(axis=0)[tests > 0]
    error = np.sqrt(variance) + least
    usual = stats.t.ppf((1 + LEVEL) / 2, len(rows) - 1)
    below, above = error * np.maximum(usual, _thirds(rows) if skew else np.zeros(2))
    return Range(float(mean), float(mean - below), float(mean + above))


def _thirds(rows: NDArray) -> NDArray[np.float64]:
    """How many standard errors below and above its mean the expectation of rows may be.

    As far as means of a third of the rows, drawn at random, lie above and below that of all, in
    units of their own standard errors (subsampling: Politis, Romano and Wolf 1999). Of skew rows
    that is further on one side, and it says something even of rows that have no variance.
    """
    if len(rows) < FEWEST:
        return np.zeros(2)
    drawn = rows[_drawn(len(rows))]
    size = drawn.shape[1]
    error = np.sqrt(np.maximum(drawn.var(axis=1) / (size - 1) * (1 - size / len(rows)), 1e-300))
    ends = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    low, high = np.quantile(drawn.mean(axis=1) / error, ends)
    return np.array([high, -low]) * np.divide(*stats.t.ppf(ends[1], [len(rows) - 1, size - 1]))


@functools.lru_cache(4)
def _drawn(rows: int) -> NDArray[np.int64]:
    """Random thirds of the rows, one a line, about 400."""
    count, size = int(np.clip(MOST_DRAWN // rows, 10, 133)), rows // 3
    orders = np.random.default_rng(0).permuted(np.tile(np.arange(rows), (count, 1)), axis=1)
    return orders[:, : 3 * size].reshape(-1, size)


def _extreme_value_index(losses: NDArray) -> float:
    """Moment estimate of Dekkers, Einmahl and de Haan (1989); minus infinity where rows are few."""
    rows = np.sort(np.nanmean(losses[:, np.isfinite(losses).any(axis=0)], axis=0))[::-1]
    most = min(len(rows) // 5, int(3 * np.sqrt(len(rows))))  # as Vehtari et al. (2024) take
    if most < 20 or not 0 < rows[most] < rows[0]:
        return -np.inf
    excess = np.log(rows[:most] / rows[most])
    return float(excess.mean() + (1 - excess.mean() ** 2 / max(excess.var(), ROUNDING)) / 2)


def against(
    models: Mapping[str, Any], less: Callable[[Any, Any], Range]
) -> dict[str, dict[str, Range]]:
    """Of student and teacher, each rival's error less their own."""
    return {
        model: {r: less(models[r], models[model]) for r in RIVALS if r in models and r != model}
        for model in ("student", "teacher")
    }


def around(value: float, reach: float) -> Range:
    """The interval of a half-width around a value."""
    return Range(float(value), float(value - reach), float(value + reach))


def resolved(gap: Range) -> bool:
    """Whether a gap is three standard errors: a ratio to a smaller one says little."""
    return gap.value > 1.5 * (gap.value - gap.low)


def nonnegative(found: Range) -> Range:
    """The interval of a mean of squares, which varies as its size: of its logarithm, or further."""
    value, reach = found.value, (found.value - found.low) / max(found.value, 1e-300)
    if reach > 2:  # hardly the order of magnitude is known
        return Range(value, max(found.low, 0.0), found.high)
    high = max(found.high, float(value * np.exp(reach)))
    return Range(value, float(value * np.exp(-reach)), high)


def _in_sample(contest: Contest, match: Match, seed: int) -> float | None:
    """Compare a teacher's given answers on rows with and without a label.

    Rows are alike, unless the teacher learnt the labels: then its answers there spread like labels
    (are surer, for classes) and are further from those of a student of its other answers.
    """
    says = contest.given.get(match.key("teacher"))
    if says is None:
        return None
    there = np.isfinite(says).all(axis=1)
    rows = np.flatnonzero(there)
    labelled, free = rows[rows < len(contest.targets)], rows[rows >= len(contest.targets)]
    if not contest.classes and np.allclose(says[labelled], contest.targets[labelled]):
        return 0.0  # the labels themselves
    if len(labelled) < 20 or len(free) < 40:
        return None
    sure = says.max(axis=1) if contest.classes else np.abs(says[:, 0] - np.median(says[rows]))
    found = [stats.mannwhitneyu(sure[labelled], sure[free]).pvalue]
    if match.student in contest.features:
        taught, other = np.array_split(np.random.default_rng(seed).permutation(free), 2)
        taught = taught[:MOST_ROWS]
        student = contest.fit(match.student, taught, [says[taught]])
        far = [_losses(contest, student(rows)[0], says[rows]) for rows in (labelled, other)]
        metric = next(iter(far[0]))
        found.append(stats.mannwhitneyu(far[0][metric], far[1][metric]).pvalue)
    return float(min(1.0, len(found) * min(found)))

r"""French reviews: many weak models and one strong one, for predicting stars.

Reviews of books and films are for *pretraining*: every representation is made from them alone.
Reviews of music are the *task*: no representation, not even a vocabulary, has seen one of them.

The strong model is a hand-made multi-task representation. Ridge regressions on words and on
sequences of four characters learn three questions (how many stars; more than three; one or five)
from books, from films and from both, eighteen heads in all; their answers, thirty leading
directions of the words and a constant are its features. The weak models are leading directions and
small networks pretrained on a few of the reviews. A richer representation that was never taught
the question, some hundred directions of the words, is kept as a strong model that is not strong.

Texts are used to count words and characters and are never shown.

`split_ladder` teaches all weak models over random splits. Reviews are drawn without replacement
from one pool, so splits share reviews: their spread is the error of the split, not that of the
pool. A jackknife gives the latter. It leaves out one review at a time, in whatever part each split
has put it; for linear heads what this changes is known in closed form, so no head is fitted again,
and there are as many groups as reviews.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier

from w2s_experiments.data import datasets
from w2s_utils import protocol, validation
from w2s_utils.ladder import LEAST_LABELS, Predictions
from w2s_utils.problem import Problem, standardise, with_constant
from w2s_utils.protocol import Inputs, Result
from w2s_utils.theory.subspaces import column_space

TASK = "music"
PRETRAINING = ("books", "dvd")
# Of 1, 3 and 10 the best from books to films.
PENALTY = 1.0
WORD_DIRECTIONS = 30
LEAST_DIRECTIONS = 80
QUESTIONS = {
    "stars": lambda stars: stars,
    "more than three": lambda stars: stars > 3,
    "one or five": lambda stars: (stars == 1) | (stars == 5),
}
# Weak models: leading directions by view, and networks by view, its directions and their widths.
DIRECTIONS = {"words": (10, 20, 40, 80), "characters": (10, 20, 40)}
NETWORKS = {"words": 20, "characters": 50}
WIDTHS = (4, 8, 16, 32)


@dataclass(frozen=True, eq=False)
class _View:
    """TF-IDF of one kind of feature, for pretraining and task, and their leading directions."""

    apart: sparse.csr_matrix
    pool: sparse.csr_matrix
    directions: NDArray[np.float64]

    def leading(self, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates along the first directions: of the pretraining and of the task's reviews."""
        kept = self.directions[:count].T
        return self.apart @ kept, self.pool @ kept


def problem(
    rng: np.random.Generator,
    *,
    pretraining: int,
    weak_pretraining: int,
    reviews: int,
    directions: int,
    versions: int = 2,
) -> Problem:
    """Stars of reviews of music, as a ladder of weak models and two strong ones see them.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses reviews and the networks' first weights.
    pretraining : int
        Reviews of books and films that the strong models are pretrained on; at least 200.
    weak_pretraining : int
        Of these, the reviews that weak networks are pretrained on; at least 100.
    reviews : int
        Reviews of music.
    directions : int
        Of the words, for the strong model that is not strong; at least 80.
    versions : int
        Weak networks of each kind and width, which differ in their first weights; at least 1.
        There are seven weak models without a network.

    Returns
    -------
    Problem
        The target is the number of stars, standardised; its noise is its own, none is added.
        Teachers by name. Students: ``"pretrained"``, 49 features, and ``"plain"``, the leading
        directions of the words.

    Raises
    ------
    DataError
        If the data set is not at hand or damaged.
    ValueError
        If more reviews are asked for than there are, or too few.
    """
    validation.at_least(pretraining, max(200, directions + 1), "pretraining", "reviews to learn on")
    validation.at_least(weak_pretraining, 100, "weak_pretraining", "reviews to learn on")
    validation.at_least(directions, LEAST_DIRECTIONS, "directions", "the widest weak model's")
    validation.at_least(versions, 1, "versions", "networks of each kind")
    if weak_pretraining > pretraining:
        raise ValueError(
            f"weak_pretraining: expected at most pretraining = {pretraining}, "
            f"got {weak_pretraining}"
        )
    data = datasets.without_repeats(datasets.load("webis_cls_fr"))
    domain, stars = data.extras["domain"], data.targets.astype(float)
    apart = _draw(np.isin(domain, PRETRAINING), pretraining, "pretraining", rng)
    pool = _draw(domain == TASK, reviews, "reviews", rng)
    views = {
        "words": _view(data.inputs, apart, pool, directions, rng, min_df=3),
        "characters": _view(
            data.inputs, apart, pool, max(NETWORKS["characters"], *DIRECTIONS["characters"]), rng,
            analyzer="char_wb", ngram_range=(4, 4), max_features=20000,
        ),
    }  # fmt: skip
    taught = apart[:weak_pretraining]
    return Problem(
        name="French reviews",
        targets=standardise(stars[pool]),
        noise=0.0,
        teachers=_plain(views) | _networks(views, stars[taught].astype(int), versions, rng),
        students={
            "pretrained": _pretrained(views, stars[apart], domain[apart]),
            "plain": with_constant(views["words"].leading(directions - 1)[1]),
        },
    )


def _draw(chosen: NDArray, count: int, name: str, rng: np.random.Generator) -> NDArray[np.intp]:
    rows = np.flatnonzero(chosen)
    if not 1 <= count <= len(rows):
        raise ValueError(
            f"{name}: expected at most {len(rows)}, the reviews there are, got {count}"
        )
    return rng.permutation(rows)[:count]


def _view(
    texts: NDArray,
    apart: NDArray,
    pool: NDArray,
    directions: int,
    rng: np.random.Generator,
    **options: object,
) -> _View:
    vectorizer = TfidfVectorizer(sublinear_tf=True, **options)
    features = vectorizer.fit_transform(texts[apart])
    seed = int(rng.integers(2**31))
    found = TruncatedSVD(directions, n_iter=3, random_state=seed).fit(features)
    return _View(features, vectorizer.transform(texts[pool]), found.components_)


def _pretrained(
    views: dict[str, _View], stars: NDArray, domain: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Answers of the eighteen heads, thirty directions of the words, a constant."""
    domains: Sequence[tuple[str, ...]] = (*((name,) for name in PRETRAINING), PRETRAINING)
    questions = np.column_stack([ask(stars).astype(float) for ask in QUESTIONS.values()])
    answers = []
    for view in views.values():
        for names in domains:
            rows = np.isin(domain, names)
            head = Ridge(PENALTY, solver="sparse_cg").fit(view.apart[rows], questions[rows])
            answers.append(head.predict(view.pool))
    return with_constant(np.hstack([*answers, views["words"].leading(WORD_DIRECTIONS)[1]]))


def _plain(views: dict[str, _View]) -> dict[int | str, NDArray[np.float64]]:
    return {
        f"{name} {count}": with_constant(views[name].leading(count)[1])
        for name, counts in DIRECTIONS.items()
        for count in counts
    }


def _networks(
    views: dict[str, _View], stars: NDArray[np.int_], versions: int, rng: np.random.Generator
) -> dict[int | str, NDArray[np.float64]]:
    """Hidden units of networks taught the stars of the first reviews, and a constant."""
    found: dict[int | str, NDArray[np.float64]] = {}
    for name, count in NETWORKS.items():
        apart, pool = views[name].leading(count)
        scale = apart.std(axis=0)
        for width in WIDTHS:
            for version in range(versions):
                network = MLPClassifier(
                    width, activation="tanh", solver="lbfgs", alpha=1.0, tol=1e-2, max_iter=2000,
                    random_state=int(rng.integers(2**31)),
                )  # fmt: skip
                network.fit(apart[: len(stars)] / scale, stars)
                # A saturated unit differs on a handful of reviews only, and a head that has seen
                # none of them goes wild: every unit gets its input standardised.
                into = apart / scale @ network.coefs_[0]
                hidden = np.tanh(
                    (pool / scale @ network.coefs_[0] - into.mean(axis=0)) / into.std(axis=0)
                )
                found[f"{name}, network of {width}, {version + 1}"] = with_constant(hidden)
    return found


def split_ladder(
    problem: Problem,
    student: str,
    *,
    n: int,
    N: int,
    known: int,
    trials: int,
    rng: np.random.Generator,
) -> tuple[Result, NDArray[np.float64]]:
    """Split at random, teach every weak model, train every student.

    Parameters
    ----------
    problem : Problem
        With one target. Its noise is added to all labels but those of the test inputs.
    student : str
        Key of ``problem.students``.
    n, N, known : int
        Labelled inputs, unlabelled ones, and labelled ones to validate on; the rest are test
        inputs.
    trials : int
        Splits, at least 2.
    rng : numpy.random.Generator
        One generator a split is spawned from it.

    Returns
    -------
    result : Result
        One row a split and one column a weak model, with the students' own terms and the errors on
        validation labels.
    left_out : ndarray, shape (m, 2, weak models)
        What leaving out one input of the pool adds to the mean misfit and the mean gain, to the
        first order in the change of the heads; for `w2s_utils.resampling.jackknife_error` of a
        smooth statistic of these means. The parts are drawn at random, so that error, splits held
        fixed, is the whole error over the inputs.

    Raises
    ------
    ValueError
        If no test inputs are left, or there are fewer than 1.5 labels for a weak feature or fewer
        pseudo-labels than strong features.
    """
    m, strong = len(problem.targets), problem.students[student]
    target = validation.targets(problem.targets, "problem.targets")
    if target.reshape(m, -1).shape[1] != 1:
        raise ValueError(f"problem: expected one target, got shape {target.shape}")
    validation.at_least(trials, 2, "trials", "for a standard error")
    widest = max(features.shape[1] for features in problem.teachers.values())
    validation.at_least(n, int(np.ceil(LEAST_LABELS * widest)), "n", f"labels, {widest} features")
    validation.at_least(N, strong.shape[1] + 2, "N", "pseudo-labels, strong features and two")
    validation.at_least(known, 1, "known", "labels to validate on")
    validation.at_least(m, n + N + known + 2, "inputs", "n + N + known and two to test on")
    # Heads predict the same on any basis; normal equations are accurate on an orthonormal one.
    bases = [column_space(phi, f"teacher {name}") for name, phi in problem.teachers.items()]
    bases.append(column_space(strong, f"student {student}"))
    *weak, strong = map(np.ascontiguousarray, bases)  # every split copies rows
    everything = Inputs(tuple(weak), strong, target.ravel())
    left_out = np.zeros((m, 2, len(weak)))

    def one(generator: np.random.Generator) -> dict[str, Any]:
        order = generator.permutation(m)
        noise = problem.noise * generator.standard_normal(m)
        rows = np.split(order, np.cumsum([n, N, known]))
        parts = [everything.rows(part, noise[part]) for part in rows]
        # Validation knows the observed labels only.
        parts[2] = replace(parts[2], target=None)
        labelled, own, valid, test = parts
        on_own, on_test, on_valid, on_labelled = protocol.teach(
            labelled, own, test, valid, labelled, own=True
        )
        changes = _leaving_one_out((labelled, own, test), (on_labelled, on_own, on_test))
        for part, change in zip((rows[0], rows[1], rows[3]), changes, strict=True):
            left_out[part] += change / trials
        return {
            **on_test.errors(),
            "own": on_own.own_terms(),
            "known": on_valid.errors(),
        }

    return Result.of(protocol.map_trials(one, trials, rng)), left_out


def _leaving_one_out(
    inputs: tuple[Inputs, Inputs, Inputs], said: tuple[Predictions, Predictions, Predictions]
) -> tuple[NDArray, NDArray, NDArray]:
    """Change of misfit and gain without one input of each part, shape (rows, 2, weak models)."""
    (labelled, own, test), (on_labelled, on_own, on_test) = inputs, said
    if on_own.student is None or on_test.student is None:
        raise ValueError("said: expected the students' predictions too, got the teachers' only")
    scores, T = on_test.scores(), len(test.labels)
    tested = np.stack([scores.misfit, scores.gain], axis=1)
    # Derivatives of misfit and gain in the predictions of teacher and student, (T, 2, t).
    truth, off = test.target[:, None], on_test.student - on_test.teacher
    by_teacher = 2 / T * np.stack([-off, on_test.teacher - truth], axis=1)
    by_student = 2 / T * np.stack([off, truth - on_test.student], axis=1)
    moved = np.tensordot(test.strong, by_student, (0, 0))
    learnt_from, leverage = _row_weights(own.strong, moved.reshape(len(moved), -1))
    learnt_from = learnt_from.reshape(len(learnt_from), *moved.shape[1:])
    away = on_own.teacher - on_own.student
    of_labelled = np.empty((len(labelled.labels), *moved.shape[1:]))
    for index, phi in enumerate(labelled.weak):
        moved = test.weak[index].T @ by_teacher[..., index]
        moved = moved + own.weak[index].T @ learnt_from[..., index]
        weights, lever = _row_weights(phi, moved)
        residual = labelled.labels - on_labelled.teacher[:, index]
        of_labelled[..., index] = weights * (residual / (lever - 1))[:, None]
    of_own = learnt_from * (away / (leverage - 1)[:, None])[:, None]
    return of_labelled, of_own, (tested.mean(axis=0) - tested) / (T - 1)


def _row_weights(phi: NDArray, direction: NDArray) -> tuple[NDArray, NDArray]:
    r"""Weight of each target in :math:`g^\top\hat\beta`, one column a direction; leverages.

    Without row `r` the coefficients change by
    :math:`-(\Phi^\top\Phi)^{-1}\phi_r e_r / (1 - h_r)`, with residual and leverage of the row.
    """
    root = linalg.cholesky(phi.T @ phi, lower=True)
    half, moved = (linalg.solve_triangular(root, x, lower=True) for x in (phi.T, direction))
    return half.T @ moved, np.sum(half**2, axis=0)

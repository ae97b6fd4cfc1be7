"""The parts of a report in words and tables, as HTML that the book and the page both show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from w2s_report.card import ReportCard
from w2s_report.schema import MIME, validate
from w2s_report.teachers import MODELS, Teacher
from w2s_utils.geometry import Range

DECISIONS = {
    "use": "Use weak supervision.",
    "use the teacher itself": "Use the teacher itself: it beats its student, and the labels alone.",
    "do not use": "Do not use weak supervision: fit the strong model on your labels.",
    "not enough evidence": "Not enough evidence either way.",
}
_NAMES = {
    "teacher": "teacher",
    "student": "student",
    "baseline": "strong model on the labels (baseline)",
    "ceiling": "strong model on all labels (ceiling)",
    "misfit": "misfit",
    "gain": "gain: teacher less student",
    "advantage": "advantage: baseline less student",
    "pgr": "PGR",
    "opr": "OPR",
}


def show(*parts: str) -> None:
    """Display HTML in a notebook."""
    from IPython.display import HTML, display

    display(HTML("\n".join(part for part in parts if part)))


def attach(card: ReportCard) -> None:
    """Put the report into the executed notebook, where the command finds it.

    Raises
    ------
    ValueError
        If it is not valid under the schema.
    """
    from IPython.display import display

    report = card.to_dict()
    validate(report)
    text = "The whole report travels in this cell, for programs: report.json holds the same."
    display({MIME: report, "text/plain": text, "text/html": f"<p>{text}</p>"}, raw=True)


def verdict(card: ReportCard) -> str:
    """The decision, its reasons, and what would change it."""
    found = card.verdict
    return "\n".join([
        f'<div class="w2s-verdict"><p><strong>{DECISIONS[found.decision]}</strong></p>',
        _items(found.reasons),
        "<p>What would change it:</p>",
        _items(found.would_change),
        "</div>",
    ])  # fmt: skip


def data(card: ReportCard) -> str:
    """Rows, labels, and what is odd about the features."""
    d = card.data
    kind = {
        "regression": "numbers (regression)",
        "binary": "two classes",
        "multiclass": f"{len(d.classes)} classes",
    }[d.task]
    said = "as given" if d.task_decided == "given" else "as they look; --task says otherwise"
    lines = [
        f"<p>{d.rows} inputs, {d.labelled} with a label and {d.unlabelled} without. Labels are "
        f"{kind}, {said}."
    ]
    if d.label_mean is not None:
        lines.append(
            f"Their mean is {_f(d.label_mean)}, their standard deviation {_f(d.label_sd)}."
        )
    else:
        shown = list(d.classes.items())[:20]
        listed = ", ".join(f"{escape(k)} {v}" for k, v in shown)
        more = "" if len(shown) == len(d.classes) else ", and more"
        lines.append(f"Labels of each class: {listed}{more}.")
    if d.labelled_used < d.labelled:
        lines.append(
            f"{d.labelled_used} labelled inputs, drawn at random, are used as such; the others "
            "count as unlabelled."
        )
    if d.repeated:
        lines.append(
            f"<strong>{d.repeated} inputs repeat an earlier one</strong> (equal strong features): "
            "where one copy is tested on and another learnt from, errors look too small."
        )
    else:
        lines.append("No input is repeated.")
    rows = [
        (
            r.name,
            "student" if r.role == "strong" else "teacher",
            r.columns,
            r.constant,
            r.rank,
            r.held["0.9"],
            r.held["0.99"],
            f"{r.participation:.1f}",
            f"{r.dimension} ({r.limited_by})",
        )
        for r in d.representations
    ]
    header = (
        "features", "of the", "columns", "constant", "rank", "90 %", "99 %", "participation",
        "dimension kept (limited by)",
    )  # fmt: skip
    warned = [f"{r.name}: {w}" for r in d.representations for w in r.warnings]
    return " ".join(lines) + "</p>" + _table(header, rows) + (_items(warned) if warned else "")


def overlaps(card: ReportCard) -> str:
    """Correlation dimension, null test and CKA of each teacher."""
    rows = [
        (
            t.name,
            t.d_w,
            t.d_s,
            _r(t.overlap.d_sw),
            f"{t.overlap.null_raw:.1f}",
            f"{t.overlap.null_mean:.1f} ± {t.overlap.null_sd:.1f}",
            f"{t.overlap.p_value:.2f}",
            f"{t.overlap.cka:.2f}",
        )
        for t in card.teachers
    ]
    tests = card.teachers[0].overlap
    note = (
        f"<p>The test permutes {tests.null_rows} inputs of one model {tests.permutations} times: "
        f"its smallest p is {1 / (1 + tests.permutations):.2f}. The two columns before p are the "
        "raw sums over these inputs, as they are and permuted.</p>"
    )
    header = (
        "teacher", "d_w", "d_s", "correlation dimension", "raw", "raw if unrelated", "p", "CKA"
    )  # fmt: skip
    return _table(header, rows) + note


def estimates(card: ReportCard) -> str:
    """What the labels say about approximation and noise, and what they cannot say."""
    rows = [
        (
            t.name,
            _r(t.estimates["rho_w"]),
            _r(t.cross_validated["weak"]),
            _r(t.estimates["rho_s"]),
            _r(t.cross_validated["strong"]),
            _r(t.estimates["b"]),
            _r(t.estimates["kappa"]),
        )
        for t in card.teachers
    ]
    header = (
        "teacher", "ρ_w + σ²", "teacher, cross-validated", "ρ_s + σ²", "student's model, cross-v.",
        "b", "κ",
    )  # fmt: skip
    noise = card.noise
    if noise.source == "not identified":
        told = (
            "<strong>The label noise σ² is not identified</strong>: without inputs that were "
            "labelled more than once, or a noise level given with --noise, noise and what no "
            f"feature expresses are one number. It is at most {_r(noise.at_most)}. Errors, gains "
            "and PGR do not need it; the OPR here compares errors with the noise in them, and is "
            "nearer to 1 than that of excess errors."
        )
    else:
        variance = _f(noise.variance.value)
        told = f"The label noise σ² is {variance} ({noise.source})."
        if noise.source == "repeated rows":
            told += f" Interval {_f(noise.variance.low)} to {_f(noise.variance.high)}."
        excess = [t for t in card.teachers if t.excess is not None]
        if excess:
            told += " In excess of it, with all labels and pseudo-labels, OPR is predicted to be "
            told += ", ".join(f"{_r(t.excess.predicted['opr'])} ({t.name})" for t in excess) + "."
    return _table(header, rows) + f"<p>{told}</p>"


def reference(card: ReportCard) -> str:
    """Predicted beside measured at the largest sizes measured, and their ratio."""
    blocks = []
    for t in card.teachers:
        cell = t.reference
        rows = []
        for name, label in _NAMES.items():
            seen = cell.measured.get(name)
            ratio = ""
            if seen is not None and name in MODELS:
                ratio = f"{seen.value / cell.predicted[name].value:.2f}"
            if name == "pgr" and not _resolved(cell.predicted["gap"]):
                rows.append((label, "gap not resolved", "", ""))
                continue
            value = "not measurable" if seen is None else _r(seen)
            rows.append((label, _r(cell.predicted[name]), value, ratio))
        header = (f"{t.name}, n = {cell.n}, N = {cell.N}", "predicted", "measured", "ratio")
        blocks.append(_table(header, rows))
    return "\n".join(blocks)


def agreement(card: ReportCard) -> str:
    """Say how far prediction and measurement agree, from the numbers."""
    ratios, apart, count = [], [], 0
    for t in card.teachers:
        for cell in t.cells:
            for name in MODELS:
                if name in cell.measured:
                    count += 1
                    seen, told = cell.measured[name], cell.predicted[name]
                    ratios.append(seen.value / told.value)
                    reach = np.hypot(seen.high - seen.low, told.high - told.low) / 2
                    if abs(seen.value - told.value) > reach:
                        apart.append(f"{name} of {t.name} at n = {cell.n}, N = {cell.N}")
    low, middle, high = np.quantile(ratios, [0.05, 0.5, 0.95])
    text = (
        f"<p>Over {count} measured errors the ratio measured / predicted has median {middle:.2f}, "
        f"and nine in ten lie from {low:.2f} to {high:.2f}. "
    )
    if apart:
        text += (
            f"{len(apart)} of {count} differ by more than their intervals together: "
            f"{escape('; '.join(apart[:4]))}{' and more' if len(apart) > 4 else ''}."
        )
    else:
        text += "None differs by more than the intervals together."
    if not card.ceiling_measured:
        text += (
            " The ceiling is predicted only: to measure it, the inputs with pseudo-labels would "
            "need labels."
        )
    return text + "</p>"


def misfit(card: ReportCard) -> str:
    """Gain from the misfit alone, beside the gain measured with labels."""
    rows = [
        (
            t.name,
            _r(t.misfit_only.misfit),
            f"{t.misfit_only.factor:.3f}",
            _r(t.misfit_only.predicted),
            _r(t.misfit_only.measured),
        )
        for t in card.teachers
    ]
    header = ("teacher", "misfit", "factor", "gain predicted from it", "gain measured")
    return _table(header, rows)


def rankings(card: ReportCard) -> str:
    """The order of the teachers by each rule, and the regret of each."""
    rows = [
        (
            r.rule,
            ", ".join(f"{name} ({_f(s)})" for name, s in zip(r.order, r.scores, strict=True)),
            _f(r.regret),
        )
        for r in card.rankings
    ]
    return _table(("rule", "order (score)", "regret"), rows)


def logistic(card: ReportCard) -> str:
    """Log-loss, accuracy and KL misfit of logistic heads."""
    if not card.probabilities:
        return "<p>The labels are numbers, so there is nothing to classify.</p>"
    blocks = []
    for name, p in card.probabilities.items():
        rows = [
            (_NAMES[m], _r(p.squared[m]), _r(p.log_loss[m]), _r(p.accuracy[m]))
            for m in MODELS
            if m in p.squared
        ]
        header = (
            f"{name}, n = {p.n}, N = {p.N}", "squared error of probabilities", "log-loss",
            "accuracy",
        )  # fmt: skip
        blocks.append(_table(header, rows))
        blocks.append(
            f"<p>{escape(name)}: KL misfit {_r(p.kl_misfit)} nats, gain in log-loss "
            f"{_r(p.log_loss_gain)} nats.</p>"
        )
    return "\n".join(blocks)


def provenance(card: ReportCard) -> str:
    """Inputs with their checksums, parameters, versions."""
    p = card.provenance
    rows = [
        (f["name"], f["file"], " × ".join(map(str, f["shape"])), f["dtype"], f["sha256"][:16])
        for f in p["files"]
    ]
    settings = ", ".join(f"{k} = {v}" for k, v in {**p["parameters"], **card.design}.items())
    versions = ", ".join(f"{k} {v}" for k, v in p["versions"].items())
    return (
        _table(("input", "file", "shape", "type", "SHA-256 begins"), rows)
        + f"<p>Parameters and sizes: {escape(settings)}.</p><p>Versions: {escape(versions)}.</p>"
    )


def _resolved(gap: Range) -> bool:
    return gap.low > 0


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(str(row[0]))}</th>'
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        '<div style="overflow-x: auto" tabindex="0"><table class="table"><thead><tr>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _items(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(s)}</li>" for s in sentences) + "</ul>"


def _r(value: Range) -> str:
    high = _f(value.high) if np.isfinite(value.high) else "∞"
    return f"{_f(value.value)} ({_f(value.low)} to {high})"


def _f(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def describe(teachers: Sequence[Teacher], name: str) -> str:
    """For captions: a measured quantity of each teacher, at the reference."""
    return "; ".join(f"{t.name} {_r(t.reference.measured[name])}" for t in teachers)

"""What a student is compared with: rows, splits in common, and the sentence that sums them up."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_experiments import references
from w2s_utils import protocol, splits
from w2s_utils.problem import with_constant

SIZES = {"n": 60, "N": 200, "trials": 120, "seed": [1]}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    g = rng.standard_normal((800, 12))
    target = (g[:, 0] + g[:, 1] + 0.5 * g[:, 11]) / 1.5
    return with_constant(g[:, :6]), with_constant(g[:, [0, 1, 6, 7]]), target


@pytest.fixture(scope="module")
def found(data):
    weak, strong, target = data
    own = target + 0.3 * np.random.default_rng(1).standard_normal(800)
    return references.compare(weak, strong, target, **SIZES, noise=1.0, own=own)


def test_least_squares_rows_are_those_of_the_protocol(data, found):
    weak, strong, target = data
    draw = splits.random_splits(weak, strong, target, n=60, N=200, noise=1.0)
    result = protocol.repeat(draw, 120, np.random.default_rng([1]))
    for role in protocol.ROLES:
        np.testing.assert_allclose(found[role], getattr(result, role))
    assert references.pgr(found).value == pytest.approx(result.pgr().value)
    assert references.opr(found).value == pytest.approx(result.opr().value)


def test_without_a_teacher_s_knowledge_the_student_knows_nothing(found):
    np.testing.assert_allclose(found["constant teacher"], found["constant"], atol=1e-9)
    assert found["shuffled"].mean() > found["constant"].mean() - 0.15
    assert found["student"].mean() < 0.7 < found["shuffled"].mean()
    assert references.shuffling_control(found).verdict == "refuted"


def test_no_share_is_told_of_a_gap_that_is_not_there():
    rng = np.random.default_rng(2)
    ceiling = 0.5 + 0.01 * rng.standard_normal(40)
    teacher = np.column_stack([ceiling + 0.4, ceiling + 0.05 * rng.standard_normal(40)])
    student = teacher - [0.1, 0.1]
    run = protocol.Result(teacher, student, ceiling, ceiling, misfit=student)
    there, absent = references.recovered(run)
    assert there.value == pytest.approx(0.25)
    assert np.isnan(absent.value)
    assert references.text(there, 2) == "0.25 ± 0.00"
    assert references.text(absent) == "–"


def test_own_head_is_what_was_given(found):
    assert found["own head"].mean() == pytest.approx(0.09, rel=0.1)
    rescaled = found["own head, rescaled"] - found["own head"]
    # Two coefficients from 60 labels of noise 1 cost about 2 / 60.
    assert 0.01 < rescaled.mean() < 0.08


def test_several_targets_are_averaged(data):
    weak, strong, target = data
    other = target[::-1].copy()
    both = references.compare(weak, strong, np.column_stack([target, other]), **SIZES)
    single = [references.compare(weak, strong, one, **SIZES) for one in (target, other)]
    for name in ("teacher", "student, ridge", "constant"):
        np.testing.assert_allclose(both[name], np.mean([one[name] for one in single], axis=0))


def test_answers_have_the_unit_of_the_target():
    np.testing.assert_allclose(references.answers([0.0, 0.25, 1.0], [-0.5, 2.0, 2.0]),
                               [-0.5, 0.125, 2.0])  # fmt: skip


def test_table_and_verdict_say_what_was_found(found):
    table = references.table(found)
    assert f"{found['student'].mean():.3f} ± " in table
    assert len(table.splitlines()) == 2 + len(references.WORDS) + 2
    assert "**does not pay**" in references.verdict(found)
    assert "student's own head" in references.verdict(found)
    helped = {**found, "student": found["own head"] / 2}
    assert "**pays**" in references.verdict(helped)


def test_no_test_inputs_are_left(data):
    with pytest.raises(ValueError, match=r"n, N: expected .* n \+ N < 800"):
        references.compare(*data, **{**SIZES, "N": 740})

"""Students from teachers' predictions, their scores, and rules of choice on a ladder."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from w2s_utils import ladder
from w2s_utils.ladder import Predictions
from w2s_utils.least_squares import Ridge


def parts(seed=0, labels=(30,)):
    rng = np.random.default_rng(seed)
    shapes = [(rng.standard_normal((m, 3)), rng.standard_normal((m, 4))) for m in (30, 12)]
    return [
        Predictions(strong, teacher, rng.standard_normal((len(strong), *labels[1:])))
        for strong, teacher in shapes
    ]


@pytest.mark.parametrize("labels", [(30,), (30, 4)])
def test_students_are_least_squares_on_their_own_inputs(labels):
    own, test = parts(labels=labels)
    trained, tested = ladder.train_students(own, test)
    inverse = np.linalg.pinv(own.strong)
    assert_allclose(tested.student, test.strong @ inverse @ own.teacher)
    assert_allclose(trained.best, own.strong @ inverse @ own.labels)
    assert tested.best.shape == (12, *labels[1:])
    terms = trained.own_terms()
    assert_allclose(terms["gain"], terms["misfit"] + terms["cross"])
    assert_allclose(terms["misfit"], np.mean((own.teacher - trained.student) ** 2, axis=0))
    assert_allclose(terms["unreachable"], np.mean((own.labels - trained.best) ** 2, axis=0))


def test_gain_is_misfit_plus_cross_for_any_student():
    own, test = parts()
    _, tested = ladder.train_students(own, test, head=Ridge(20.0))
    scores = tested.scores()
    assert_allclose(scores.gain, scores.misfit + scores.cross)
    assert_allclose(scores.difference, scores.teacher - scores.misfit)
    for name, value in tested.errors().items():
        assert_allclose(value, getattr(scores, name).mean(axis=0))


def test_without_labels_only_the_misfit_is_known():
    own, test = parts()
    (trained,) = ladder.train_students(Predictions(own.strong, own.teacher))
    assert list(trained.own_terms()) == ["misfit"]
    with pytest.raises(ValueError, match="labels: these predictions have none"):
        trained.scores()
    with pytest.raises(ValueError, match="student: these predictions have none"):
        test.scores()
    with pytest.raises(ValueError, match=r"own\.teacher: expected 30 rows"):
        ladder.train_students(Predictions(own.strong, test.teacher))


def test_rules_choose_what_they_say():
    numbers = {
        "misfit": [0.0, 2.0, 0.5],
        "known_teacher": [3.0, 4.0, 2.8],
        "known_student": [5.0, 6.0, 4.0],
    }
    expected = {
        "teacher's error": 3.0,
        "error − misfit": 1.0,
        "student's error": 3.0,
        "at random": 4 / 3,
    }
    assert ladder.regrets([1, 2, 4], **numbers) == pytest.approx(expected)
    two = ladder.regrets(np.array([[1, 2, 4]] * 2), **{k: [v] * 2 for k, v in numbers.items()})
    for rule, value in expected.items():
        assert_allclose(two[rule], [value, value])

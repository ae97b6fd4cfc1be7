"""Rules of choice on a ladder."""

from __future__ import annotations

import numpy as np
import pytest

from w2s_utils import ladder


def test_rules_choose_what_they_say():
    numbers = {"misfit": [0.0, 2.0, 0.5], "known_teacher": [3.0, 4.0, 2.8]}
    numbers |= {"known_student": [5.0, 6.0, 4.0], "teacher": [3, 4, 3], "student": [1, 2, 4]}
    found = ladder.Ladder(
        **{name: np.array(values, dtype=float) for name, values in numbers.items()},
        correction=-1.0,
        ensemble={},
    )
    assert found.regrets() == {
        "teacher's error": 3.0,
        "error − misfit": 1.0,
        "error − corrected misfit": 0.0,
        "student's error": 3.0,
        "at random": pytest.approx(4 / 3),
    }

"""Summaries of measured pairs."""

from w2s_experiments import references


def test_the_foreign_teacher_has_the_smaller_overlap_and_the_larger_pgr(crossed_cells):
    by_teacher = [crossed_cells[t, "first", 60, 200] for t in ("near", "far")]
    assert references.rank_correlations(by_teacher) == (1.0, 1.0)

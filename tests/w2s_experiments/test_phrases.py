"""Sentences found again from phrases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_experiments import phrases

TEXTS = [
    "a good film",  # 0: inside 3
    "good film",  # 1: inside 3 and 5
    "film",  # 2: inside 3 and 5
    "this is a good film",  # 3: longest
    "a good",  # 4: inside 3 only
    "no good film",  # 5: longest
    "this is a good film",  # 6: equal to 3
    "good good",  # 7: inside none
]


def test_longest_phrases_and_what_lies_in_them():
    found = phrases.find_sentences(TEXTS)
    assert found.longest.tolist() == [3, 5, 7]
    assert found.within == ((0,), (0, 1), (0, 1), (0,), (0,), (1,), (0,), (2,))
    assert found.several.tolist() == [False, True, True, False, False, False, False, False]
    assert found.words.tolist() == [3, 2, 1, 5, 2, 3, 5, 2]


def test_groups_join_what_a_shared_phrase_joins():
    found = phrases.find_sentences(TEXTS)
    assert found.groups(np.array([0, 3, 5, 7])).tolist() == [0, 0, 1, 2]
    joined = found.groups(np.array([0, 1, 5, 7]))
    assert joined[0] == joined[1] == joined[2] != joined[3]


def test_only_in():
    found = phrases.find_sentences(TEXTS)
    first = np.array([True, False, False])
    assert found.only_in(first).tolist() == [True, False, False, True, True, False, True, False]
    neither = ~found.only_in(first) & ~found.only_in(~first)
    np.testing.assert_array_equal(neither, found.several)


def test_words_and_not_characters_are_compared():
    found = phrases.find_sentences(["art", "start here", "start"])
    assert found.longest.tolist() == [1, 0]


def _lies_in(part, whole):
    a, b = part.split(), whole.split()
    return any(b[i : i + len(a)] == a for i in range(len(b) - len(a) + 1))


@given(
    st.lists(
        st.text("abc ", min_size=1, max_size=12).filter(lambda text: text.split()),
        min_size=1,
        max_size=12,
    )
)
def test_containment_is_that_of_brute_force(texts):
    found = phrases.find_sentences(texts)
    for row, text in enumerate(texts):
        inside = tuple(
            position
            for position, longest in enumerate(found.longest)
            if _lies_in(text, texts[longest])
        )
        assert found.within[row] == inside
    # No two phrases of different groups lie in one longest phrase.
    rows = np.arange(len(texts))
    groups = found.groups(rows)
    for position in range(len(found.longest)):
        members = [groups[row] for row in rows if position in found.within[row]]
        assert len(set(members)) == 1


@pytest.mark.parametrize("texts", [[], ["a film", " "]])
def test_texts_without_words_are_refused(texts):
    with pytest.raises(ValueError, match="texts: expected phrases of at least one word"):
        phrases.find_sentences(texts)

"""Which phrases come from one sentence, when nobody says so.

The training part of SST-2 holds phrases of parse trees and not the sentences they come from. A
phrase lies in its sentence, word for word, so sentences can be found again: the longest phrases,
which lie in no other, stand for sentences, and every phrase belongs to those in which it lies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Sentences:
    """Phrases and the longest phrases in which they lie.

    Attributes
    ----------
    words : ndarray of int, shape (m,)
        Words of each phrase.
    longest : ndarray of int
        Phrases that lie in no other, the first of equal ones.
    within : tuple of tuple of int
        For each phrase the positions in ``longest`` of those in which it lies, at least one.
    """

    words: NDArray[np.int_]
    longest: NDArray[np.int_]
    within: tuple[tuple[int, ...], ...]

    @property
    def several(self) -> NDArray[np.bool_]:
        """Whether a phrase lies in more than one of the longest phrases."""
        return np.array([len(found) > 1 for found in self.within])

    def groups(self, phrases: NDArray[np.int_]) -> NDArray[np.int_]:
        """Group of each of some phrases: those that lie in one longest phrase share a group.

        A phrase in several longest phrases joins their groups, so that no two phrases of
        different groups lie in one longest phrase.

        Parameters
        ----------
        phrases : ndarray of int, shape (k,)

        Returns
        -------
        ndarray of int, shape (k,)
            From 0, without gaps.
        """
        parent = list(range(len(self.longest)))

        def root(node: int) -> int:
            while parent[node] != node:
                parent[node] = parent[parent[node]]
                node = parent[node]
            return node

        for phrase in phrases:
            first, *others = self.within[phrase]
            for other in others:
                parent[root(other)] = root(first)
        roots = [root(self.within[phrase][0]) for phrase in phrases]
        return np.unique(roots, return_inverse=True)[1]

    def only_in(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether a phrase lies in chosen longest phrases only.

        Parameters
        ----------
        chosen : ndarray of bool, shape (len(longest),)

        Returns
        -------
        ndarray of bool, shape (m,)
            Those for which it is false, and is false for ``~chosen`` too, lie in both kinds.
        """
        is_chosen = chosen.tolist().__getitem__  # entries of an array are slow to read one by one
        return np.array([all(map(is_chosen, phrase)) for phrase in self.within])


def find_sentences(texts: Iterable[str]) -> Sentences:
    """Find for each phrase the longest phrases in which it lies, as a run of words.

    Parameters
    ----------
    texts : iterable of str
        Words separated by blanks; at least one word each.

    Returns
    -------
    Sentences

    Raises
    ------
    ValueError
        If there are no texts or one has no words.
    """
    phrases = [tuple(text.split()) for text in texts]
    if not phrases or not all(phrases):
        empty = [row for row, phrase in enumerate(phrases) if not phrase]
        raise ValueError(f"texts: expected phrases of at least one word, none in rows {empty[:5]}")
    known = set(phrases)
    inside: dict[tuple[str, ...], set[int]] = defaultdict(set)
    longest: list[int] = []
    words = np.array([len(phrase) for phrase in phrases])
    # From long to short: a phrase that is not inside an earlier one is inside none.
    for row in np.argsort(-words, kind="stable").tolist():
        phrase = phrases[row]
        if phrase in inside:
            continue
        position = len(longest)
        longest.append(row)
        for start in range(len(phrase)):
            for end in range(start + 1, len(phrase) + 1):
                part = phrase[start:end]
                if part in known:
                    inside[part].add(position)
    return Sentences(
        words=words,
        longest=np.array(longest),
        within=tuple(tuple(sorted(inside[phrase])) for phrase in phrases),
    )

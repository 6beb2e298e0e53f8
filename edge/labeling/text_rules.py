"""All rules over texts as one automaton: every text is read once, whatever the number of rules."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import re2
from numpy.typing import NDArray

from edge.labeling.words import spaced
from fieldvote.errors import TaskError

# what RE2 may hold for the automaton and its cached states; it starts over when this is full
_MEMORY_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRule:
    """One pattern, and the vote it stands for.

    Attributes:
        pattern: RE2 syntax.
        column: The function whose vote it is.
        vote: The class it votes for.
        words: Whether it looks for whole words, in a text that was prepared for that.
    """

    pattern: str
    column: int
    vote: int
    words: bool


class TextRules:
    """Rules compiled together."""

    def __init__(self, rules: Sequence[TextRule]) -> None:
        """Compile the rules.

        Raises:
            TaskError: Together they are too large for RE2.
        """
        self.columns = tuple(sorted({rule.column for rule in rules}))
        self._column = np.array([rule.column for rule in rules], dtype=np.int64)
        self._vote = np.array([rule.vote for rule in rules], dtype=np.int8)
        self._words = frozenset(i for i, rule in enumerate(rules) if rule.words)
        self._set = _compile([rule.pattern for rule in rules])

    def vote(
        self, texts: Sequence[str], functions: int
    ) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """Return votes, and which texts could not be read.

        Where rules of one function ask for different classes, it abstains.

        Args:
            texts: n texts.
            functions: The number of functions, m; columns without a text rule abstain.

        Returns:
            Votes of shape (n, m), -1 abstains, and a mask of shape (n,).
        """
        rows, rules, unread = self._match(texts)
        votes = np.full((len(texts), functions), -1, dtype=np.int8)
        columns, classes = self._column[rules], self._vote[rules]
        votes[rows, columns] = classes
        # the last rule to write won; where another one asked for something else, nobody wins
        contested = votes[rows, columns] != classes
        votes[rows[contested], columns[contested]] = -1
        return votes, unread

    def _match(
        self, texts: Sequence[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Return (text, rule) of every match, and which texts are not valid Unicode."""
        counts = np.zeros(len(texts), dtype=np.int64)
        unread = np.zeros(len(texts), dtype=np.bool_)
        found: list[int] = []
        match = self._set.Match
        for position, text in enumerate(texts):
            try:
                hits = match(text) if text.isascii() else self._match_unicode(text)
            except (UnicodeEncodeError, AttributeError, TypeError):
                unread[position] = True  # a lone surrogate, or no text at all
                continue
            if hits:
                counts[position] = len(hits)
                found += hits
        rows = np.repeat(np.arange(len(texts)), counts)
        return rows, np.array(found, dtype=np.int64), unread

    def _match_unicode(self, text: str) -> list[int]:
        """Return the rules that match a text with more than ASCII in it."""
        hits = list(self._set.Match(text) or ())
        prepared = spaced(text)
        if prepared != text:
            # patterns were asked about the text as it is, words are asked about the prepared one
            hits += (i for i in self._set.Match(prepared) or () if i in self._words)
        return hits


def _compile(patterns: Sequence[str]) -> re2.Set:
    """Build the automaton; RE2 makes sure that it has the memory to run."""
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.never_capture = True
    options.log_errors = False
    automaton = re2.Set.SearchSet(options)
    try:
        for pattern in patterns:
            automaton.Add(pattern)
        automaton.Compile()
    except re2.error as err:
        raise TaskError(
            "the text functions are together too large for RE2; use fewer words or simpler patterns"
        ) from err
    return automaton

"""All rules over texts together, so that every text is read twice, whatever the number of rules.

Single words, misspelled or not, are looked up in a `WordIndex`. Everything else, patterns, phrases
and words with signs in them, is one RE2 set. A negation is looked for only where its rule spoke.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import re2
from numpy.typing import NDArray

from edge.labeling.word_index import WordIndex, rules_by_word
from edge.labeling.words import Negation, folded, single_word, words_pattern
from fieldvote.errors import TaskError
from fieldvote.functions import normal_word

# what RE2 may hold for the automaton and its cached states; it starts over when this is full
_MEMORY_BYTES = 16 << 20

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternRule:
    """One pattern, and the vote it stands for.

    Attributes:
        pattern: RE2 syntax.
        column: The function whose vote it is.
        vote: The class it votes for.
    """

    pattern: str
    column: int
    vote: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRule:
    """Words and phrases, and the vote they stand for.

    Attributes:
        words: As they are written.
        column: The function whose vote it is.
        vote: The class it votes for.
        distance: How many slips of the pen a word may have.
        exact: Whether a word without any slip counts.
    """

    words: tuple[str, ...]
    column: int
    vote: int
    distance: int = 0
    exact: bool = True


TextRule = PatternRule | WordRule


class TextRules:
    """Rules compiled together."""

    def __init__(
        self, rules: Sequence[TextRule], vetoes: Mapping[int, Negation] | None = None
    ) -> None:
        """Compile the rules.

        Args:
            rules: Any number; several may belong to one function.
            vetoes: By function, what takes its vote back.

        Raises:
            TaskError: Together they are too large for RE2.
        """
        self.columns = tuple(sorted({rule.column for rule in rules}))
        self._column = np.array([rule.column for rule in rules], dtype=np.int64)
        self._vote = np.array([rule.vote for rule in rules], dtype=np.int8)
        single, near, patterns = [], [], []
        for number, rule in enumerate(rules):
            if isinstance(rule, PatternRule):
                patterns.append((rule.pattern, number, False))
                continue
            # as in the version of its function: what has one version votes in one way
            words = [normal_word(word) for word in rule.words]
            if rule.distance:
                near += [(word, rule.distance, rule.exact, number) for word in words]
                continue
            single += [(word, number) for word in words if single_word(word)]
            if rest := [word for word in words if not single_word(word)]:
                patterns.append((words_pattern(rest), number, True))
        vetoes = vetoes or {}
        # one more rule for each set of negations: the words they cannot do without
        gates = {
            words: len(rules) + i for i, words in enumerate({v.words for v in vetoes.values()})
        }
        single += [(word, gate) for words, gate in gates.items() for word in words]
        self._gates = {column: gates[veto.words] for column, veto in vetoes.items()}
        self._vetoes = {column: _compile([veto.pattern]) for column, veto in vetoes.items()}
        self._index = WordIndex(rules_by_word(single), near) if single or near else None
        self._rule = np.array([number for _, number, _ in patterns], dtype=np.int64)
        self._words = np.array([words for *_, words in patterns], dtype=np.bool_)
        self._set = _compile([pattern for pattern, *_ in patterns]) if patterns else None

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
        encoded, unread = encode_texts(texts)
        ready = fold_texts(encoded)
        found = [self._match(encoded, ready)]
        if self._index is not None:
            found.append(self._index.find(ready))
        rows, rules = (np.concatenate(parts) for parts in zip(*found, strict=True))
        votes = np.full((len(texts), functions), -1, dtype=np.int8)
        real = rules < len(self._column)
        gated, gates = rows[~real], rules[~real]
        rows, rules = rows[real], rules[real]
        columns, classes = self._column[rules], self._vote[rules]
        votes[rows, columns] = classes
        # the last rule to write won; where another one asked for something else, nobody wins
        contested = votes[rows, columns] != classes
        votes[rows[contested], columns[contested]] = -1
        for column, gate in self._gates.items():
            negated = np.unique(gated[gates == gate])
            for row in negated[votes[negated, column] >= 0].tolist():
                if self._vetoes[column].Match(ready[row]):
                    votes[row, column] = -1
        votes[unread] = -1
        return votes, unread

    def _match(self, encoded: Sequence[bytes], ready: Sequence[bytes]) -> tuple[Ints, Ints]:
        """Return (text, rule) of every match of a pattern.

        Patterns are asked about texts as they are, words about texts prepared for them.
        """
        if self._set is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        rows, places = _hits(self._set, encoded)
        if self._words.any():
            other = [i for i, data in enumerate(encoded) if not data.isascii()]
            more, again = _hits(self._set, [ready[i] for i in other])
            only_words = self._words[again]
            rows = np.concatenate([rows, np.array(other, dtype=np.int64)[more[only_words]]])
            places = np.concatenate([places, again[only_words]])
        return rows, self._rule[places]


def _hits(automaton: re2.Set, texts: Sequence[bytes]) -> tuple[Ints, Ints]:
    """Return (text, pattern) of every match."""
    # re2's own wrapper does nothing for bytes but cost a quarter of the time; without the object
    # behind it, it serves as well
    match = getattr(automaton, "_set", automaton).Match
    found = [*map(match, texts)]
    counts = [len(hits) if hits else 0 for hits in found]
    places = np.array([*chain.from_iterable(filter(None, found))], dtype=np.int64)
    return np.repeat(np.arange(len(texts)), counts), places


def encode_texts(texts: Sequence[str]) -> tuple[list[bytes], NDArray[np.bool_]]:
    """Return texts as UTF-8, and which could not be read: a lone surrogate, or no text at all."""
    unread = np.zeros(len(texts), dtype=np.bool_)
    try:
        return [text.encode() for text in texts], unread
    except (UnicodeEncodeError, AttributeError, TypeError):
        encoded = []
    for position, text in enumerate(texts):
        try:
            encoded.append(text.encode())
        except (UnicodeEncodeError, AttributeError, TypeError):
            encoded.append(b"")
            unread[position] = True
    return encoded, unread


def fold_texts(encoded: Sequence[bytes]) -> list[bytes]:
    """Return texts as a `WordIndex` wants them; it lowers ASCII letters itself."""
    return [data if data.isascii() else folded(data.decode()).encode() for data in encoded]


def _options() -> re2.Options:
    """Return what RE2 may do."""
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.never_capture = True
    options.log_errors = False
    return options


def _compile(patterns: Sequence[str]) -> re2.Set:
    """Build the automaton; RE2 makes sure that it has the memory to run."""
    automaton = re2.Set.SearchSet(_options())
    try:
        for pattern in patterns:
            automaton.Add(pattern)
        automaton.Compile()
    except re2.error as err:
        raise TaskError(
            "the text functions are together too large for RE2; use fewer words or simpler patterns"
        ) from err
    return automaton

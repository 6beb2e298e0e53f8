"""Second views of items: the same thing seen a little otherwise, which must get the same answer.

A view is made of an item's payload and of nothing else. The same item has the same view wherever it
lies and however often it is asked for, so training on views is as reproducible as on items.

Sources: Xie et al. 2020, arXiv:1904.12848 (word dropout among the noises compared there); Um et al.
2017, arXiv:1706.00527, section 3 (jitter of sensor readings).
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.items import model_inputs, row_payload, rows_of, text_payload, texts_of
from edge.scorer import Scorer
from fieldvote.rng import stream
from fieldvote.task import TabularInput, TextInput

LEFT_OUT = 0.1
"""Share of words, or of fields, that a view lacks."""
JITTER = 0.1
"""Noise on a field, relative to its spread in the pool."""


class SecondView(Protocol):
    """Makes another payload of an item's payload."""

    def __call__(self, payload: bytes, rng: np.random.Generator) -> bytes:
        """Return the item seen otherwise; it is one of the same task."""


class FewerWords:
    """A text without one in ten of its words, and never without all."""

    def __call__(self, payload: bytes, rng: np.random.Generator) -> bytes:
        """Return the text with single blanks between the words that stay.

        >>> FewerWords()(b"one two three", np.random.default_rng(25))
        b'one three'
        """
        words = texts_of([payload])[0].split()
        stays = rng.random(len(words)) >= LEFT_OUT
        if not stays.any():
            return payload
        return text_payload(" ".join(word for word, kept in zip(words, stays, strict=True) if kept))


class JitteredFields:
    """A row whose fields are a little off, and one in ten of them missing."""

    def __init__(self, spread: NDArray[np.float64]) -> None:
        """Keep how far each field spreads. Shape (d,), finite."""
        self._spread = spread

    @classmethod
    def of_pool(cls, rows: NDArray[np.float64]) -> "JitteredFields":
        """Take each field's standard deviation where it is known, 0 where it never is."""
        known = ~np.isnan(rows)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, rows, 0.0).sum(axis=0) / count
        square = np.where(known, (rows - mean) ** 2, 0.0).sum(axis=0) / count
        return cls(np.sqrt(square))

    def __call__(self, payload: bytes, rng: np.random.Generator) -> bytes:
        """Return the row with noise, NaN where a field is left out."""
        row = rows_of([payload], len(self._spread))[0]
        noise = rng.standard_normal(len(row)) * JITTER * self._spread
        return row_payload(np.where(rng.random(len(row)) < LEFT_OUT, np.nan, row + noise))


def second_view_of(task_input: TextInput | TabularInput, payloads: Sequence[bytes]) -> SecondView:
    """Return what makes second views of a pool's items."""
    if isinstance(task_input, TextInput):
        return FewerWords()
    return JitteredFields.of_pool(rows_of(payloads, task_input.width))


class SecondViews:
    """The second view of every item of a pool, made when first asked for."""

    def __init__(
        self,
        payloads: Callable[[], Sequence[bytes]],
        ids: Sequence[bytes],
        *,
        task_input: TextInput | TabularInput,
        scorer: Scorer,
    ) -> None:
        """Make views of these items later.

        Args:
            payloads: Returns the items; they are not kept here.
            ids: Of the items, in the same order.
            task_input: What an item is.
            scorer: What embeds them.
        """
        self._payloads, self._ids = payloads, ids
        self._input, self._scorer = task_input, scorer

    @cached_property
    def inputs(self) -> NDArray[np.float32]:
        """What the task's model is fed for each. Shape (n, width)."""
        payloads = self._payloads()[: len(self._ids)]  # the pool may have grown
        view = second_view_of(self._input, payloads)
        seen = [
            view(payload, stream(0, "second view", item))
            for payload, item in zip(payloads, self._ids, strict=True)
        ]
        return model_inputs(seen, self._input)

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """What its embedding of each is. Shape (n, d)."""
        return self._scorer.score(self.inputs).embeddings

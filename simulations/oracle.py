"""The simulated annotator: reads what a human would be shown, and sometimes errs.

A real annotator never sees an item whole, so neither does this one. It answers from the masked
item, with what it learned from unmasked training items, so that redaction has its true price in
every figure a simulation reports. On top of honest misreading comes an error rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from fieldvote.rng import stream

MaskedFields = tuple[tuple[str, float | None], ...]
"""The kept fields of a row by name, rounded as they were shipped; None is a missing value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedItem:
    """What is shown to an annotator.

    Attributes:
        item_id: The item's name on the wire; two answers to one item share their chance.
        content: Redacted text, or the kept fields of a row.
    """

    item_id: str | int | bytes
    content: str | MaskedFields


class Annotator(Protocol):
    """Someone who answers what class an item is of."""

    def answer(self, item: MaskedItem) -> int:
        """Return a class, 0..k-1."""


class Reader(Protocol):
    """The part of an annotator that understands a masked item."""

    def read(self, contents: Sequence[str | MaskedFields]) -> NDArray[np.int64]:
        """Return the class that each content seems to be of. Shape (n,)."""


class ErringAnnotator:
    """A reader that sometimes slips; whether and how depends on the item, not on the order."""

    def __init__(
        self, reader: Reader, *, classes: int, error_rate: float, seed: int, name: str = "a"
    ) -> None:
        """Set up an annotator.

        Args:
            reader: What it understands of a masked item.
            classes: How many classes, k. At least two.
            error_rate: The chance of answering another class than the one read, in 0..1.
            seed: The run's seed.
            name: Two annotators of different names slip independently.

        Raises:
            InputError: A rate outside 0..1 or fewer than two classes.
        """
        if not 0.0 <= error_rate <= 1.0:
            raise InputError(f"error rate is {error_rate}, expected a share between 0 and 1")
        if classes < 2:
            raise InputError(f"{classes} class(es); an annotator chooses between two or more")
        self._reader, self._classes = reader, classes
        self._error_rate, self._seed, self._name = error_rate, seed, name

    def answer(self, item: MaskedItem) -> int:
        """Return the class read, or with the error rate any other class, each as likely."""
        read = int(self._reader.read([item.content])[0])
        rng = stream(self._seed, "annotator", self._name, item.item_id)
        if rng.random() >= self._error_rate:
            return read
        return (read + int(rng.integers(1, self._classes))) % self._classes

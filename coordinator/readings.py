"""Replies whose numbers are used at once and kept nowhere: read, checked, and handed on."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from coordinator.plausible import MOST_FINE, MOST_ITEMS, Shapes, are_counts
from fieldvote.comparing import CompareReply
from fieldvote.errors import InputError
from fieldvote.heads import EvaluateReply, GradientReply, VotesReply
from fieldvote.recasting import RecastReply
from fieldvote.records import DeviceId, decode
from fieldvote.summed_fields import COHORT
from fieldvote.traces import TraceReply

Kind = TypeVar("Kind")
Summing = TypeVar("Summing", GradientReply, VotesReply, TraceReply, CompareReply, RecastReply)
Fits: TypeAlias = Callable[[NDArray[np.int64]], bool]
"""Whether a reply's sums are such as an honest device, or cohort, could send."""


class Readings:
    """Reads replies; what does not decode or fit is dropped and counted.

    Attributes:
        dropped: How many replies were dropped, by reason.
    """

    def __init__(self, shapes: Shapes) -> None:
        """Read replies of these shapes."""
        self._shapes = shapes
        self.dropped: Counter[str] = Counter()

    def gradients(
        self, round_number: int, step: int, replies: Mapping[DeviceId, bytes], *, fits: Fits
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return the vectors of one gradient exchange that fit the head; nothing is stored."""
        return self._sums(GradientReply, round_number, step, replies, fits)

    def votes(
        self, round_number: int, step: int, replies: Mapping[DeviceId, bytes], *, length: int
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return the sums of one exchange about votes; nothing is stored."""

        def fits(sums: NDArray[np.int64]) -> bool:
            return are_counts(sums, length, most=MOST_FINE)

        return self._sums(VotesReply, round_number, step, replies, fits)

    def traces(
        self, round_number: int, step: int, replies: Mapping[DeviceId, bytes], *, fits: Fits
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return the sums of one exchange about who taught a head; nothing is stored."""
        return self._sums(TraceReply, round_number, step, replies, fits)

    def comparisons(
        self, round_number: int, step: int, replies: Mapping[DeviceId, bytes], *, fits: Fits
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return the sums of one exchange about two shadow heads; nothing is stored."""
        return self._sums(CompareReply, round_number, step, replies, fits)

    def recasts(
        self, round_number: int, step: int, replies: Mapping[DeviceId, bytes], *, fits: Fits
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return the sums of one exchange about other inputs; nothing is stored."""
        return self._sums(RecastReply, round_number, step, replies, fits)

    def confusion(
        self, round_number: int, replies: Mapping[DeviceId, bytes]
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return confusion counts by device, each of shape (k, k).

        A cohort's are of its held-out devices, then of the random arm of the others: (2 k, k).
        """
        k = self._shapes.classes
        counts = {}
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, EvaluateReply)
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            rows = 2 * k if device == COHORT else k
            if not are_counts(reply.confusion, rows * k, most=MOST_ITEMS):
                self.dropped["does not fit"] += 1
                continue
            counts[device] = reply.confusion.reshape(rows, k)
        return counts

    def _sums(
        self,
        kind: type[Summing],
        round_number: int,
        step: int,
        replies: Mapping[DeviceId, bytes],
        fits: Fits,
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return the sums of the replies that are of this leg and fit."""
        vectors = {}
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, kind)
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            if reply.step == step and fits(reply.sums):
                vectors[device] = reply.sums
            else:
                self.dropped["does not fit"] += 1
        return vectors

    def _is_of(self, expected: int, got: int) -> bool:
        """Return whether a reply belongs to this round, and count it if not."""
        if got != expected:
            self.dropped["another round"] += 1
        return got == expected

    def _decode(self, blob: bytes, kind: type[Kind]) -> Kind | None:
        """Return the reply, or None and a count if the bytes are something else."""
        try:
            return decode(blob, kind)
        except InputError:
            self.dropped["not a reply"] += 1
            return None

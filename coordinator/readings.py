"""Replies whose numbers are used at once and kept nowhere: read, checked, and handed on."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from coordinator.plausible import MOST_FINE, MOST_ITEMS, Shapes, are_counts, builds
from fieldvote.codec import IntVector
from fieldvote.comparing import CompareReply
from fieldvote.errors import InputError
from fieldvote.heads import EvaluateReply, GradientReply, VotesReply
from fieldvote.recasting import RecastReply
from fieldvote.records import DeviceId, decode
from fieldvote.summed_fields import COHORT
from fieldvote.traces import TraceReply
from strategies.calibration_sums import CalibrationSums, length_of

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

    def judged(
        self, round_number: int, replies: Mapping[DeviceId, bytes], *, heads: int = 0
    ) -> dict[DeviceId, IntVector]:
        """Return what devices counted of a head: confusion counts, then calibration sums.

        A cohort's are of its held-out devices, then all again of the random arm of the others. Who
        has counted without calibrating has zeros there.

        Args:
            round_number: The round.
            replies: What came back.
            heads: Of how many heads it was asked how sure they are; 0 for not.
        """
        counts = {}
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, EvaluateReply)
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            read = self._counted(reply, whole=device == COHORT, heads=heads)
            if read is None:
                self.dropped["does not fit"] += 1
                continue
            counts[device] = read
        return counts

    def _counted(self, reply: EvaluateReply, *, whole: bool, heads: int) -> IntVector | None:
        """Return what was counted, side by side; None where no device can have counted that.

        Of a cohort a lie shows in the sum alone: then nothing is calibrated, and the counts stay.
        """
        k, sides = self._shapes.classes, 2 if whole else 1
        nothing = np.zeros(sides * length_of(heads), dtype=np.int64)
        told = reply.calibration if len(reply.calibration) else nothing
        if not are_counts(reply.confusion, sides * k * k, most=MOST_ITEMS):
            return None
        counts = reply.confusion.reshape(sides, k * k)
        fits = are_counts(told, len(nothing), most=MOST_FINE) and all(
            self._are_of(sums, each, heads=heads)
            for sums, each in zip(told.reshape(sides, -1), counts, strict=True)
        )
        if not (fits or whole):
            return None
        sums = (told if fits else nothing).reshape(sides, -1)
        return np.concatenate([counts, sums], axis=1).ravel()

    def _are_of(self, sums: IntVector, counts: IntVector, *, heads: int) -> bool:
        """Return whether calibration sums can be of items that were counted so, if they are any."""
        k = self._shapes.classes
        right, items = int(counts[:: k + 1].sum()), int(counts.sum())

        def check(vector: IntVector) -> None:
            told = CalibrationSums.from_vector(vector, heads=heads)
            told.check(right=right, items=items, classes=k)

        return not sums.any() or builds(check, sums)

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

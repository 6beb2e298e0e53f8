"""The one door into the coordinator.

Every reply is decoded with its expected kind, checked against what was asked, and counted once: its
name goes into the inbox table in the same transaction that adds its sums. Sealed candidates are put
away unopened; nothing here holds a key that could open one.

A reply that does not decode, or does not fit the round, is dropped and counted; one bad device
never stops a round.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from coordinator.plausible import KEY_BYTES, are_counts, builds, can_be_sealed_to, usual
from coordinator.store.campaign import Store
from coordinator.store.rows import KnownDevice, StoredCandidate, StoredOffer, message_name
from fieldvote.errors import InputError
from fieldvote.heads import EvaluateReply, GradientReply, ServeReply
from fieldvote.records import (
    ARM_CHOSEN,
    ARM_RANDOM,
    ARM_SEED,
    AnswersReply,
    CollectReply,
    DeviceId,
    HelloReply,
    SurveyReply,
    decode,
)
from strategies.aggregation.sketch import HeadSums, sketch_length
from strategies.representation import Moments

VOTES, MOMENTS, ANCHORS, LABELED, VOTED = "votes", "moments", "anchors", "labeled", "voted"
VOTED_ITEMS = "voted items"
SURVEY, COLLECT, ANSWERS = "survey", "collect", "answers"
Kind = TypeVar("Kind")

_ID_BYTES = 16
_MAX_OFFERS = 4096
_ARMS = (ARM_CHOSEN, ARM_RANDOM, ARM_SEED)
_MAX_SCORE = 65535
_MOST_ITEMS = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """What the task makes of the vectors a device may send.

    Attributes:
        votes: Length of a vote summary.
        anchors: Length of an anchor summary.
        classes: k.
    """

    votes: int
    anchors: int
    classes: int


class Inbox:
    """Admits replies; the caller holds the transaction."""

    def __init__(self, store: Store, shapes: Shapes) -> None:
        """Count into this store."""
        self._store = store
        self._shapes = shapes
        self.dropped: Counter[str] = Counter()

    def hello(
        self,
        replies: Mapping[DeviceId, bytes],
        task: str,
        *,
        astray: Callable[[DeviceId], None] = lambda _: None,
    ) -> int:
        """Meet devices; one that has another task installed is not met. Return how many.

        Args:
            replies: What came back.
            task: Digest of the campaign's task.
            astray: Told of each device that has another one.
        """
        met = 0
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, HelloReply)
            if reply is None:
                continue
            if reply.task != task:
                self.dropped["another task"] += 1
                astray(device)
                continue
            if len(reply.signing_key) != KEY_BYTES or not can_be_sealed_to(reply.sealing_key):
                self.dropped["unusable key"] += 1
                continue
            self._store.meet(
                KnownDevice(
                    id=device,
                    evaluates=reply.evaluates,
                    items=reply.items,
                    signing_key=reply.signing_key,
                    sealing_key=reply.sealing_key,
                )
            )
            met += 1
        return met

    def survey(self, round_number: int, replies: Mapping[DeviceId, bytes]) -> tuple[int, int]:
        """Add sums and keep offers. Return how many replies and offers were new."""
        counted, kept = 0, list[StoredOffer]()
        sums: dict[str, list[NDArray[np.int64]]] = {}
        came = {d: self._decode(blob, SurveyReply) for d, blob in sorted(replies.items())}
        surveys = [reply for reply in came.values() if reply is not None]
        so_far = self._store.total(MOMENTS)
        # what the task's model makes of an item has one width, and sketches have one length: that
        # of the sums so far, else of most devices
        moments = (
            usual(len(s.moments) for s in surveys if s.items) if so_far is None else (len(so_far))
        )
        sketch = usual(len(offer.sketch) for s in surveys for offer in s.offers)
        for device, reply in came.items():
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            if not self._fits(reply, moments=moments, sketch=sketch):
                self.dropped["does not fit"] += 1
                continue
            if not self._store.admit(message_name(round_number, SURVEY, device)):
                continue
            if reply.items:
                for name, vector in (
                    (VOTES, reply.votes),
                    (MOMENTS, reply.moments),
                    (VOTED_ITEMS, np.array([reply.voted], dtype=np.int64)),
                ):
                    sums.setdefault(name, []).append(vector)
            kept += [
                StoredOffer(
                    device=device,
                    item=offer.item,
                    arm=offer.arm,
                    score=offer.score,
                    predicted=offer.predicted,
                    sketch=offer.sketch,
                )
                for offer in reply.offers
            ]
            counted += 1
        for name, vectors in sums.items():
            self._store.add_many(name, vectors)
        self._store.keep_offers(round_number, kept)
        return counted, len(kept)

    def collect(
        self,
        round_number: int,
        replies: Mapping[DeviceId, bytes],
        granted: Mapping[bytes, StoredOffer],
        *,
        urgent: bool = False,
    ) -> tuple[int, int]:
        """Put sealed candidates away, unopened. Return how many came and how many stay."""
        sealed, refused = 0, 0
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, CollectReply)
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            if not self._store.admit(message_name(round_number, COLLECT, device)):
                continue
            for candidate in reply.sealed:
                offer = granted.get(candidate.item)
                if offer is None or offer.device != device:
                    self.dropped["not granted"] += 1
                elif candidate.envelope:
                    self._store.keep_candidate(
                        round_number,
                        StoredCandidate(
                            item=candidate.item,
                            device=device,
                            arm=offer.arm,
                            envelope=candidate.envelope,
                        ),
                        urgent=urgent,
                    )
                    sealed += 1
                else:
                    refused += 1
        return sealed, refused

    def answers(
        self,
        round_number: int,
        replies: Mapping[DeviceId, bytes],
        sent: Mapping[DeviceId, list[bytes]],
        *,
        width: int,
    ) -> int:
        """Add what the answers brought to the sums. Return how many answers were delivered.

        Args:
            round_number: The round that is fitted.
            replies: What came back.
            sent: The items whose answers each device was sent.
            width: Inputs of the head, which the head sums are over.
        """
        delivered = 0
        sums: dict[str, list[NDArray[np.int64]]] = {}
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, AnswersReply)
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            items = sent.get(device, [])
            if not self._teaches(reply, len(items), width):
                self.dropped["does not fit"] += 1
                continue
            if not self._store.admit(message_name(round_number, ANSWERS, device)):
                continue
            brought = ((ANCHORS, reply.anchors), (LABELED, reply.labeled), (VOTED, reply.voted))
            for name, vector in brought:
                if len(vector):
                    sums.setdefault(name, []).append(vector)
            self._store.mark_delivered(device, items)
            delivered += len(items)
        for name, vectors in sums.items():
            self._store.add_many(name, vectors)
        return delivered

    def gradients(
        self,
        round_number: int,
        step: int,
        replies: Mapping[DeviceId, bytes],
        *,
        fits: Callable[[NDArray[np.int64]], bool],
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return the vectors of one gradient exchange that fit the head; nothing is stored."""
        vectors = {}
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, GradientReply)
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            if reply.step == step and fits(reply.sums):
                vectors[device] = reply.sums
            else:
                self.dropped["does not fit"] += 1
        return vectors

    def confusion(
        self, round_number: int, replies: Mapping[DeviceId, bytes]
    ) -> dict[DeviceId, NDArray[np.int64]]:
        """Return confusion counts by device. Each of shape (k, k)."""
        k = self._shapes.classes
        counts = {}
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, EvaluateReply)
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            if not are_counts(reply.confusion, k * k, most=_MOST_ITEMS):
                self.dropped["does not fit"] += 1
                continue
            counts[device] = reply.confusion.reshape(k, k)
        return counts

    def served(
        self, round_number: int, phase: str, replies: Mapping[DeviceId, bytes]
    ) -> list[DeviceId]:
        """Return which devices serve a round's head, or the one before it again."""
        serving = []
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, ServeReply)
            if reply is not None and self._is_of(round_number, reply.round):
                self._store.admit(message_name(round_number, phase, device))
                serving.append(device)
        return serving

    def _is_of(self, expected: int, got: int) -> bool:
        """Return whether a reply belongs to this round, and count it if not."""
        if got != expected:
            self.dropped["another round"] += 1
        return got == expected

    def _fits(self, reply: SurveyReply, *, moments: int, sketch: int) -> bool:
        """Return whether a survey's vectors and offers are what a device of this task can send.

        A count over n items is n at most, so one device cannot make the sums overflow.
        """
        summed = reply.items == 0 or (
            0 < reply.items <= _MOST_ITEMS
            and 0 <= reply.voted <= reply.items
            and are_counts(reply.votes, self._shapes.votes, most=reply.items)
            and len(reply.moments) == moments
            and builds(Moments.from_vector, reply.moments)
        )
        return (
            summed
            and len(reply.offers) <= _MAX_OFFERS
            and all(
                len(offer.item) == _ID_BYTES
                and len(offer.sketch) == sketch
                and offer.arm in _ARMS
                and 0 <= offer.score <= _MAX_SCORE
                and -1 <= offer.predicted < self._shapes.classes
                for offer in reply.offers
            )
        )

    def _teaches(self, reply: AnswersReply, answers: int, width: int) -> bool:
        """Return whether a device that was sent so many answers can have sent these sums."""
        length = sketch_length(width)
        return (
            answers > 0
            and are_counts(reply.anchors, self._shapes.anchors, most=answers)
            and all(
                len(vector) == 0 or (len(vector) == length and builds(HeadSums.from_vector, vector))
                for vector in (reply.labeled, reply.voted)
            )
        )

    def _decode(self, blob: bytes, kind: type[Kind]) -> Kind | None:
        """Return the reply, or None and a count if the bytes are something else."""
        try:
            return decode(blob, kind)
        except InputError:
            self.dropped["not a reply"] += 1
            return None

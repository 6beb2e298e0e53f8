"""The one door into the coordinator.

Every reply is decoded with its expected kind, checked against what was asked, and counted once: its
name goes into the inbox table in the same transaction that adds its sums. Sealed candidates are put
away unopened; nothing here holds a key that could open one. Who sealed them, for which item, in
which round and under which policy, and that they were not here before, is checked all the same.

A reply that does not decode, or does not fit the round, is dropped and counted; one bad device
never stops a round.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coordinator.admission import Admission
from coordinator.arrivals import ArrivalSums
from coordinator.plausible import (
    KEY_BYTES,
    MOST_ITEMS,
    can_be_sealed_to,
    can_survey,
    can_teach,
    usual,
)
from coordinator.plausible import Shapes as Shapes  # what an inbox is made with
from coordinator.readings import Readings
from coordinator.store.campaign import Store
from coordinator.store.rows import KnownDevice, StoredCandidate, StoredOffer, message_name
from fieldvote.errors import InputError, SealError, SignatureError
from fieldvote.heads import ServeReply
from fieldvote.records import (
    AnswersReply,
    CollectReply,
    DeviceId,
    HelloReply,
    SealedItem,
    SurveyReply,
)
from fieldvote.releases import TrialReply
from fieldvote.summed_fields import COHORT
from privacy.sealing.context import Purpose, Scope
from privacy.sealing.envelope import check_envelope

VOTES, MOMENTS, ANCHORS, LABELED, VOTED = "votes", "moments", "anchors", "labeled", "voted"
VOTED_ITEMS = "voted items"
BEYOND = "seen beyond"  # items each function is counted on, beyond those in the number of items
SURVEY, COLLECT, ANSWERS, TRIAL = "survey", "collect", "answers", "trial"


class Earlier(Protocol):
    """Takes sums by functions of a release before, or after, the campaign's task."""

    def shapes(self, task: str) -> Shapes | None:
        """Return the shapes of a release of this campaign's; None if it is none."""

    def add(self, task: str, name: str, vectors: Sequence[NDArray[np.int64]]) -> None:
        """Add vectors of such a release to one of the sums."""


class Inbox(Readings):
    """Admits replies; the caller holds the transaction."""

    def __init__(
        self,
        store: Store,
        shapes: Shapes,
        *,
        earlier: Earlier | None = None,
        admission: Admission | None = None,
    ) -> None:
        """Count into this store.

        Args:
            store: What must survive.
            shapes: What the task makes of the vectors a device may send.
            earlier: Takes what functions of another release have summed.
            admission: Looks at certificates; without it every device is met.
        """
        super().__init__(shapes)
        self._store = store
        self.admission = admission
        self._earlier = earlier

    def hello(
        self,
        replies: Mapping[DeviceId, bytes],
        task: str,
        *,
        version: int = 0,
        astray: Callable[[DeviceId], None] = lambda _: None,
        here: Callable[[DeviceId], None] = lambda _: None,
    ) -> int:
        """Meet devices; one that has another task installed is not met. Return how many.

        Args:
            replies: What came back.
            task: Digest of the campaign's task.
            version: What that was signed as; 0 where no keys are used.
            astray: Told of each device that has another one, or has it by an older signature.
            here: Told of each device that was met.
        """
        met = 0
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, HelloReply)
            if reply is None:
                continue
            if self.admission and not self.admission.meet(device, reply):
                self.dropped["no certificate that fits"] += 1
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
            here(device)
            met += 1
            if 0 < reply.version < version:
                astray(device)  # it takes part, and what it goes by may soon be over
        return met

    def survey(
        self,
        round_number: int,
        replies: Mapping[DeviceId, bytes],
        arrivals: ArrivalSums | None = None,
    ) -> tuple[int, int]:
        """Add sums and keep offers. Return how many replies and offers were new.

        Args:
            round_number: The round that surveys.
            replies: What came back.
            arrivals: Where histograms of new items are added up; None where nobody watches.
        """
        counted, kept = 0, list[StoredOffer]()
        sums: dict[tuple[str, str], list[NDArray[np.int64]]] = {}
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
            shapes = self._shapes_of(reply.task)
            if shapes is None or not can_survey(reply, shapes, moments=moments, sketch=sketch):
                self.dropped["another task" if shapes is None else "does not fit"] += 1
                continue
            if not self._store.admit(message_name(round_number, SURVEY, device)):
                continue
            if arrivals is not None and arrivals.holds(reply.arrivals):
                sums.setdefault(("", arrivals.name), []).append(reply.arrivals)
            elif arrivals is not None and len(reply.arrivals):
                self.dropped["histograms that do not fit"] += 1  # of another release, or made up
            for name, vector in (
                (VOTES, reply.votes),
                (BEYOND, reply.renewed),
                (MOMENTS, reply.moments),
                (VOTED_ITEMS, np.array([reply.voted] if reply.items else [], dtype=np.int64)),
            ):
                if len(vector):
                    sums.setdefault((reply.task, name), []).append(vector)
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
        self._add(sums)
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
            owner = self._store.device(device)
            for candidate in reply.sealed:
                offer = granted.get(candidate.item)
                if offer is None or offer.device != device:
                    self.dropped["not granted"] += 1
                elif not candidate.envelope:
                    refused += 1
                elif fault := self._fault(round_number, owner, candidate):
                    self.dropped[fault] += 1
                else:
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
        return sealed, refused

    def _fault(self, number: int, owner: KnownDevice | None, candidate: SealedItem) -> str:
        """Return what is wrong with an envelope, nothing if it may be put away; it is new then."""
        if owner is None:
            return "of a device nobody met"
        scope = Scope(
            purpose=Purpose.CANDIDATE,
            family=self._shapes.family,
            device=owner.signing_key,
            item=candidate.item,
        )
        try:
            # before the window is looked at: a forged number must not push true ones out of it
            marks = check_envelope(
                candidate.envelope, scope=scope, senders=[owner.signing_key]
            ).marks
        except (SealError, SignatureError, InputError):
            return "an envelope that is not its device's for this item"
        if marks.round != number:
            return "an envelope of another round"
        if marks.policy != self._shapes.policy:
            return "an envelope under another policy"
        if self._shapes.task and self._shapes_of(marks.task.hex()) is None:
            return "another task"
        if not self._store.admit_envelope(owner.id, marks.epoch, marks.sequence):
            return "an envelope that was here before"
        return ""

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
        sums: dict[tuple[str, str], list[NDArray[np.int64]]] = {}
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, AnswersReply)
            if reply is None or not self._is_of(round_number, reply.round):
                continue
            items = sent.get(device, [])
            most = MOST_ITEMS if device == COHORT else len(items)
            shapes = self._shapes_of(reply.task)
            if shapes is None or not can_teach(reply, shapes, most, width):
                self.dropped["another task" if shapes is None else "does not fit"] += 1
                continue
            if not self._store.admit(message_name(round_number, ANSWERS, device)):
                continue
            brought = ((ANCHORS, reply.anchors), (LABELED, reply.labeled), (VOTED, reply.voted))
            for name, vector in brought:
                if len(vector):
                    sums.setdefault((reply.task, name), []).append(vector)
            self._store.mark_delivered(device, items)
            delivered += len(items)
        self._add(sums)
        return delivered

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

    def _shapes_of(self, task: str) -> Shapes | None:
        """Return what a device that has this task can send; None if it is none of the campaign."""
        if task in ("", self._shapes.task):
            return self._shapes
        return self._earlier.shapes(task) if self._earlier else None

    def _add(self, sums: Mapping[tuple[str, str], Sequence[NDArray[np.int64]]]) -> None:
        """Add to the sums; those over another release's functions go where its columns are."""
        for (task, name), vectors in sums.items():
            ours = task in ("", self._shapes.task) or name not in (VOTES, BEYOND, ANCHORS)
            if ours or self._earlier is None:
                self._store.add_many(name, vectors)
            else:
                self._earlier.add(task, name, vectors)

    def trials(
        self,
        number: int,
        replies: Mapping[DeviceId, bytes],
        *,
        fits: Callable[[TrialReply], bool],
    ) -> list[TrialReply]:
        """Return the replies to the trial of a release that are new, and fit it."""
        came = []
        for device, blob in sorted(replies.items()):
            reply = self._decode(blob, TrialReply)
            if reply is None or not self._is_of(number, reply.round):
                continue
            if not fits(reply):
                self.dropped["does not fit"] += 1
            elif self._store.admit(message_name(number, TRIAL, device)) and (
                reply.items or not reply.task  # else what it says is in the cohort's sum
            ):
                came.append(reply)
        return came

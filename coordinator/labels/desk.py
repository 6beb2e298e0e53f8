"""The labeling desk: opens one candidate at a time, asks, seals the label, keeps nothing.

This is the only place that holds the labeling key. In a deployment it runs where the people who
label are, not where the store is: a stolen store tells nothing without this key.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol

from coordinator.labels.consensus import NONE_OF_THESE, Standing, Verdict, judge
from coordinator.labels.desk_keys import DeskKeys, pseudonym
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from coordinator.store.rows import Annotation, KnownDevice, StoredCandidate, StoredLabel
from fieldvote.errors import InputError, SealError, SignatureError, WireError
from fieldvote.records import (
    Answer,
    DeviceId,
    MaskedItem,
    decode,
    encode,
)
from privacy.sealing import open_envelope, seal
from privacy.sealing.context import Marks, Purpose, Scope
from privacy.sealing.envelope import marks_of
from privacy.sealing.replay import Numbering


class Annotator(Protocol):
    """Somebody who answers from what they are shown."""

    def answer(self, item: MaskedItem) -> int | None:
        """Return a class, NONE_OF_THESE, or None to leave the item for somebody else."""


class Labeling(Protocol):
    """How a round gets its answers: from a desk in the same process, or from one elsewhere."""

    def work(self, store: Store) -> bool:
        """Answer what can be answered now; return whether more may come by waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Who sits at a desk.

    Attributes:
        annotator: Answers.
        name: Theirs, unlike anybody else's; it never leaves the desk.
        expert: Whether they decide disputes; they are asked nothing else.
    """

    annotator: Annotator
    name: str = "annotator"
    expert: bool = False


class Desk:
    """Works through the queue of sealed candidates."""

    def __init__(
        self,
        keys: DeskKeys,
        *seats: Seat,
        settings: CampaignSettings,
        task: str,
        classes: int,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Seat annotators.

        Args:
            keys: The desk's keys.
            seats: Who answers, one after the other.
            settings: What an answer costs, and when answers are a label.
            task: Digest of the task's family; envelopes of another task do not open, those of a
                release before do.
            classes: k; an answer is below it.
            entropy: Draws the epoch that this desk's answers are numbered in.
        """
        self._keys = keys
        self._numbers = Numbering(entropy)
        self._seats = seats
        self._family = task
        self._classes = classes
        self._settings = settings

    def seat(self, *seats: Seat) -> "Desk":
        """Return the same desk with these people at it."""
        desk = copy(self)
        desk._seats = seats
        return desk

    def work(self, store: Store) -> bool:
        """Ask everybody who sits here what waits for them.

        Each answer is durable before the next item is opened, and a label with the answer that
        makes it one.

        Returns:
            False: whoever sits here has seen everything.

        Raises:
            InputError: an answer names no class; the item waits for another.
        """
        devices = store.devices()
        queue = {candidate.item: candidate for candidate in store.queue()}
        for item, said in store.open_annotations().items():
            # a rule that asks for less than it did turns what was said into labels
            owner = devices.get(queue[item].device)
            if owner is not None:
                with store.transaction():
                    self._settle(store, queue[item], said, owner)
        for seat in self._seats:
            self._serve(store, seat, devices)
        return False

    def waiting(self, store: Store, *, name: str, expert: bool) -> list[StoredCandidate]:
        """Return what somebody would be asked now: nobody is asked twice about an item."""
        said, who = store.open_annotations(), self._keys.pseudonyms(name)
        return [
            candidate
            for candidate in store.queue()
            if self._is_for(said.get(candidate.item, []), who, expert=expert)
        ]

    def _is_for(self, said: Sequence[Annotation], who: frozenset[str], *, expert: bool) -> bool:
        """Return whether this person is to be asked about an item of which that was said."""
        wanted = Standing.DISPUTED if expert else Standing.OPEN
        asked = any(answer.annotator in who for answer in said)
        return not asked and judge(said, self._settings.labeling) is wanted

    def _serve(self, store: Store, seat: Seat, devices: Mapping[DeviceId, KnownDevice]) -> None:
        """Ask one person everything that waits for them."""
        known, who = self._keys.pseudonyms(seat.name), pseudonym(seat.name, self._keys.signing)
        price = self._settings.expert_price if seat.expert else self._settings.price
        for candidate in self.waiting(store, name=seat.name, expert=seat.expert):
            device = devices.get(candidate.device)
            item = None if device is None else self._open(candidate, device)
            label = None if item is None else seat.annotator.answer(item)
            if device is None or label is None:
                continue
            if label != NONE_OF_THESE and not 0 <= label < self._classes:
                raise InputError(f"an annotator answered class {label}, there are {self._classes}")
            said = Annotation(
                item=candidate.item,
                annotator=who,
                label=label,
                expert=seat.expert,
                price=price,
                guideline=self._settings.labeling.version,
            )
            with store.transaction():
                before = store.annotations_of(candidate.item)
                # another desk may have been faster: an answer too many is not paid
                if self._is_for(before, known, expert=seat.expert):
                    store.keep_annotation(said)
                    self._settle(store, candidate, [*before, said], device)

    def _settle(
        self,
        store: Store,
        candidate: StoredCandidate,
        said: Sequence[Annotation],
        device: KnownDevice,
    ) -> None:
        """Keep what answers came to, if they came to anything."""
        verdict = judge(said, self._settings.labeling)
        if isinstance(verdict, Verdict):
            # to what fits no class there is nothing a device could learn
            classed = verdict.label != NONE_OF_THESE
            envelope = self._sealed(candidate, verdict.label, device) if classed else b""
            store.keep_label(
                StoredLabel(
                    item=candidate.item,
                    label=verdict.label,
                    method=verdict.method,
                    agreement=verdict.agreement,
                    envelope=envelope,
                )
            )

    def _sealed(self, candidate: StoredCandidate, label: int, device: KnownDevice) -> bytes:
        """Return an answer, sealed for its device."""
        return seal(
            encode(Answer(item=candidate.item, label=label)),
            recipient=device.sealing_key,
            scope=Scope(purpose=Purpose.ANSWER, family=self._family, device=device.signing_key),
            marks=self._marks(candidate, device),
            signer=self._keys.signing,
        )

    def _marks(self, candidate: StoredCandidate, device: KnownDevice) -> Marks:
        """Return an answer's marks: those of what it answers, and a number of its own."""
        epoch, sequence = self._numbers.next(device.sealing_key)
        return replace(marks_of(candidate.envelope), epoch=epoch, sequence=sequence)

    def _open(self, candidate: StoredCandidate, device: KnownDevice) -> MaskedItem | None:
        """Open one candidate; None if it is not what its device signed for this item."""
        try:
            opened = open_envelope(
                candidate.envelope,
                keys=[self._keys.labeling, *self._keys.older],
                scope=Scope(
                    purpose=Purpose.CANDIDATE,
                    family=self._family,
                    device=device.signing_key,
                    item=candidate.item,
                ),
                senders=[device.signing_key],
            )
            item = decode(opened.plaintext, MaskedItem)
        except (SealError, SignatureError, WireError):
            return None
        return item if item.item == candidate.item else None


class Elsewhere:
    """A desk that works in a process of its own on the same store; this one holds no key."""

    def work(self, store: Store) -> bool:
        """Wait: the answers are in the store, or not yet."""
        return True

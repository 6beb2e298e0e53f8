"""The labeling desk: opens one candidate at a time, asks, seals the answer, keeps nothing.

This is the only place that holds the labeling key. In a deployment it runs where the people who
label are, not where the store is: a stolen store tells nothing without this key.
"""

from dataclasses import dataclass
from typing import Protocol

from coordinator.store.campaign import Store
from coordinator.store.rows import KnownDevice, StoredCandidate
from fieldvote.errors import InputError, SealError, SignatureError, WireError
from fieldvote.records import (
    ANSWER_CONTEXT,
    CANDIDATE_CONTEXT,
    Answer,
    MaskedItem,
    decode,
    encode,
)
from privacy.sealing import SealingKey, SigningKey, open_envelope, seal


class Annotator(Protocol):
    """Somebody who answers from what they are shown."""

    def answer(self, item: MaskedItem) -> int | None:
        """Return a class, or None to leave the item for somebody else."""


class Labeling(Protocol):
    """How a round gets its answers: from a desk in the same process, or from one elsewhere."""

    def work(self, store: Store) -> bool:
        """Answer what can be answered now; return whether more may come by waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskKeys:
    """The two keys of the desk.

    Attributes:
        labeling: Opens candidates.
        signing: Signs answers.
    """

    labeling: SealingKey
    signing: SigningKey


class Desk:
    """Works through the queue of sealed candidates."""

    def __init__(
        self, keys: DeskKeys, annotator: Annotator, *, task: str, classes: int, price: float
    ) -> None:
        """Seat an annotator.

        Args:
            keys: The desk's keys.
            annotator: Who answers.
            task: Digest of the task; envelopes of another task do not open.
            classes: k; an answer is below it.
            price: Paid per answer.
        """
        self._keys = keys
        self._annotator = annotator
        self._task = task.encode()
        self._classes = classes
        self._price = price

    def work(self, store: Store) -> bool:
        """Answer what waits. Each answer is durable before the next item is opened.

        Returns:
            False: whoever sits here has seen everything.

        Raises:
            InputError: an answer names no class; the item waits for another.
        """
        devices = store.devices()
        for candidate in store.queue():
            device = devices.get(candidate.device)
            item = None if device is None else self._open(candidate, device)
            label = None if item is None else self._annotator.answer(item)
            if device is None or label is None:
                continue
            if not 0 <= label < self._classes:
                raise InputError(f"an annotator answered class {label}, there are {self._classes}")
            answer = Answer(item=candidate.item, label=label)
            envelope = seal(
                encode(answer),
                recipient=device.sealing_key,
                context=ANSWER_CONTEXT + self._task,
                signer=self._keys.signing,
            )
            with store.transaction():
                store.keep_label(answer, self._price, envelope)
        return False

    def _open(self, candidate: StoredCandidate, device: KnownDevice) -> MaskedItem | None:
        """Open one candidate; None if it is not what its device signed for this item."""
        try:
            plain = open_envelope(
                candidate.envelope,
                key=self._keys.labeling,
                context=CANDIDATE_CONTEXT + self._task + candidate.item,
                sender=device.signing_key,
            )
            item = decode(plain, MaskedItem)
        except (SealError, SignatureError, WireError):
            return None
        return item if item.item == candidate.item else None


class Elsewhere:
    """A desk that works in a process of its own on the same store; this one holds no key."""

    def work(self, store: Store) -> bool:
        """Wait: the answers are in the store, or not yet."""
        return True

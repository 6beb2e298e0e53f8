"""Replies as devices send them, and what a store made of them."""

from datetime import UTC, datetime

import numpy as np
from sqlalchemy import select

from coordinator.inbox import Shapes
from coordinator.store.campaign import Store
from coordinator.store.rows import KnownDevice, StoredCandidate
from coordinator.store.schema import TABLES
from fieldvote.records import (
    ARM_CHOSEN,
    AnswersReply,
    DeviceId,
    HelloReply,
    Offer,
    SurveyReply,
)
from privacy.sealing import SealingKey, SigningKey, seal
from privacy.sealing.context import Marks, Purpose, Scope
from strategies.aggregation.summed_head import head_sums
from strategies.labeling import AnchorSummary, VoteSummary
from strategies.representation import Moments

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WIDTH = 3
VOTES = VoteSummary.from_votes(np.array([[0, 1], [-1, 1], [0, 0]], dtype=np.int8), classes=2)
ANCHORS = AnchorSummary.from_votes(np.array([[0, 1]], dtype=np.int8), np.array([1]), classes=2)
FAMILY, POLICY = "ab" * 32, b"p" * 32
SHAPES = Shapes(
    votes=len(VOTES.to_vector()),
    anchors=len(ANCHORS.to_vector()),
    classes=2,
    family=FAMILY,
    policy=POLICY,
)
MOMENTS = Moments.from_embeddings(np.array([[1.0, 2.0], [0.5, 4.0], [0.0, -1.0]]))
SKETCH = head_sums(np.full((1, WIDTH), 512.0), np.ones(1), seed=1).to_vector()
NOTHING = np.empty(0, dtype=np.int64)
ONE, TWO, THREE = DeviceId(1), DeviceId(2), DeviceId(3)


def item(name: str) -> bytes:
    return name.encode().ljust(16, b"_")


def offer(name: str, arm: int = ARM_CHOSEN) -> Offer:
    return Offer(item=item(name), arm=arm, score=9, predicted=1, sketch=bytes(8))


def survey(*offers: Offer, round_number: int = 1) -> SurveyReply:
    return SurveyReply(
        round=round_number,
        items=3,
        voted=3,
        votes=VOTES.to_vector(),
        moments=MOMENTS.to_vector(),
        offers=offers or (offer("a"),),
    )


def answers(round_number: int = 1) -> AnswersReply:
    return AnswersReply(
        round=round_number,
        accepted=1,
        trained=1,
        anchors=ANCHORS.to_vector(),
        labeled=SKETCH,
        voted=NOTHING,
    )


def hello(task: str = "digest", **changes: bytes) -> HelloReply:
    keys = {
        "signing_key": SigningKey(b"1" * 32).public,
        "sealing_key": SealingKey(b"2" * 32).public,
    }
    return HelloReply(task=task, evaluates=False, items=3, **{**keys, **changes})


def meet(store: Store, *devices: DeviceId) -> None:
    """Meet devices, each with a signing key of its own."""
    for device in devices:
        store.meet(
            KnownDevice(
                id=device,
                evaluates=False,
                items=3,
                signing_key=signer(device).public,
                sealing_key=SealingKey(b"2" * 32).public,
            )
        )


def signer(device: DeviceId) -> SigningKey:
    return SigningKey(bytes([device]) * 32)


def envelope(
    name: str,
    device: DeviceId,
    *,
    sequence: int = 0,
    round_number: int = 1,
    family: str = FAMILY,
    policy: bytes = POLICY,
    purpose: Purpose = Purpose.CANDIDATE,
    by: SigningKey | None = None,
) -> bytes:
    """Return a candidate as this device seals it, or as one that cheats does."""
    owner = signer(device)
    return seal(
        b"an item",
        recipient=SealingKey(b"desk" * 8).public,
        scope=Scope(purpose=purpose, family=family, device=owner.public, item=item(name)),
        marks=Marks(epoch=bytes(16), sequence=sequence, round=round_number, policy=policy),
        signer=by or owner,
    )


def total(store: Store, name: str) -> list[int] | None:
    vector = store.total(name)
    return None if vector is None else vector.tolist()


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table."""
    return {
        table.name: [tuple(row.values()) for row in store.database.rows(select(table))]
        for table in TABLES.sorted_tables
    }


def keep_label_for(store: Store, name: str, device: DeviceId) -> None:
    store.meet(KnownDevice(id=device, evaluates=False, items=3, signing_key=b"", sealing_key=b""))
    store.keep_candidate(
        1, StoredCandidate(item=item(name), device=device, arm=0, envelope=b"sealed")
    )

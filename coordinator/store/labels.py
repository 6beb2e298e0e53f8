"""Sealed candidates, what people said of them, what it came to, and how far each label has come."""

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.database import Values
from coordinator.store.rows import Annotation, Claim, KeptLabel, StoredCandidate, StoredLabel
from coordinator.store.schema import (
    MONEY_UNIT,
    annotation,
    candidate,
    device,
    label,
    offer,
    pending,
)
from coordinator.store.scope import CampaignTables, of
from fieldvote.records import DeviceId

_KEEP_CANDIDATE = insert(candidate).on_conflict_do_nothing()
_WITH_LABEL = candidate.outerjoin(
    label, (label.c.campaign == candidate.c.campaign) & (label.c.item == candidate.c.item)
)
_QUEUE = (
    select(candidate)
    .select_from(_WITH_LABEL)
    .where(of(candidate), label.c.item.is_(None))
    .order_by(candidate.c.urgent.desc(), candidate.c.round, candidate.c.item)
)
_QUEUE_OF = _QUEUE.where(of(candidate, "round"))
_OLDEST = (
    select(func.min(candidate.c.round).label("round"))
    .select_from(_WITH_LABEL)
    .where(of(candidate), label.c.item.is_(None))
)
_OPEN = (
    select(func.count().label("count"))
    .select_from(_WITH_LABEL)
    .where(of(candidate, "round"), label.c.item.is_(None))
)
_OPEN_ANSWERS = (
    select(annotation)
    .select_from(
        annotation.outerjoin(
            label,
            (label.c.campaign == annotation.c.campaign) & (label.c.item == annotation.c.item),
        )
    )
    .where(of(annotation), label.c.item.is_(None))
    .order_by(annotation.c.item, annotation.c.at, annotation.c.annotator)
)
_ANSWERS = (
    select(annotation)
    .where(of(annotation))
    .order_by(annotation.c.item, annotation.c.at, annotation.c.annotator)
)
_MAY_COME = (  # granted, not here, and not refused either
    select(offer.c.round, func.count().label("count"))
    .select_from(
        offer.join(
            pending,
            (pending.c.campaign == offer.c.campaign)
            & (pending.c.round == offer.c.round)
            & (pending.c.device == offer.c.device)
            & (pending.c.phase == "collect"),
        ).outerjoin(
            candidate,
            (candidate.c.campaign == offer.c.campaign) & (candidate.c.item == offer.c.item),
        )
    )
    .where(of(offer), offer.c.granted, candidate.c.item.is_(None))
    .group_by(offer.c.round)
)
_MAY_BE_ANSWERED = (
    select(candidate.c.round, func.count().label("count"))
    .select_from(_WITH_LABEL)
    .where(of(candidate), label.c.item.is_(None))
    .group_by(candidate.c.round)
)
_UNCOUNTED = (
    select(
        candidate.c.round,
        func.count().label("count"),
        func.sum(annotation.c.price).label("price"),
    )
    .select_from(
        annotation.join(
            candidate,
            (candidate.c.campaign == annotation.c.campaign)
            & (candidate.c.item == annotation.c.item),
        )
    )
    .where(of(annotation), annotation.c.counted.is_(None))
    .group_by(candidate.c.round)
)
_CANDIDATES = select(func.count().label("count")).where(of(candidate, "round"))
_SAID = _ANSWERS.where(of(annotation, "item"))
_KEEP_ANNOTATION = insert(annotation).on_conflict_do_nothing()
_KEEP_LABEL = insert(label).on_conflict_do_nothing()
_COUNT = update(label).where(of(label), label.c.counted.is_(None))
_PAY = update(annotation).where(of(annotation), annotation.c.counted.is_(None))
_PRICED = select(
    func.count().label("count"), func.coalesce(func.sum(annotation.c.price), 0).label("price")
).where(of(annotation))
_PAID = _PRICED.where(of(annotation, "counted"))
# an answer that fits no class is paid, and is no label that anybody is sent
_COUNTED = select(func.count().label("count")).where(of(label, "counted"), label.c.label >= 0)
_LABELS = (
    select(label, candidate.c.round, candidate.c.device)
    .select_from(
        label.join(
            candidate,
            (label.c.campaign == candidate.c.campaign) & (label.c.item == candidate.c.item),
        )
    )
    .where(of(label))
    .order_by(candidate.c.round, label.c.item)
)
_TO_DELIVER = (
    select(candidate.c.device, label.c.item, label.c.envelope)
    .select_from(_WITH_LABEL)
    .where(of(label))
    .order_by(label.c.item)
)
_UNSENT = _TO_DELIVER.where(label.c.sent.is_(None), label.c.label >= 0)
_SENT = _TO_DELIVER.where(of(label, "sent"))
_MARK_SENT = update(label).where(of(label, "item"))
_MARK_DELIVERED = update(label).where(of(label, "item")).values(delivered=True)
_TEACHES = update(device).where(of(device, "id")).values(teaches=True)


class LabelTables(CampaignTables):
    """The way of an item: candidate, answers, label, counted, sent, delivered."""

    def keep_candidate(
        self, round_number: int, candidate: StoredCandidate, *, urgent: bool = False
    ) -> None:
        """Keep a sealed candidate; the first envelope stays. People see urgent ones first."""
        self._add(
            _KEEP_CANDIDATE,
            {
                "item": candidate.item,
                "device": candidate.device,
                "round": round_number,
                "arm": candidate.arm,
                "envelope": candidate.envelope,
                "urgent": urgent,
            },
        )

    def queue(self, round_number: int | None = None) -> list[StoredCandidate]:
        """Return candidates, of one round or all, that have no label yet.

        Urgent ones come first, then the oldest round.
        """
        rows = (
            self._rows(_QUEUE)
            if round_number is None
            else self._rows(_QUEUE_OF, the_round=round_number)
        )
        return [
            StoredCandidate(
                item=row["item"],
                device=DeviceId(row["device"]),
                arm=row["arm"],
                envelope=row["envelope"],
            )
            for row in rows
        ]

    def candidates(self, round_number: int) -> tuple[int, int]:
        """Return how many candidates a round brought, and how many of them have no label yet."""
        (all_,) = self._rows(_CANDIDATES, the_round=round_number)
        (open_,) = self._rows(_OPEN, the_round=round_number)
        return int(all_["count"]), int(open_["count"])

    def may_cost(self) -> dict[int, Claim]:
        """Return what each round's items may still cost, and what was given and not counted yet."""
        items: Counter[int] = Counter()
        for query in (_MAY_COME, _MAY_BE_ANSWERED):
            items.update({int(row["round"]): int(row["count"]) for row in self._rows(query)})
        given = {int(row["round"]): row for row in self._rows(_UNCOUNTED)}
        return {
            number: Claim(
                items=items[number],
                answers=int(given[number]["count"]) if number in given else 0,
                micro=int(given[number]["price"]) if number in given else 0,
            )
            for number in items.keys() | given.keys()
        }

    def oldest_waiting(self) -> int:
        """Return the first round that has a candidate without a label, 0 where none has."""
        (row,) = self._rows(_OLDEST)
        return int(row["round"] or 0)

    def keep_annotation(self, said: Annotation) -> None:
        """Keep what somebody said of an item; their first word stays."""
        self._add(
            _KEEP_ANNOTATION,
            {
                "item": said.item,
                "annotator": said.annotator,
                "label": said.label,
                "expert": said.expert,
                "price": round(said.price * MONEY_UNIT),
                "guideline": said.guideline,
                "at": self.database.now().isoformat(),
            },
        )

    def open_annotations(self) -> dict[bytes, list[Annotation]]:
        """Return what was said of items that have no label yet."""
        said: dict[bytes, list[Annotation]] = {}
        for row in self._rows(_OPEN_ANSWERS):
            said.setdefault(row["item"], []).append(_annotation(row))
        return said

    def annotations_of(self, item: bytes) -> list[Annotation]:
        """Return what was said of one item, the earliest first."""
        return [_annotation(row) for row in self._rows(_SAID, the_item=item)]

    def keep_label(self, kept: StoredLabel) -> None:
        """Keep what the answers came to, sealed for the item's device; the first stays."""
        self._add(
            _KEEP_LABEL,
            {
                "item": kept.item,
                "label": kept.label,
                "method": kept.method,
                "agreement": kept.agreement,
                "at": self.database.now().isoformat(),
                "envelope": kept.envelope,
                "delivered": False,
            },
        )

    def count_labels(self, round_number: int) -> tuple[int, int, float]:
        """Count the answers and labels no round has told of yet into this one.

        What came after its round's deadline counts in the round that finds it.

        Returns:
            How many labels, how many answers were paid, and what those cost.
        """
        with self._whole():
            self._change(_COUNT, {"counted": round_number})
            self._change(_PAY, {"counted": round_number})
            (labels,) = self._rows(_COUNTED, the_counted=round_number)
            (paid,) = self._rows(_PAID, the_counted=round_number)
        return int(labels["count"]), int(paid["count"]), int(paid["price"]) / MONEY_UNIT

    def kept_labels(self) -> list[KeptLabel]:
        """Return every label with where it came from, the oldest round first."""
        said: dict[bytes, list[tuple[Annotation, str]]] = {}
        for row in self._rows(_ANSWERS):
            said.setdefault(row["item"], []).append((_annotation(row), row["at"]))
        return [
            KeptLabel(
                label=StoredLabel(
                    item=row["item"],
                    label=row["label"],
                    method=row["method"],
                    agreement=row["agreement"],
                    envelope=row["envelope"],
                ),
                round=row["round"],
                device=DeviceId(row["device"]),
                at=row["at"],
                counted=row["counted"],
                delivered=row["delivered"],
                answers=tuple(said.get(row["item"], ())),
            )
            for row in self._rows(_LABELS)
        ]

    def undelivered(self) -> dict[DeviceId, list[tuple[bytes, bytes]]]:
        """Return the answers no request carries yet, by device: item and sealed answer."""
        waiting: dict[DeviceId, list[tuple[bytes, bytes]]] = {}
        for row in self._rows(_UNSENT):
            waiting.setdefault(DeviceId(row["device"]), []).append((row["item"], row["envelope"]))
        return waiting

    def mark_sent(self, round_number: int, items: Iterable[bytes]) -> None:
        """Remember which round's request carries these answers."""
        rows: list[Values] = [{"sent": round_number, "the_item": item} for item in items]
        self._change(_MARK_SENT, *rows)

    def sent(self, round_number: int) -> dict[DeviceId, list[bytes]]:
        """Return the items whose answers a round's requests carry, by device."""
        carried: dict[DeviceId, list[bytes]] = {}
        for row in self._rows(_SENT, the_sent=round_number):
            carried.setdefault(DeviceId(row["device"]), []).append(row["item"])
        return carried

    def mark_delivered(self, device: DeviceId, items: Iterable[bytes]) -> None:
        """Remember that a device has taken these answers, and teaches from now on."""
        with self._whole():
            self._change(_TEACHES, {"the_id": device})
            self._change(_MARK_DELIVERED, *({"the_item": item} for item in items))

    def paid(self) -> tuple[int, float]:
        """Return how many answers the campaign bought, and what they cost."""
        (row,) = self._rows(_PRICED)
        return int(row["count"]), int(row["price"]) / MONEY_UNIT


def _annotation(row: RowMapping) -> Annotation:
    """Read a row back."""
    return Annotation(
        item=row["item"],
        annotator=row["annotator"],
        label=row["label"],
        expert=row["expert"],
        price=row["price"] / MONEY_UNIT,
        guideline=row["guideline"],
    )

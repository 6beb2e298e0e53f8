"""Sealed candidates, the answers that people gave, and how far each answer has come."""

from collections.abc import Iterable

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.database import Values
from coordinator.store.rows import StoredCandidate
from coordinator.store.schema import MONEY_UNIT, candidate, device, label
from coordinator.store.scope import CampaignTables, of
from fieldvote.records import Answer, DeviceId

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
_CANDIDATES = select(func.count().label("count")).where(of(candidate, "round"))
_KEEP_LABEL = insert(label).on_conflict_do_nothing()
_COUNT = update(label).where(of(label), label.c.counted.is_(None))
_PRICED = select(
    func.count().label("count"), func.coalesce(func.sum(label.c.price), 0).label("price")
).where(of(label))
_COUNTED = _PRICED.where(of(label, "counted"))
_TO_DELIVER = (
    select(candidate.c.device, label.c.item, label.c.envelope)
    .select_from(_WITH_LABEL)
    .where(of(label))
    .order_by(label.c.item)
)
_UNSENT = _TO_DELIVER.where(label.c.sent.is_(None))
_SENT = _TO_DELIVER.where(of(label, "sent"))
_MARK_SENT = update(label).where(of(label, "item"))
_MARK_DELIVERED = update(label).where(of(label, "item")).values(delivered=True)
_TEACHES = update(device).where(of(device, "id")).values(teaches=True)


class LabelTables(CampaignTables):
    """The way of an item: candidate, answer, counted, sent, delivered."""

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

    def queue(self) -> list[StoredCandidate]:
        """Return candidates that wait for an answer: urgent ones first, then the oldest round."""
        return [
            StoredCandidate(
                item=row["item"],
                device=DeviceId(row["device"]),
                arm=row["arm"],
                envelope=row["envelope"],
            )
            for row in self._rows(_QUEUE)
        ]

    def candidates(self, round_number: int) -> tuple[int, int]:
        """Return how many candidates a round brought, and how many of them wait for people."""
        (all_,) = self._rows(_CANDIDATES, the_round=round_number)
        (open_,) = self._rows(_OPEN, the_round=round_number)
        return int(all_["count"]), int(open_["count"])

    def oldest_waiting(self) -> int:
        """Return the first round that has a candidate waiting for people, 0 where none has."""
        (row,) = self._rows(_OLDEST)
        return int(row["round"] or 0)

    def keep_label(self, answer: Answer, price: float, envelope: bytes) -> None:
        """Keep an answer, sealed for its device; the first stays.

        Args:
            answer: What was answered.
            price: What it cost, in the campaign's currency; kept in whole millionths.
            envelope: The answer, sealed.
        """
        self._add(
            _KEEP_LABEL,
            {
                "item": answer.item,
                "label": answer.label,
                "price": round(price * MONEY_UNIT),
                "envelope": envelope,
                "delivered": False,
            },
        )

    def count_labels(self, round_number: int) -> tuple[int, float]:
        """Count the answers no round has told of yet into this one. Return how many, and cost.

        An answer that came after its round's deadline counts in the round that finds it.
        """
        with self._whole():
            self._change(_COUNT, {"counted": round_number})
            (row,) = self._rows(_COUNTED, the_counted=round_number)
        return int(row["count"]), int(row["price"]) / MONEY_UNIT

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

    def labels(self) -> tuple[int, float]:
        """Return how many answers the campaign bought, and what they cost."""
        (row,) = self._rows(_PRICED)
        return int(row["count"]), int(row["price"]) / MONEY_UNIT

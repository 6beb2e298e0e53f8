"""What came in over the exchanges of a round: messages counted once, sums, devices, offers."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import RowMapping, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.database import Values
from coordinator.store.rows import KnownDevice, StoredOffer, message_name
from coordinator.store.schema import device, inbox, label, offer, pending, replay, total
from coordinator.store.scope import CampaignTables, of
from fieldvote.errors import SealError, StoreError
from fieldvote.records import ARM_SEED, DeviceId
from privacy.sealing.replay import Window

_ADMIT = insert(inbox).on_conflict_do_nothing()
_ARE_IN = select(inbox.c.message).where(of(inbox), inbox.c.message.like(bindparam("prefix")))
_ANSWERED = delete(pending).where(of(pending, "message"))
_EXPECT = insert(pending).on_conflict_do_nothing()
_LAST_PLACE = select(func.coalesce(func.max(pending.c.place), 0).label("place")).where(
    of(pending, "round")
)
_EXPECTED = (
    select(pending.c.device, pending.c.message, pending.c.request)
    .where(of(pending, "round", "phase"))
    .order_by(pending.c.device)
)
_OVERDUE = (
    select(pending.c.round, pending.c.phase)
    .where(of(pending), pending.c.round < bindparam("before"))
    .group_by(pending.c.round, pending.c.phase)
    .order_by(pending.c.round, func.min(pending.c.place))
)
_WITHDRAW = delete(pending).where(of(pending, "round", "phase"))
_TOTAL = select(total.c.vector).where(of(total, "name"))
_ADD_TOTAL = insert(total)
_KEEP_TOTAL = _ADD_TOTAL.on_conflict_do_update(
    index_elements=["campaign", "name"], set_={"vector": _ADD_TOTAL.excluded.vector}
)
_MEET = insert(device).on_conflict_do_nothing()
_DEVICES = select(device).where(of(device)).order_by(device.c.id)
_DEVICE = select(device).where(of(device, "id"))
_WINDOW = select(replay.c.seen).where(of(replay, "device", "epoch"))
_ADD_WINDOW = insert(replay)
_KEEP_WINDOW = _ADD_WINDOW.on_conflict_do_update(
    index_elements=["campaign", "device", "epoch"], set_={"seen": _ADD_WINDOW.excluded.seen}
)
_KEEP_OFFER = insert(offer).on_conflict_do_nothing()
_OFFERS = select(offer).where(of(offer, "round")).order_by(offer.c.item)
_GRANTED = _OFFERS.where(offer.c.granted)
_ASKED = (  # granted and labeled, or shown again by its device
    select(offer)
    .select_from(
        offer.outerjoin(
            label, (label.c.campaign == offer.c.campaign) & (label.c.item == offer.c.item)
        )
    )
    .where(
        of(offer),
        offer.c.round > bindparam("since"),
        offer.c.round < bindparam("before"),
        or_(
            offer.c.granted & label.c.item.is_not(None),
            (offer.c.arm == ARM_SEED) & (offer.c.score > 0),
        ),
    )
    .order_by(offer.c.round.desc(), offer.c.item)
    .limit(bindparam("most"))
)
_GRANT = update(offer).where(of(offer, "round", "item")).values(granted=True)


class ExchangeTables(CampaignTables):
    """What devices were asked, what they said, and what it adds up to."""

    def admit(self, message: str) -> bool:
        """Return whether this message is new, and remember it."""
        with self._whole():
            new = self._add(_ADMIT, {"message": message}) == 1
            self._change(_ANSWERED, {"the_message": message})
        return new

    def expect_all(self, round_number: int, phase: str, requests: Mapping[DeviceId, bytes]) -> None:
        """Keep the requests of an exchange until their replies are counted; the first stay.

        Asked again with the same bytes, a device answers with the same bytes: so a reply that was
        lost on its way is not lost to the sums.
        """
        with self._whole():
            prefix = message_name(round_number, phase, DeviceId(0)).removesuffix("0")
            known = {row["message"] for row in self._rows(_ARE_IN, prefix=f"{prefix}%")}
            (last,) = self._rows(_LAST_PLACE, the_round=round_number)
            named = ((message_name(round_number, phase, d), d, r) for d, r in requests.items())
            rows: list[Values] = [
                {
                    "message": message,
                    "round": round_number,
                    "phase": phase,
                    "device": device,
                    "place": last["place"] + 1 + place,
                    "request": request,
                }
                for place, (message, device, request) in enumerate(named)
                if message not in known
            ]
            self._add(_EXPECT, *rows)

    def expected(self, round_number: int, phase: str) -> dict[DeviceId, bytes]:
        """Return the requests of one exchange that have no counted reply, by device."""
        rows = self._rows(_EXPECTED, the_round=round_number, the_phase=phase)
        return {DeviceId(row["device"]): row["request"] for row in rows}

    def overdue(self, round_number: int) -> list[tuple[int, str]]:
        """Return round and phase of earlier exchanges that still miss a reply, oldest first."""
        rows = self._rows(_OVERDUE, before=round_number)
        return [(row["round"], row["phase"]) for row in rows]

    def withdraw(self, round_number: int, phase: str) -> None:
        """Forget the requests of an exchange that have no counted reply: nobody wants one now."""
        self._change(_WITHDRAW, {"the_round": round_number, "the_phase": phase})

    def total(self, name: str) -> NDArray[np.int64] | None:
        """Return a sum over devices, None if nothing was added yet."""
        rows = self._rows(_TOTAL, the_name=name)
        return np.frombuffer(rows[0]["vector"], dtype="<i8").astype(np.int64) if rows else None

    def add(self, name: str, vector: NDArray[np.int64]) -> None:
        """Add a vector to a sum."""
        self.add_many(name, [vector])

    def add_many(self, name: str, vectors: Iterable[NDArray[np.int64]]) -> None:
        """Add vectors to a sum, which is read and written once however many they are.

        Raises:
            StoreError: one has another length than the sum; nothing was added.
        """
        with self._whole():
            moved = self.total(name)
            for vector in vectors:
                if moved is None:
                    moved = vector.astype(np.int64)  # a copy: the first vector stays as it is
                elif moved.shape == vector.shape:
                    moved += vector
                else:
                    raise StoreError(
                        f"{name} has {len(moved)} entries, {len(vector)} were to be added"
                    )
            if moved is not None:
                self._add(_KEEP_TOTAL, {"name": name, "vector": moved.astype("<i8").tobytes()})

    def keep_total(self, name: str, vector: NDArray[np.int64]) -> None:
        """Put a sum in the place of the one before, of whatever length."""
        self._add(_KEEP_TOTAL, {"name": name, "vector": vector.astype("<i8").tobytes()})

    def meet(self, device: KnownDevice) -> None:
        """Remember a device; the keys it came with first stay."""
        self._add(
            _MEET,
            {
                "id": device.id,
                "evaluates": device.evaluates,
                "items": device.items,
                "signing_key": device.signing_key,
                "sealing_key": device.sealing_key,
                "teaches": False,
            },
        )

    def devices(self) -> dict[DeviceId, KnownDevice]:
        """Return every device known, by id."""
        return {DeviceId(row["id"]): _known(row) for row in self._rows(_DEVICES)}

    def device(self, number: DeviceId) -> KnownDevice | None:
        """Return a device, None if nobody has met it."""
        rows = self._rows(_DEVICE, the_id=number)
        return _known(rows[0]) if rows else None

    def admit_envelope(self, device: DeviceId, epoch: bytes, sequence: int) -> bool:
        """Return whether a device's envelope is new, and remember it.

        Call it inside the transaction that keeps what is in the envelope.
        """
        with self._whole():
            rows = self._rows(_WINDOW, the_device=device, the_epoch=epoch)
            window = Window.from_bytes(rows[0]["seen"] if rows else None)
            try:
                window = window.admit(sequence)
            except SealError:
                return False
            self._add(_KEEP_WINDOW, {"device": device, "epoch": epoch, "seen": window.to_bytes()})
        return True

    def keep_offers(self, round_number: int, offers: Iterable[StoredOffer]) -> None:
        """Keep the offers of a round until it is selected from."""
        rows: list[Values] = [
            {
                "round": round_number,
                "device": offer.device,
                "item": offer.item,
                "arm": offer.arm,
                "score": offer.score,
                "predicted": offer.predicted,
                "sketch": offer.sketch,
                "granted": False,
            }
            for offer in offers
        ]
        self._add(_KEEP_OFFER, *rows)

    def offers(self, round_number: int, *, granted: bool = False) -> list[StoredOffer]:
        """Return a round's offers, or its granted ones, by item id, so that ties go by id."""
        rows = self._rows(_GRANTED if granted else _OFFERS, the_round=round_number)
        return [_offer(row) for row in rows]

    def asked_offers(self, *, since: int, before: int, most: int) -> list[StoredOffer]:
        """Return the newest offers of items that people have labeled, and of seeds shown again.

        Args:
            since: Of rounds after this one.
            before: And before this one.
            most: How many at most.
        """
        return [_offer(row) for row in self._rows(_ASKED, since=since, before=before, most=most)]

    def grant(self, round_number: int, items: Iterable[bytes]) -> None:
        """Remember which offers of a round are asked for."""
        rows: list[Values] = [{"the_round": round_number, "the_item": item} for item in items]
        self._change(_GRANT, *rows)


def _offer(row: RowMapping) -> StoredOffer:
    """Read a row back."""
    return StoredOffer(
        device=DeviceId(row["device"]),
        item=row["item"],
        arm=row["arm"],
        score=row["score"],
        predicted=row["predicted"],
        sketch=row["sketch"],
    )


def _known(row: RowMapping) -> KnownDevice:
    """Read a row back."""
    return KnownDevice(
        id=DeviceId(row["id"]),
        evaluates=row["evaluates"],
        items=row["items"],
        signing_key=row["signing_key"],
        sealing_key=row["sealing_key"],
        teaches=row["teaches"],
    )

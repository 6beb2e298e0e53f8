"""What is still to be done: timers that will go off, and effects that are owed to the world.

An effect is done at least once and told apart by its key, so it may be done again after a crash;
a timer goes off once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.database import Values
from coordinator.store.schema import outbox, timer
from coordinator.store.scope import CampaignTables, of
from fieldvote.errors import InputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_ADD_TIMER = insert(timer)
_SET_TIMER = _ADD_TIMER.on_conflict_do_update(
    index_elements=["campaign", "key"],
    set_={"due_us": _ADD_TIMER.excluded.due_us},
    where=timer.c.fired.is_(False),
)
_TIMERS = (
    select(timer).where(of(timer), timer.c.fired.is_(False)).order_by(timer.c.due_us, timer.c.key)
)
_DUE = _TIMERS.where(timer.c.due_us <= bindparam("until_us"))
_FIRE = update(timer).where(of(timer, "key"), timer.c.fired.is_(False)).values(fired=True)
_LAST_PLACE = select(func.coalesce(func.max(outbox.c.place), 0).label("place")).where(of(outbox))
_OWE = insert(outbox).on_conflict_do_nothing()
_OWED = select(outbox).where(of(outbox), outbox.c.settled.is_(False)).order_by(outbox.c.place)
_SETTLE = update(outbox).where(of(outbox, "key")).values(settled=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Something that is to happen at a time."""

    key: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An effect that is owed; its receiver knows it by its key."""

    key: str
    kind: str
    body: bytes


class PromiseTables(CampaignTables):
    """Timers and the outbox."""

    def set_timer(self, key: str, due_at: datetime) -> None:
        """Set a timer, or move it; one that has gone off stays off.

        Raises:
            InputError: due_at names no time zone.
        """
        self._add(_SET_TIMER, {"key": key, "due_us": _microseconds(due_at), "fired": False})

    def due_timers(self, now: datetime) -> list[Timer]:
        """Return the timers that should have gone off by now, earliest first."""
        return _as_timers(self._rows(_DUE, until_us=_microseconds(now)))

    def fire_timer(self, key: str) -> bool:
        """Mark a timer as gone off; return whether this is the first time."""
        return self._change(_FIRE, {"the_key": key}) == 1

    def timers(self) -> list[Timer]:
        """Return the timers that have not gone off, earliest first."""
        return _as_timers(self._rows(_TIMERS))

    def owe(self, key: str, kind: str, body: bytes) -> bool:
        """Remember an effect before it is done; return whether it is new. The first word counts."""
        with self._whole():
            (last,) = self._rows(_LAST_PLACE)
            row: Values = {"key": key, "place": last["place"] + 1, "kind": kind, "body": body}
            return self._add(_OWE, {**row, "settled": False}) == 1

    def owed(self) -> list[Owed]:
        """Return the effects that are not settled, in the order they came up."""
        return [
            Owed(key=row["key"], kind=row["kind"], body=row["body"]) for row in self._rows(_OWED)
        ]

    def settle(self, key: str) -> None:
        """Remember that an effect was done; settling twice changes nothing.

        Raises:
            InputError: nothing is owed under this key.
        """
        if not self._change(_SETTLE, {"the_key": key}):
            raise InputError(f"nothing is owed as '{key}'")


def _microseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise InputError("a time without a time zone could mean any hour")
    return (moment - _EPOCH) // _MICROSECOND


def _as_timers(rows: Sequence[RowMapping]) -> list[Timer]:
    return [Timer(key=row["key"], due_at=_EPOCH + row["due_us"] * _MICROSECOND) for row in rows]

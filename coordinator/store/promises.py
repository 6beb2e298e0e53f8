"""What is owed to the world: commands of people and other effects, each told apart by its key.

An effect is done at least once, so it may be done again after a crash. Deadlines are no rows here:
they are part of the events that set them.
"""

from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.database import Values
from coordinator.store.schema import outbox
from coordinator.store.scope import CampaignTables, of
from fieldvote.errors import InputError

_LAST_PLACE = select(func.coalesce(func.max(outbox.c.place), 0).label("place")).where(of(outbox))
_OWE = insert(outbox).on_conflict_do_nothing()
_OWED = select(outbox).where(of(outbox), outbox.c.settled.is_(False)).order_by(outbox.c.place)
_SETTLE = update(outbox).where(of(outbox, "key")).values(settled=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An effect that is owed; its receiver knows it by its key."""

    key: str
    kind: str
    body: bytes


class PromiseTables(CampaignTables):
    """The outbox."""

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

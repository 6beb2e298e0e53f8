"""One budget over everything a campaign may spend: reserved before, settled after, never past it.

Whole numbers only, so that sums never drift: labels count answers, bytes count bytes, money and
epsilon count millionths.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert  # its ON CONFLICT is SQLite's too

from coordinator.store.database import Values
from coordinator.store.schema import budget, budget_entry
from coordinator.store.scope import CampaignTables, of
from fieldvote.errors import BudgetSpentError, InputError


class Resource(StrEnum):
    """What can be spent, and in which unit it is counted."""

    LABELS = "labels"  # answers
    MONEY = "money"  # millionths of the campaign's currency
    BYTES = "bytes"  # bytes
    EPSILON = "epsilon"  # millionths
    MINUTES = "minutes"  # of annotators; counted in seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Where one resource stands.

    Attributes:
        reserved: Promised, and not settled yet.
        spent: Settled.
    """

    reserved: int = 0
    spent: int = 0


_ENTRY = select(budget_entry).where(of(budget_entry, "key"))
_UNSETTLED = select(budget_entry.c.key).where(of(budget_entry), budget_entry.c.spent.is_(None))
_ADD_ENTRY = insert(budget_entry)
_SETTLE_ENTRY = update(budget_entry).where(of(budget_entry, "key"))
_BUDGET = select(budget).where(of(budget))
_ADD_BUDGET = upsert(budget)
_KEEP_BUDGET = _ADD_BUDGET.on_conflict_do_update(
    index_elements=["campaign", "resource"],
    set_={name: _ADD_BUDGET.excluded[name] for name in ("reserved", "spent")},
)


class BudgetTables(CampaignTables):
    """What a campaign has promised and paid."""

    def reserve(self, key: str, resource: Resource, amount: int, limit: int) -> None:
        """Reserve an amount, once for each key; call it inside the transaction of its cause.

        Raises:
            BudgetSpentError: with what is reserved and spent, it would pass the limit.
            InputError: the amount is negative, or the key reserves something else already.
        """
        if amount < 0:
            raise InputError(f"{resource}: expected 0 or more to reserve, got {amount}")
        with self._whole():
            for entry in self._rows(_ENTRY, the_key=key):
                if (entry["resource"], entry["reserved"]) != (resource.value, amount):
                    raise InputError(f"'{key}' reserves another amount or resource already")
                return
            so_far = self.budget()[resource]
            left = limit - so_far.reserved - so_far.spent
            if amount > left:
                raise BudgetSpentError(resource.value, asked=amount, left=max(left, 0), limit=limit)
            row: Values = {"key": key, "resource": resource.value, "reserved": amount}
            self._add(_ADD_ENTRY, {**row, "over": False})
            self._keep(resource, reserved=so_far.reserved + amount, spent=so_far.spent)

    def settle_budget(self, key: str, spent: int, *, over: bool = False) -> None:
        """Say what a reservation came to; the rest of it is free again. The first word counts.

        Args:
            key: Of the reservation.
            spent: What it came to.
            over: Whether it may be more than was reserved: what is spent already cannot be refused.

        Raises:
            InputError: nothing was reserved under this key, or it was less.
        """
        with self._whole():
            rows = self._rows(_ENTRY, the_key=key)
            if not rows:
                raise InputError(f"nothing is reserved as '{key}'")
            reserved, above = rows[0]["reserved"], spent > rows[0]["reserved"]
            if rows[0]["spent"] is not None:
                return
            if spent < 0 or (above and not over):
                raise InputError(f"'{key}' reserved {reserved}, {spent} cannot be settled")
            resource = Resource(rows[0]["resource"])
            so_far = self.budget()[resource]
            self._change(_SETTLE_ENTRY, {"the_key": key, "spent": spent, "over": above})
            self._keep(resource, reserved=so_far.reserved - reserved, spent=so_far.spent + spent)

    def unsettled(self) -> frozenset[str]:
        """Return the keys of reservations that are not settled yet."""
        return frozenset(row["key"] for row in self._rows(_UNSETTLED))

    def budget(self) -> dict[Resource, Spending]:
        """Return where every resource stands."""
        found = {
            Resource(row["resource"]): Spending(reserved=row["reserved"], spent=row["spent"])
            for row in self._rows(_BUDGET)
        }
        return {resource: found.get(resource, Spending()) for resource in Resource}

    def _keep(self, resource: Resource, *, reserved: int, spent: int) -> None:
        """Move the sums of a resource."""
        self._add(_KEEP_BUDGET, {"resource": resource.value, "reserved": reserved, "spent": spent})

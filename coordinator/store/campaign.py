"""The coordinator's memory of one campaign: it survives a kill at any instruction.

A step of a round is one transaction: replies counted in, totals moved, events appended, the model
they name kept. Either all of it is there after a crash, or none.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from coordinator.store.artifacts import ArtifactTables
from coordinator.store.budget import BudgetTables
from coordinator.store.database import Database
from coordinator.store.events import EventTables
from coordinator.store.exchanges import ExchangeTables
from coordinator.store.label_counts import LabelCountTables
from coordinator.store.labels import LabelTables
from coordinator.store.leases import Lease
from coordinator.store.promises import PromiseTables
from coordinator.store.scope import FIRST_CAMPAIGN
from privacy.sealing.at_rest import KeySource


class Store(
    EventTables,
    ExchangeTables,
    LabelTables,
    LabelCountTables,
    PromiseTables,
    BudgetTables,
    ArtifactTables,
):
    """One campaign's tables. What belongs together is written inside `transaction`."""

    def guarded_by(self, lease: Lease) -> "Store":
        """Return this store as its leader sees it: it writes only as long as the lease is ours."""
        return Store(self.database, self.campaign, lease=lease)

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()


def open_store(
    place: Path | str | None,
    *,
    now: Callable[[], datetime],
    campaign: str = FIRST_CAMPAIGN,
    custody: KeySource | None = None,
) -> Store:
    """Open one campaign's store: see `Database.open`."""
    return Store(Database.open(place, now=now, custody=custody), campaign)

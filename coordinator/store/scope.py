"""The rule that every table of a campaign keeps: nothing is written but by whoever leads.

A store with a lease looks at the lease's row in each transaction before its first write, and on
PostgreSQL holds that row until the end: a takeover waits for a step that is under way, and a step
after the takeover finds another token and stops.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Executable, RowMapping, Table, and_, bindparam, select
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.database import Database, Value, Values
from coordinator.store.leases import Lease
from coordinator.store.schema import campaign as campaign_table

FIRST_CAMPAIGN = "first"

_ADD_CAMPAIGN = insert(campaign_table).on_conflict_do_nothing()
_LOCK_CAMPAIGN = (
    select(campaign_table.c.name)
    .where(campaign_table.c.name == bindparam("campaign"))
    .with_for_update()
)


class CampaignTables:
    """What belongs to one campaign of a database; the rooms of the store build on it."""

    def __init__(
        self, database: Database, campaign: str = FIRST_CAMPAIGN, *, lease: Lease | None = None
    ) -> None:
        """Read and write this campaign, as long as the lease is ours if one is given."""
        self.database = database
        self.campaign = campaign
        self._lease = lease
        self._entered = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside durable together, or not at all.

        Raises:
            FencedError: another holder leads.
            StoreError: the store would not take it.
        """
        with self.database.transaction():
            self._enter()
            yield

    def _enter(self) -> None:
        """Look, once in a transaction, whether we may write, and keep other writers out."""
        if self._entered == self.database.turn:
            return
        if self._lease is not None:
            self._lease.check(self.database)
        if self.database.is_postgres:
            # SQLite's BEGIN IMMEDIATE keeps every other writer out already
            mine: Values = {"campaign": self.campaign}
            if not self.database.rows(_LOCK_CAMPAIGN, mine):
                self.database.change(_ADD_CAMPAIGN, {"name": self.campaign})
                self.database.rows(_LOCK_CAMPAIGN, mine)
        self._entered = self.database.turn

    def _rows(self, query: Executable, **values: Value) -> Sequence[RowMapping]:
        """Return what a query finds of this campaign."""
        return self.database.rows(query, {"the_campaign": self.campaign, **values})

    def _add(self, statement: Executable, *rows: Values) -> int:
        """Insert rows of this campaign; return how many were new."""
        return self._write(statement, [{"campaign": self.campaign, **row} for row in rows])

    def _change(self, statement: Executable, *values: Values) -> int:
        """Update or delete rows of this campaign, once for each of these values."""
        return self._write(statement, [{"the_campaign": self.campaign, **row} for row in values])

    def _write(self, statement: Executable, rows: Sequence[Values]) -> int:
        """Write inside the transaction, or as one of its own where there is none."""
        with self._whole():
            return self.database.change(statement, rows[0] if len(rows) == 1 else rows)

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Join the transaction we are inside, or make one of what is inside here.

        A look that a write depends on belongs inside too: nobody else writes in between.
        """
        if not self.database.turn:
            with self.database.transaction():
                self._enter()
                yield
        else:
            self._enter()
            yield


def of(table: Table, *columns: str) -> ColumnElement[bool]:
    """Return that a row is the campaign's and these columns are as given, each by its the_NAME.

    An update takes every other value it is given as the column to set.

    >>> print(of(campaign_table.metadata.tables["note"], "name"))
    note.campaign = :the_campaign AND note.name = :the_name
    """
    return and_(*(table.c[name] == bindparam(f"the_{name}") for name in ("campaign", *columns)))

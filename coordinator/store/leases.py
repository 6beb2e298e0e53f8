"""Who leads: a lease runs out by itself, and its token keeps a leader out who does not know it yet.

Time is the database's own, never that of a leader's host. On PostgreSQL it is the server's clock.
An SQLite file lives on one machine, whose processes share one uptime, which no clock change moves.
A lease counts as held only while less than its own length is left of it: after a restart, or a
server clock set back, the remainder would be longer than a lease ever is, and it has run out.
What a holder on the same machine left behind when it died need not run out: see `acquire`.

Running out is for whoever wants to lead next. Whether a step may be stored is asked of the token
alone: it grows with every holder, is compared inside the step's own transaction, and so holds
however wrong a clock is.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.database import Database
from coordinator.store.schema import lease as table
from fieldvote.errors import FencedError, SettingsError

_FIND = select(table).where(table.c.name == bindparam("the_name"))
_TAKE = _FIND.with_for_update()
_HOLD = _FIND.with_for_update(read=True)
_ADD = insert(table).on_conflict_do_nothing()
_MOVE = update(table).where(table.c.name == bindparam("the_name"))
_SERVER_CLOCK = select((func.extract("epoch", func.clock_timestamp()) * 1_000_000).label("now"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to lead, for a while.

    Attributes:
        name: What is led.
        holder: Who leads, in words for people.
        token: Grows with every holder.
        ttl_s: How long it lasts after each renewal, in seconds.
        database: Where it is written down.
    """

    name: str
    holder: str
    token: int
    ttl_s: float
    database: Database = field(repr=False)

    @staticmethod
    def acquire(
        database: Database,
        name: str,
        holder: str,
        ttl_s: float,
        *,
        is_gone: Callable[[str], bool] = lambda _: False,
    ) -> "Lease":
        """Take a lease that nobody holds, or that has run out.

        A holder of the same name is another one: two programs may have been given one name.

        Args:
            database: Where it is written down.
            name: What is led.
            holder: Who wants to lead.
            ttl_s: How long it lasts after each renewal, in seconds.
            is_gone: Whether a holder is known to have died, so that its lease need not run out.
                Asked of an SQLite file only, where whoever may hold it is on this machine.

        Raises:
            FencedError: somebody else holds it; try again when it may have run out.
        """
        if not ttl_s > 0:
            raise SettingsError(f"ttl_s: expected more than 0, got {ttl_s}")
        with database.transaction():
            database.change(
                _ADD, {"name": name, "holder": "", "token": 0, "until_us": 0, "ttl_us": 0}
            )
            (row,) = database.rows(_TAKE, {"the_name": name})
            held = 0 < row["until_us"] - _now_us(database) <= row["ttl_us"]
            if held and (database.is_postgres or not is_gone(row["holder"])):
                raise FencedError(name, row["holder"])
            lease = Lease(
                name=name, holder=holder, token=row["token"] + 1, ttl_s=ttl_s, database=database
            )
            lease._write(holder, token=lease.token, left_s=ttl_s)
        return lease

    def renew(self) -> None:
        """Lead for another while; also after it ran out, if nobody took it.

        Raises:
            FencedError: another holder leads.
        """
        with self.database.transaction():
            self._check(self.database, for_good=True)
            self._write(self.holder, token=self.token, left_s=self.ttl_s)

    def release(self) -> None:
        """Let the next one lead at once; nothing happens if one does already."""
        with self.database.transaction():
            (row,) = self.database.rows(_TAKE, {"the_name": self.name})
            if row["token"] == self.token:
                # a higher token: a release fences off our own late writers too
                self._write("", token=self.token + 1, left_s=0.0)

    def check(self, database: Database) -> None:
        """Make sure that the transaction we are inside is the leader's, until it ends.

        Raises:
            FencedError: another holder leads.
        """
        self._check(database, for_good=False)

    def _check(self, database: Database, *, for_good: bool) -> None:
        """Compare tokens and, on PostgreSQL, hold the row so that no takeover slips in between."""
        rows = database.rows(_TAKE if for_good else _HOLD, {"the_name": self.name})
        if not rows or rows[0]["token"] != self.token:
            raise FencedError(self.name, (rows[0]["holder"] if rows else "") or "nobody")

    def _write(self, holder: str, *, token: int, left_s: float) -> None:
        """Put this in the lease's row."""
        self.database.change(
            _MOVE,
            {
                "the_name": self.name,
                "holder": holder,
                "token": token,
                "until_us": _now_us(self.database) + round(left_s * 1_000_000),
                "ttl_us": round(left_s * 1_000_000),
            },
        )


def _now_us(database: Database) -> int:
    """Return microseconds by the one clock that every holder shares."""
    if database.is_postgres:
        return int(database.rows(_SERVER_CLOCK)[0]["now"])
    return time.monotonic_ns() // 1000

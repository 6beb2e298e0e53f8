"""Every table of the coordinator, once, for SQLite and for PostgreSQL.

One database may hold many campaigns: what belongs to one carries its name. Event and inbox tables
only ever grow. Whole numbers are exact: money is counted in millionths of the campaign's currency,
moments in microseconds since 1970 (UTC).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

TABLES = MetaData()
MONEY_UNIT = 1_000_000  # millionths in one unit of the campaign's currency
SHARE_UNIT = 1_000_000  # millionths in a whole


def _table(name: str, *parts: Column[int] | Column[str] | Column[bytes] | Column[bool] | Index |
           PrimaryKeyConstraint | ForeignKeyConstraint) -> Table:  # fmt: skip
    """Return a table that SQLite keeps in the order of its key, so a row is one place on disk."""
    return Table(name, TABLES, *parts, sqlite_with_rowid=False)


def _whole(name: str, *, optional: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=optional)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean(create_constraint=False), nullable=False, default=False)


# What this database is: one row, 'schema'. It is what tells ours from somebody else's.
meta = _table("fieldvote_meta", _text("name"), _text("value"), PrimaryKeyConstraint("name"))

# One row per campaign; a writer on PostgreSQL locks it, as SQLite's writer locks the file.
campaign = _table("campaign", _text("name"), PrimaryKeyConstraint("name"))

event = _table(
    "event",
    _text("campaign"),
    _text("stream"),
    _whole("version"),  # 0, 1, 2, ... within the stream; two writers cannot both win
    _text("kind"),
    _text("body"),
    _text("at"),  # what the clock said; the order is by version, whatever the clock does
    _bytes("hash"),  # over the event before and everything here; see coordinator.store.chain
    PrimaryKeyConstraint("campaign", "stream", "version"),
)

snapshot = _table(  # the newest state of a stream, so that a restart need not replay it all
    "snapshot",
    _text("campaign"),
    _text("stream"),
    _whole("version"),  # the last event that is in the state
    _bytes("state"),
    _bytes("digest"),  # SHA-256 of the state
    PrimaryKeyConstraint("campaign", "stream"),
    ForeignKeyConstraint(
        ["campaign", "stream", "version"], ["event.campaign", "event.stream", "event.version"]
    ),
)

inbox = _table(  # what was counted already
    "inbox", _text("campaign"), _text("message"), PrimaryKeyConstraint("campaign", "message")
)

pending = _table(  # requests that change a device and have no counted reply yet
    "pending",
    _text("campaign"),
    _text("message"),
    _whole("round"),
    _text("phase"),
    _whole("device"),
    _whole("place"),  # counts up within the round: which exchange was first
    _bytes("request"),
    PrimaryKeyConstraint("campaign", "message"),
    Index("pending_place", "campaign", "round", "place"),
)

total = _table(  # sums over devices
    "total",
    _text("campaign"),
    _text("name"),
    _bytes("vector"),  # int64, little-endian
    PrimaryKeyConstraint("campaign", "name"),
)

device = _table(
    "device",
    _text("campaign"),
    _whole("id"),
    _flag("evaluates"),
    _whole("items"),
    _bytes("signing_key"),
    _bytes("sealing_key"),
    _flag("teaches"),  # whether answers were delivered to it
    PrimaryKeyConstraint("campaign", "id"),
)

offer = _table(
    "offer",
    _text("campaign"),
    _whole("round"),
    _whole("device"),
    _bytes("item"),
    _whole("arm"),
    _whole("score"),
    _whole("predicted"),
    _bytes("sketch"),
    _flag("granted"),
    PrimaryKeyConstraint("campaign", "round", "item"),
)

replay = _table(  # which envelopes were here before; see privacy.sealing.replay
    "replay",
    _text("campaign"),
    _whole("device"),
    _bytes("epoch"),
    _bytes("seen"),
    PrimaryKeyConstraint("campaign", "device", "epoch"),
)

candidate = _table(  # sealed; nothing here can be read without the desk's key
    "candidate",
    _text("campaign"),
    _bytes("item"),
    _whole("device"),
    _whole("round"),
    _whole("arm"),
    _bytes("envelope"),
    _flag("urgent"),  # of an incident: people see it first
    PrimaryKeyConstraint("campaign", "item"),
)

annotation = _table(  # what one person said of one item
    "annotation",
    _text("campaign"),
    _bytes("item"),
    _text("annotator"),  # a pseudonym; one person says one thing of an item
    _whole("label"),
    _flag("expert"),  # whether it decides a dispute
    _whole("price"),  # millionths, so that a sum of prices is exact
    _text("guideline"),  # version of what they had read
    _text("at"),
    _whole("counted", optional=True),  # the round whose event says that it was paid
    PrimaryKeyConstraint("campaign", "item", "annotator"),
    ForeignKeyConstraint(["campaign", "item"], ["candidate.campaign", "candidate.item"]),
)

label = _table(  # what people's answers came to
    "label",
    _text("campaign"),
    _bytes("item"),
    _whole("label"),
    _text("method"),  # how answers became it; see coordinator.labels.consensus
    _whole("agreement"),  # millionths: the share of annotators who said so
    _text("at"),
    _bytes("envelope"),  # the answer, sealed for its device
    _whole("counted", optional=True),  # the first round that trained with it
    _whole("sent", optional=True),  # the round whose request carries it to its device
    _flag("delivered"),
    PrimaryKeyConstraint("campaign", "item"),
    ForeignKeyConstraint(["campaign", "item"], ["candidate.campaign", "candidate.item"]),
)

artifact = _table(  # models and other bytes by what they are; no campaign owns them
    "artifact",
    _text("digest"),  # SHA-256, 64 hexadecimal digits
    _bytes("blob"),
    PrimaryKeyConstraint("digest"),
)

outbox = _table(  # effects that are owed to the world; done at least once, told apart by their key
    "outbox",
    _text("campaign"),
    _text("key"),
    _whole("place"),  # counts up within the campaign: what was owed first
    _text("kind"),
    _bytes("body"),
    _flag("settled"),
    PrimaryKeyConstraint("campaign", "key"),
    Index("outbox_place", "campaign", "place"),
    Index("outbox_owed", "campaign", "settled", "place"),
)

budget = _table(  # the sums of the entries below, so that a reservation reads one row
    "budget",
    _text("campaign"),
    _text("resource"),
    _whole("reserved"),
    _whole("spent"),
    PrimaryKeyConstraint("campaign", "resource"),
)

budget_entry = _table(
    "budget_entry",
    _text("campaign"),
    _text("key"),
    _text("resource"),
    _whole("reserved"),
    _whole("spent", optional=True),  # null until it is settled
    _flag("over"),  # whether it was settled above its reservation, knowingly
    PrimaryKeyConstraint("campaign", "key"),
)

note = _table(  # small facts of a campaign
    "note",
    _text("campaign"),
    _text("name"),
    _text("value"),
    PrimaryKeyConstraint("campaign", "name"),
)

lease = _table(  # who leads; the row stays, so that its token only ever grows
    "lease",
    _text("name"),
    _text("holder"),
    _whole("token"),  # one higher with every holder; a writer with an older one is fenced off
    _whole("until_us"),  # by the database's clock; on SQLite by the machine's uptime
    _whole("ttl_us"),
    PrimaryKeyConstraint("name"),
)

LOCKED: dict[str, tuple[str, ...]] = {
    "snapshot": ("state",),
    "pending": ("request",),
    "total": ("vector",),
    "offer": ("sketch",),
    "candidate": ("envelope",),
    "label": ("envelope",),
    "artifact": ("blob",),
    "outbox": ("body",),
}
"""Columns that are locked on the disk, by table: what devices sent, and what was made of it.

What is not: names, numbers and moments, by which rows are found; public keys; hashes; events, which
tell what happened and hold no content.
"""

"""What a driver says of its disk or its server, in our own words: what, what of it, what to do."""

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from fieldvote.errors import StoreBusyError, StoreError

_WHOLE = "what was stored before is whole"
_BUSY = ("somebody else was writing for too long", "wait, or stop the other program")
_FULL = ("the disk is full", "make room, then go on")
_READ_ONLY = ("it may not be written to", "give this user the right to write, then go on")
_LOST = ("the connection to the server was lost", "check the server, then go on where you were")

_SQLITE = {
    5: _BUSY,
    6: _BUSY,
    8: _READ_ONLY,
    10: ("the disk failed to read or write", "check the disk, then open the store again"),
    13: _FULL,
    14: ("it cannot be opened", "check that its folder exists and may be written to"),
    19: ("a row of this name exists already, or belongs to none", "load what is stored, go on"),
}
"""By SQLite's primary result code, https://www.sqlite.org/rescode.html."""

_SQLITE_DAMAGED = {
    11: "it is damaged; take a copy of it, then restore a backup",
    26: "this is no database; it was left as it is: name another file",
}

_POSTGRES = {
    "08": _LOST,
    "23": _SQLITE[19],
    "25006": _READ_ONLY,
    "25P03": ("a step took so long that the server ended it", "go on where you were"),
    "40P01": ("two writers waited for each other", "go on where you were"),
    "42501": _READ_ONLY,
    "53100": _FULL,
    "53300": ("the server has no connection left", "wait, or raise max_connections"),
    "55P03": _BUSY,
    "57": ("the server is stopping or starting", "wait until it is up, then go on"),
}
"""By SQLSTATE or its class, PostgreSQL's appendix A; the longest match counts."""


def trouble(err: SQLAlchemyError, place: str, *, committing: bool = False) -> StoreError:
    """Return what went wrong, without a value, a statement or a password in it.

    Args:
        err: What came from below.
        place: What the store is called in messages.
        committing: Whether the last word of a transaction was on its way.
    """
    if not isinstance(err, DBAPIError):
        return StoreError(f"{place}: it is closed; {_WHOLE}; open it again")
    code = getattr(err.orig, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _SQLITE_DAMAGED:
        return StoreError(f"{place}: {_SQLITE_DAMAGED[code & 0xFF]}")
    if is_lost(err) and committing:
        # the server may have heard it: only a look can tell, and every step can be taken twice
        return StoreError(
            f"{place}: the connection was lost as a step became durable; {_WHOLE}, and that step"
            " may be stored or not; load what is stored, then go on"
        )
    found = _of_sqlite(code) if code is not None else _of_postgres(err)
    kind = StoreBusyError if found is _BUSY else StoreError
    return kind(f"{place}: {found[0]}; {_WHOLE}; {found[1]}")


def is_lost(err: SQLAlchemyError) -> bool:
    """Return whether the connection itself is gone."""
    return isinstance(err, DBAPIError) and err.connection_invalidated


def _of_sqlite(code: int) -> tuple[str, str]:
    """Return what a result code says and asks for."""
    return _SQLITE.get(code & 0xFF, (f"SQLite says no, code {code}", "look the code up"))


def _of_postgres(err: DBAPIError) -> tuple[str, str]:
    """Return what a server's error says and asks for."""
    state = getattr(err.orig, "sqlstate", None)
    if is_lost(err):
        return _LOST
    if state is None:
        # the driver names host, user and database in its last line, and never the password
        said = (str(err.orig).strip().splitlines() or [""])[-1].rpartition("FATAL:")[2].strip()
        return f"the server cannot be reached ({said})", "check server, user and database"
    found = max((known for known in _POSTGRES if state.startswith(known)), key=len, default="")
    return _POSTGRES.get(found, (f"PostgreSQL says no, SQLSTATE {state}", "look the state up"))

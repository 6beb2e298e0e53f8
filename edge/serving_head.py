"""Which head a device serves: the newest it was told of, whatever overtook it on its way."""

from collections.abc import Callable

from edge.pool import Pool
from fieldvote.heads import ServeReply, ServeRequest
from fieldvote.records import (
    decode,
    encode,
)

SERVED = "served head"
_OWN = "the task's own model"


def served_by(pool: Pool) -> ServeRequest:
    """Return the head a device serves; the task's own model before it was given one."""
    note = pool.note(SERVED)
    if note is None:
        return ServeRequest(round=0, serial=0, model=None)
    return decode(note, ServeRequest)


def take_up(pool: Pool, message: ServeRequest) -> tuple[ServeReply, Callable[[], None]]:
    """Serve another head; one that was overtaken on its way is not taken up.

    Returns:
        The reply, and what changes once it may leave.
    """
    before = served_by(pool)
    serial = max(message.serial, before.serial)

    def change() -> None:
        if serial != before.serial:
            pool.keep_note(SERVED, encode(message))

    return ServeReply(round=message.round, serial=serial), change


def named(served: ServeRequest) -> str:
    """Return what a served head is called, for people.

    A round's own head has an even serial; an odd one brings the head before it back.

    >>> named(ServeRequest(round=0, serial=0, model=None))
    "the task's own model"
    """
    if served.model is None:
        return _OWN
    if served.serial % 2:
        return f"the head before round {served.round}'s, which was taken back"
    return f"head of round {served.round}"

"""What a device serves and labels by: the newest head and label model it was told of."""

from collections.abc import Callable

import numpy as np

from edge.pool import Pool
from fieldvote.codec import FloatVector
from fieldvote.heads import ServeReply, ServeRequest
from fieldvote.records import (
    decode,
    encode,
)
from fieldvote.task import Task
from strategies.labeling import LabelModel

_SERVED = "served head of "  # and a family of tasks: another campaign counts its heads anew
_LABEL_MODEL = "label model of "
_OWN = "the task's own model"


def served_by(pool: Pool) -> ServeRequest:
    """Return the head a device serves; the task's own model before it was given one."""
    note = pool.note(_served(pool))
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
            pool.keep_note(_served(pool), encode(message))

    return ServeReply(round=message.round, serial=serial), change


def _served(pool: Pool) -> str:
    """Return what the note is called that holds the head."""
    return _SERVED + (pool.note("task family") or b"").decode()


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


def keep_label_model(pool: Pool, task: Task, vector: FloatVector) -> None:
    """Remember by which label model this device labels its items, if it is another than before."""
    blob = vector.astype("<f8").tobytes()
    if blob and pool.note(_LABEL_MODEL + task.digest) != blob:
        pool.keep_note(_LABEL_MODEL + task.digest, blob)


def label_model_of(pool: Pool, task: Task) -> LabelModel | None:
    """Return the newest label model that has come; None where there was none yet."""
    blob = pool.note(_LABEL_MODEL + task.digest)
    if blob is None:
        return None
    return LabelModel.from_vector(np.frombuffer(blob, dtype="<f8").astype(np.float64))

"""What a bounded pool let go before anybody asked for it: counted once, in histograms of arrivals.

They add up here until a survey asks for what is new, and leave with what is new in the pool then.
So drift is seen in everything that came, and not in what was kept, which is of the unsure kind.
"""

import numpy as np

from edge.pool import Pool
from fieldvote.codec import IntVector
from fieldvote.errors import SealError
from fieldvote.summed_fields import COUNT
from fieldvote.task import Task
from strategies.arrivals import Layout

_NOTE = "kept counts"
_DIGEST_BYTES = 32


def passed(pool: Pool, task: Task, layout: Layout) -> IntVector:
    """Return what has passed since it was last told, under this task."""
    return _read(pool, task.digest, layout.length)


def add_passed(pool: Pool, task: Task, counts: IntVector) -> None:
    """Add what was let go; the caller holds the transaction."""
    total = _read(pool, task.digest, len(counts)) + counts
    if total[0] <= COUNT // 2:  # more than a sum has room for: the rest is not told
        _write(pool, task.digest, total)


def tell_of_passed(pool: Pool, task: str, told: IntVector) -> None:
    """Take away what was told; the caller holds the transaction. What came meanwhile stays."""
    left = np.maximum(_read(pool, task, len(told)) - told, 0)
    _write(pool, task, left)


def _read(pool: Pool, task: str, length: int) -> IntVector:
    """Return the counts under a task; zeros where they are another's, or cannot be read."""
    note = pool.note(_NOTE)
    try:
        (blob,) = [b""] if note is None else pool.locker.open("note", _NOTE, [(_NOTE, note)])
    except SealError:
        blob = b""  # from before the pool was locked
    counts = np.frombuffer(blob[_DIGEST_BYTES:], dtype="<i8") if len(blob) % 8 == 0 else np.empty(0)
    if blob[:_DIGEST_BYTES] != _mark(task) or len(counts) != length:
        return np.zeros(length, dtype=np.int64)
    return counts.astype(np.int64)


def _write(pool: Pool, task: str, counts: IntVector) -> None:
    blob = _mark(task) + counts.astype("<i8").tobytes()
    (locked,) = pool.locker.seal("note", _NOTE, [(_NOTE, blob)])
    pool.keep_note(_NOTE, locked)


def _mark(task: str) -> bytes:
    return bytes.fromhex(task)

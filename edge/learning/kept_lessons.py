"""The lessons of the last questions, so that a leg like the one before works out nothing again.

The legs of a fit ask the same of the same items; only the head moves. What was asked is told by
everything lessons are made of: the edition of the pool's columns, and what was sent.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, fields, is_dataclass
from hashlib import blake2b

import numpy as np

from edge.learning.lessons import Taught

_MOST = 4  # one question may ask of heads at several weights of the votes


@dataclass(slots=True)
class KeptLessons:
    """A few answers and what they were the answers to; the one used longest ago is let go."""

    _kept: dict[Hashable, Taught] = field(default_factory=dict)

    def of(self, asked: Hashable, work_out: Callable[[], Taught]) -> Taught:
        """Return what teaches, as it was worked out for the same question or is now.

        Its arrays cannot be written to: whoever asks next is given the same ones.
        """
        taught = self._kept.pop(asked, None)
        if taught is None:
            while len(self._kept) >= _MOST:
                del self._kept[next(iter(self._kept))]
            taught = work_out()
            for each in fields(taught.lessons):
                getattr(taught.lessons, each.name).flags.writeable = False
            taught.asked.flags.writeable = False
        self._kept[asked] = taught
        return taught


def said(value: object) -> Hashable:
    """Return what is equal for values that say the same, and short however long they are.

    Args:
        value: A number, a text or nothing; an array of such; or a record of all of these.

    >>> said(np.array([1, 2])) == said(np.array([1, 2])), said(np.array([1])) == said(1)
    (True, False)
    """
    if isinstance(value, np.ndarray):
        digest = blake2b(value.tobytes(), digest_size=32).digest()
        return value.dtype.str, value.shape, digest
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, *(said(getattr(value, each.name)) for each in fields(value))
    assert isinstance(value, Hashable)  # noqa: S101  # what travels holds nothing else
    return value

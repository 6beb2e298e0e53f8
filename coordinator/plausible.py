"""Whether numbers and keys from a device are such as an honest one could send."""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError
from privacy.sealing import SigningKey, seal

KEY_BYTES = 32


def are_counts(vector: NDArray[np.int64], length: int, *, most: int) -> bool:
    """Return whether this is a vector of so many counts."""
    return len(vector) == length and not ((vector < 0) | (vector > most)).any()


def builds(build: Callable[[NDArray[np.int64]], object], vector: NDArray[np.int64]) -> bool:
    """Return whether the room that adds these sums up would take them."""
    try:
        build(vector)
    except InputError:
        return False
    return True


def usual(lengths: Iterable[int]) -> int:
    """Return the length that occurs most often, 0 where there is none."""
    most = Counter(lengths).most_common(1)
    return most[0][0] if most else 0


def can_be_sealed_to(key: bytes) -> bool:
    """Return whether an answer can be sealed to this key; some keys of the right length are none.

    A device with such a key would stop the desk at its first answer.
    """
    try:
        seal(b"", recipient=key, context=b"greeting", signer=SigningKey(bytes(KEY_BYTES)))
    except (InputError, ValueError):
        return False
    return True

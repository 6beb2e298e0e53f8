"""Random streams that are counted, not carried: a draw depends on who asks, when, and what for.

A stream is named by (seed, labels...). Two streams with different names are independent; the same
name gives the same stream on any machine, in any order, so a device's state is lazy and one device
of a million can be replayed alone.
"""

from hashlib import blake2b

import numpy as np


def stream(seed: int, *labels: str | int | bytes) -> np.random.Generator:
    """Return the random stream of this name.

    Args:
        seed: The run's seed.
        labels: What the stream is for, from the general to the particular: ("offers", device,
            round).

    >>> again = [stream(1, "offers", 7, 3).random() for _ in range(2)]
    >>> again[0] == again[1]
    True
    """
    return np.random.Generator(np.random.Philox(key=_words(_digest(seed, labels, size=16))))


def keyed_entropy(seed: int, *labels: str | int | bytes) -> "KeyedEntropy":
    """Return an entropy source for simulations: the same name gives the same bytes."""
    return KeyedEntropy(_digest(seed, labels, size=32))


class KeyedEntropy:
    """Bytes from a keyed counter; for rehearsal only, a deployed agent takes the system's."""

    def __init__(self, key: bytes) -> None:
        """Start the counter under this key of 32 bytes."""
        self._key = key
        self._count = 0

    def __call__(self, size: int) -> bytes:
        """Return the next size bytes."""
        out = bytearray()
        while len(out) < size:
            out += blake2b(self._count.to_bytes(8, "big"), key=self._key).digest()
            self._count += 1
        return bytes(out[:size])


def _digest(seed: int, labels: tuple[str | int | bytes, ...], *, size: int) -> bytes:
    """Hash the name with its types and lengths, so that no two names run into one another."""
    digest = blake2b(digest_size=size)
    for label in (seed, *labels):
        body = label if isinstance(label, bytes) else str(label).encode()
        digest.update(f"{type(label).__name__}:{len(body)}:".encode() + body)
    return digest.digest()


def _words(digest: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Read a digest as the words a Philox key is made of."""
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)

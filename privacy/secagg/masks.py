"""Keys of a pair, and the streams made of them.

Version 1 of every derivation, held by test vectors:

- ``prf(key, label, data)`` is keyed BLAKE2b with the label as personalization.
- *Pair key:* HKDF-SHA256 of X25519, salted with the roster's digest, for "fieldvote secagg pair 1"
  and both seats, the lower first. Agreed once per epoch.
- *Ratchet:* ``prf(chain, "round")`` gives 64 bytes: the next round's chain key and this round's
  key. A round's key cannot be computed from a later chain key, so what is seized later opens no old
  sum.
- *Stream:* AES-128-CTR; of a seed's 32 bytes the first 16 are the key and the next 12 the nonce,
  the counter begins at 2. A seed is used once. GCM encrypts with the same stream, and OpenSSL's GCM
  is its fastest way to make one; the authentication tag is not used.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fieldvote.errors import RefusalError
from privacy.sealing.keys import SealingKey, exchange_public

SEED_BYTES = 32
PAIR_INFO = b"fieldvote secagg pair 1"
LABEL_ROUND = b"round"
LABEL_EDGE = b"edge"

Words: TypeAlias = NDArray[np.uint32 | np.uint64]

_SEATS = Struct("<II")
# Zeros, stream and the words they are added to stay in a core's second-level cache together, and
# all streams of a few dozen seeds go over one part of the words before the next.
_BLOCK_BYTES = 1 << 18
_SEEDS_AT_ONCE = 64


def prf(key: bytes, label: bytes, data: bytes = b"", *, size: int = SEED_BYTES) -> bytes:
    """Return size pseudorandom bytes, different for each key, label, data and size."""
    return blake2b(data, key=key, person=label, digest_size=size).digest()


def pair_key(secret: SealingKey, public: bytes, *, digest: bytes, seat: int, other: int) -> bytes:
    """Agree on the key two seats share in the epoch with this roster digest.

    Raises:
        RefusalError: the other's key forces a result that anybody could know.
    """
    try:
        shared = secret.exchange_key().exchange(exchange_public(public))
    except ValueError as err:
        raise RefusalError(f"the exchange key of seat {other} is of low order") from err
    info = PAIR_INFO + seats(min(seat, other), max(seat, other))
    return HKDF(SHA256(), SEED_BYTES, salt=digest, info=info).derive(shared)


def ratchet(chains: Mapping[int, bytes]) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Return the chain keys of the next round and the keys of this one, by peer.

    A keeper does this for the whole fleet in every round, so the call of prf is written out.
    """
    both = [
        blake2b(key=chain, person=LABEL_ROUND, digest_size=2 * SEED_BYTES).digest()
        for chain in chains.values()
    ]
    after = dict(zip(chains, [pair[:SEED_BYTES] for pair in both], strict=True))
    return after, dict(zip(chains, [pair[SEED_BYTES:] for pair in both], strict=True))


def edge_seed(round_key: bytes) -> bytes:
    """Return the seed of the mask that one partner adds and the other subtracts."""
    return prf(round_key, LABEL_EDGE)


def seats(first: int, second: int) -> bytes:
    """Return two seats as the derivations take them."""
    return _SEATS.pack(first, second)


def crypt(seed: bytes, data: bytes) -> bytes:
    """Return data with the seed's stream over it; twice is the data again.

    >>> crypt(bytes(32), crypt(bytes(32), b"edges"))
    b'edges'
    """
    return Cipher(AES128(seed[:16]), GCM(seed[16:28])).encryptor().update(data)


def add_streams(words: Words, plus: Sequence[bytes], minus: Sequence[bytes]) -> None:
    """Add the streams of some seeds to words, and subtract those of others, in place.

    Both wrap around: the sum of a device and its partner has no trace of the stream between them.

    >>> words = np.arange(3, dtype=np.uint32)
    >>> add_streams(words, [bytes(32)], [])
    >>> add_streams(words, [], [bytes(32)])
    >>> words.tolist()
    [0, 1, 2]
    """
    buffer = bytearray(_BLOCK_BYTES + 16)  # a block cipher asks for a block more than it writes
    stream = np.frombuffer(buffer, dtype=words.dtype, count=_BLOCK_BYTES // words.itemsize)
    zeros = _zeros()
    for operation, seeds in ((np.add, plus), (np.subtract, minus)):
        for first in range(0, len(seeds), _SEEDS_AT_ONCE):
            encryptors = [
                Cipher(AES128(seed[:16]), GCM(seed[16:28])).encryptor()
                for seed in seeds[first : first + _SEEDS_AT_ONCE]
            ]
            for start in range(0, len(words), len(stream)):
                part = words[start : start + len(stream)]
                made, nothing = stream[: len(part)], zeros[: part.nbytes]
                for encryptor in encryptors:
                    encryptor.update_into(nothing, buffer)
                    operation(part, made, out=part)


@lru_cache(maxsize=1)
def _zeros() -> memoryview:
    """Return a block of zeros: what a cipher makes of them is its stream."""
    return memoryview(bytes(_BLOCK_BYTES))

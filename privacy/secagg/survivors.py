"""Sets of seats, what they are called, and who vouches for them.

A *view* is everything a keeper believes about a round: roster, round, what is summed, cohort and
survivors, under one digest. A keeper signs one view in a round, with a tag for each other keeper
under the key only the two of them have; a signature anybody could check would cost a hundred times
more and prove nothing further, since each keeper decides for itself. Any two sets of `threshold`
keepers share more than the corrupt ones, and an honest keeper signs once: so at most one view of a
round ever gets its quorum.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from fieldvote.errors import WireError
from fieldvote.sums import MaskRequest
from privacy.secagg.graph import Present
from privacy.secagg.masks import prf, seats

TAG_BYTES = 16
LABEL_VIEW = b"view"
_COHORT = b"fieldvote secagg cohort 2"
_VIEW = b"fieldvote secagg view 1"


def pack_seats(present: Present) -> bytes:
    """Return a set of seats as a bitmap.

    >>> pack_seats(np.array([True, False, True])).hex()
    '05'
    """
    return np.packbits(present, bitorder="little").tobytes()


def unpack_seats(bitmap: bytes, *, devices: int) -> Present:
    """Return the set of seats in a bitmap.

    Raises:
        WireError: it has another length, or names seats that do not exist: two writings of one set
            would have two digests.
    """
    present = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")
    if len(bitmap) != (devices + 7) // 8 or present[devices:].any():
        raise WireError(f"a bitmap of {len(bitmap)} bytes is no set of {devices} seats")
    return present[:devices].astype(np.bool_)


def cohort_digest(roster: bytes, request: MaskRequest) -> bytes:
    """Return the digest of a round before anybody was lost; pads of inputs are bound to it.

    What the sum is about is in it: keepers open nothing else than what the devices thought it was.
    """
    sizes = (len(request.about), request.round, request.length, request.bound, request.word_bytes)
    head = b"".join(number.to_bytes(8, "little") for number in sizes)
    return sha256(_COHORT + roster + head + request.about + request.cohort).digest()


def view_digest(cohort: bytes, survivors: bytes) -> bytes:
    """Return the digest of a view from its cohort's digest and its survivors' bitmap."""
    return sha256(_VIEW + cohort + survivors).digest()


def view_tag(round_key: bytes, view: bytes, *, signer: int, reader: int) -> bytes:
    """Return the signer's word to the reader that it believes in this view."""
    return prf(round_key, LABEL_VIEW, seats(signer, reader) + view, size=TAG_BYTES)


def count_valid_tags(
    tags: Mapping[int, bytes], view: bytes, *, reader: int, round_keys: Mapping[int, bytes]
) -> int:
    """Count whose tags on this view are genuine.

    Args:
        tags: By the signer's seat.
        view: The reader's own view.
        reader: The reader's seat.
        round_keys: By seat; a signer without a key is not counted.
    """
    return sum(
        signer in round_keys
        and signer != reader
        and hmac.compare_digest(
            tag, view_tag(round_keys[signer], view, signer=signer, reader=reader)
        )
        for signer, tag in tags.items()
    )

"""Share boxes: a secret dealt among the keepers, each share sealed under a pad of its own.

A share and its pad are 20 bytes; a box is their exclusive or, and a pad is used once. The
coordinator holds all boxes and opens none of them until keepers reveal pads. A commitment, the hash
of the secret, tells whether what was opened is what was dealt: a keeper that reveals a wrong pad,
or a device that dealt wrong shares, spoils the sum but cannot falsify it.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from privacy.secagg.field import ELEMENT_BYTES, Elements, reduce, uniform
from privacy.secagg.masks import SEED_BYTES, prf, seats
from privacy.secagg.shamir import SECRET_ELEMENTS, Dealer, recover

PAD_BYTES = ELEMENT_BYTES * SECRET_ELEMENTS

LABEL_SELF = b"self"  # from this secret: the seed of the self-mask
LABEL_EDGES = b"edges"  # the seed that covers a deposit's edges
LABEL_DEPOSIT_PAD = b"deposit pad"
LABEL_INPUT_PAD = b"input pad"
_LABEL_COMMITMENT = b"commitment"


def draw_secret(entropy: Callable[[int], bytes]) -> Elements:
    """Draw a secret of 155 bits."""
    return uniform(SECRET_ELEMENTS, entropy)


def seed_of(secret: Elements, label: bytes) -> bytes:
    """Return the seed that a secret stands for."""
    return blake2b(secret.astype("<u4").tobytes(), person=label, digest_size=SEED_BYTES).digest()


def commitment(secret: Elements) -> bytes:
    """Return the hash by which a secret is known again."""
    return seed_of(secret, _LABEL_COMMITMENT)


def reveal_pads(
    round_keys: Mapping[int, bytes],
    cohort: bytes,
    *,
    keeper: int,
    dealers: Sequence[int],
    survive: Sequence[bool],
) -> bytes:
    """Return one pad for each dealer: a survivor's input pad, any other's deposit pad.

    The same as calling input_pad and deposit_pad; written out, since a keeper does it for the
    whole fleet.
    """
    kinds = (LABEL_DEPOSIT_PAD, b""), (LABEL_INPUT_PAD, cohort)
    pads = []
    for dealer, survives in zip(dealers, survive, strict=True):
        label, bound_to = kinds[survives]
        data = seats(dealer, keeper) + bound_to
        pads.append(
            blake2b(data, key=round_keys[dealer], person=label, digest_size=PAD_BYTES).digest()
        )
    return b"".join(pads)


def opens(secret: Elements, committed: bytes) -> bool:
    """Tell whether this is the secret that was committed to."""
    return commitment(secret) == committed


def deposit_pad(round_key: bytes, *, dealer: int, keeper: int) -> bytes:
    """Return the pad over the keeper's share of the secret that opens the dealer's edges."""
    return prf(round_key, LABEL_DEPOSIT_PAD, seats(dealer, keeper), size=PAD_BYTES)


def input_pad(round_key: bytes, cohort: bytes, *, dealer: int, keeper: int) -> bytes:
    """Return the pad over the keeper's share of the dealer's self-mask.

    Bound to the cohort the dealer masked towards: a keeper that was shown another one reveals what
    opens nothing. Else a coordinator could show a device a cohort of few partners and declare those
    gone to everybody else.
    """
    return prf(round_key, LABEL_INPUT_PAD, seats(dealer, keeper) + cohort, size=PAD_BYTES)


def seal_shares(
    secret: Elements, *, dealer: Dealer, pads: Sequence[bytes], entropy: Callable[[int], bytes]
) -> bytes:
    """Deal a secret and seal each share under its keeper's pad.

    Args:
        secret: Five elements.
        dealer: For as many holders as there are pads.
        pads: 20 bytes for each keeper, in the keepers' order.
        entropy: Where the polynomials come from.

    Returns:
        20 bytes for each keeper.
    """
    shares = dealer.deal(secret, entropy).astype("<u4")
    keys = np.frombuffer(b"".join(pads), dtype="<u4").reshape(shares.shape)
    return bytes((shares ^ keys).tobytes())


def open_boxes(
    boxes: Sequence[bytes], pads: Sequence[bytes], *, places: NDArray[np.int64]
) -> Elements:
    """Open the same keepers' boxes of many devices.

    Args:
        boxes: What each device sealed, for all keepers.
        pads: What each of the chosen keepers revealed: 20 bytes for each device.
        places: The chosen keepers' places in the keepers' order, from 0. Shape (threshold,).

    Returns:
        The secrets, to be compared with their commitments. Shape (devices, 5).
    """
    sealed = np.frombuffer(b"".join(boxes), dtype="<u4").reshape(len(boxes), -1, SECRET_ELEMENTS)
    keys = np.frombuffer(b"".join(pads), dtype="<u4").reshape(len(pads), -1, SECRET_ELEMENTS)
    shares = sealed[:, places] ^ keys.transpose(1, 0, 2)
    # what a liar reveals may be no element
    return recover(places + 1, reduce(shares.astype(np.uint64)))

"""What an item's id alone decides, the same on its device and at the coordinator."""

from hashlib import blake2b

DRAW_LIMIT = 1 << 63


def for_evaluation(item: bytes) -> bool:
    """Return whether a random-arm item is for evaluation only: half of them, fixed by the id.

    Training never sees these, so that gates and calibration rest on items no strategy picked.

    >>> sum(for_evaluation(bytes([n]) * 16) for n in range(200)) > 80
    True
    """
    return blake2b(item, digest_size=1, person=b"evaluation").digest()[0] % 2 == 1


def draw_of(item: bytes, seed: int) -> int:
    """Return an item's place in an order that a seed makes, 0 to 2^63 - 1.

    The items below a bound are a random sample, and to name it takes one number.

    >>> draw_of(b"a" * 16, 1) == draw_of(b"a" * 16, 1) != draw_of(b"a" * 16, 2)
    True
    """
    key = seed.to_bytes(8, "big", signed=True)
    return int.from_bytes(blake2b(item, digest_size=8, key=key).digest(), "big") >> 1

"""Near-duplicates among the items of many devices, from sketches alone.

Two sketches that differ in at most r bits differ in at most floor(r / m) bits of one of any m parts
they are cut into. So sketches are looked up by their parts, with that many bits flipped, and only
those found are compared: the answer is that of comparing all pairs, to the pair.

Source: Norouzi, Punjani and Fleet 2012, CVPR, "Fast search in Hamming space with multi-index
hashing", section 2.
"""

from itertools import combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition.sketches import hamming

ALIKE_SHARE = 19 / 128
"""Share of bits in which two sketches differ at most if the cosine of what they are of is 0.9."""
NEVER_APART_SHARE = 2 / 64
"""Share of bits in which sketches of near-duplicates differ at most, whatever they are of: some 6
degrees."""
_APART_SHARES = (22 / 128, 16 / 128, 12 / 128, 8 / 128)  # the widest that may be told apart first
_MARGIN = 1.5  # what is not alike begins so many times farther off
_MOST_BETWEEN = 0.05  # pairs in between, of those within
_MOST_BY_CHANCE = 0.002  # or of all pairs: so few are no continuum
_LEAST_PAIRS = 500  # fewer tell no gap from an accident
_MOST_COMPARED = 1024  # sketches
_BLOCK = 1 << 20  # pairs compared at a time
_FLIPPED = 2  # more flipped bits of a part means more look-ups than they save
_MOST_LOOKED_UP = 1_000  # per sketch; where more are found by their parts, parts tell too little
_KEY_BITS = 60  # of a part, to fit a whole number


def alike_bits(sketches: NDArray[np.uint8]) -> int:
    """Return in how many bits near-duplicates among these differ at most, by where there is a gap.

    Texts with a word changed are within 30 degrees and others are not; features of sensors are at
    any angle, and those within 30 degrees are no duplicates. So a distance is taken only if hardly
    any pairs are a little farther apart; where there is none such, or too little to tell, that of
    NEVER_APART_SHARE.

    Args:
        sketches: What is to be told apart. Shape (n, b).

    Raises:
        ShapeError: sketches is not a matrix.
        InputError: Not bytes.

    >>> alike_bits(np.zeros((2, 16), dtype=np.uint8))
    4
    """
    _check(sketches, 0)
    bits = 8 * sketches.shape[1]
    least = int(NEVER_APART_SHARE * bits)
    # of very many, some at even steps: a share of pairs is wanted, not the pairs
    some = sketches[:: -(-len(sketches) // _MOST_COMPARED) or 1]
    pairs = len(some) * (len(some) - 1) // 2
    if pairs < _LEAST_PAIRS or not bits:
        return least
    counts = np.zeros(bits + 1, dtype=np.int64)
    for place in range(len(some) - 1):
        counts += np.bincount(hamming(some[place + 1 :], some[place]), minlength=bits + 1)
    within = np.cumsum(counts)
    for share in _APART_SHARES:
        near, far = int(share * bits), int(_MARGIN * share * bits)
        between = within[far] - within[near]
        if between <= max(_MOST_BETWEEN * within[near], _MOST_BY_CHANCE * pairs):
            return near
    return least


def near_pairs(sketches: NDArray[np.uint8], most_bits: int) -> NDArray[np.int64]:
    """Return all pairs of sketches that differ in at most so many bits.

    Args:
        sketches: Shape (n, b).
        most_bits: 0 finds equal sketches only.

    Returns:
        Shape (pairs, 2), the lower position first, in ascending order.

    Raises:
        ShapeError: sketches is not a matrix.
        InputError: Not bytes, or a negative number of bits.

    >>> near_pairs(np.array([[0b111], [0b000], [0b110]], dtype=np.uint8), 1).tolist()
    [[0, 2]]
    """
    _check(sketches, most_bits)
    items, bits = len(sketches), 8 * sketches.shape[1]
    if items < 2:
        return np.empty((0, 2), dtype=np.int64)
    found = _by_parts(sketches, most_bits) if bits > most_bits else _all_pairs(items)
    if found is None:
        found = _compared(sketches, most_bits)
    found = np.unique(found)
    return np.column_stack([found // items, found % items])


def duplicate_groups(sketches: NDArray[np.uint8], most_bits: int) -> NDArray[np.int64]:
    """Return which group of near-duplicates each sketch is in.

    Whatever is linked by a chain of near-duplicates is one group, so the order of sketches does not
    matter.

    Args:
        sketches: Shape (n, b).
        most_bits: Two sketches that differ in at most so many bits are linked.

    Returns:
        Position of the first sketch of the group. Shape (n,), int64.

    Raises:
        ShapeError: sketches is not a matrix.
        InputError: Not bytes, or a negative number of bits.

    >>> duplicate_groups(np.array([[0b111], [0b000], [0b110]], dtype=np.uint8), 1).tolist()
    [0, 1, 0]
    """
    _check(sketches, most_bits)
    if not len(sketches):
        return np.empty(0, dtype=np.int64)
    # a text that was sent around a thousand times is looked up once
    distinct, first, which = np.unique(sketches, axis=0, return_index=True, return_inverse=True)
    codes = _by_parts(distinct, most_bits) if most_bits < 8 * sketches.shape[1] else None
    group = _spread(distinct, most_bits) if codes is None else _joined(codes, len(distinct))
    earliest = np.full(len(distinct), len(sketches))
    np.minimum.at(earliest, group, first)
    return np.asarray(earliest[group][which.reshape(-1)], dtype=np.int64)


def _joined(codes: NDArray[np.int64], items: int) -> NDArray[np.int64]:
    """Return the groups that pairs, as one number each, amount to."""
    pairs = np.column_stack([codes // items, codes % items])
    group = np.arange(items)
    while len(pairs):
        a, b = group[pairs[:, 0]], group[pairs[:, 1]]
        pairs, a, b = pairs[a != b], a[a != b], b[a != b]
        np.minimum.at(group, np.maximum(a, b), np.minimum(a, b))
        # each points on to what it was joined to, or a long chain would take as many turns
        group = group[group]
    while not np.array_equal(group, group[group]):
        group = group[group]
    return group


def _spread(sketches: NDArray[np.uint8], most_bits: int) -> NDArray[np.int64]:
    """Return the groups, each grown from its first: whoever joined is compared with who has not.

    Never keeps pairs, of which there are half of all in one large group.
    """
    group = np.full(len(sketches), -1)
    left = np.arange(len(sketches))
    while len(left):
        waiting, left = [int(left[0])], left[1:]
        name = group[waiting[0]] = waiting[0]
        while waiting and len(left):
            near = hamming(sketches[left], sketches[waiting.pop()]) <= most_bits
            group[left[near]] = name
            waiting += left[near].tolist()
            left = left[~near]
    return group


def _by_parts(sketches: NDArray[np.uint8], most_bits: int) -> NDArray[np.int64] | None:
    """Return pairs as one number each, some twice; None where comparing all is less work."""
    items, bits = len(sketches), 8 * sketches.shape[1]
    flips, parts = _plan(items, bits, most_bits)
    every = np.unpackbits(sketches, axis=1)
    edges = np.linspace(0, bits, parts + 1).astype(int)
    budget = items * min((items - 1) // 2, _MOST_LOOKED_UP)
    found = [np.empty(0, dtype=np.int64)]
    for start, end in pairwise(edges.tolist()):
        stop = min(end, start + _KEY_BITS)
        keys = every[:, start:stop] @ (1 << np.arange(stop - start, dtype=np.int64))
        order = np.argsort(keys, kind="stable")
        inside = keys[order]
        for mask in _masks(stop - start, flips):
            low = np.searchsorted(inside, keys ^ mask, side="left")
            count = np.searchsorted(inside, keys ^ mask, side="right") - low
            budget -= int(count.sum()) + items
            if budget < 0:
                return None
            found += _verified(sketches, most_bits, order, low, count)
    return np.concatenate(found)


def _plan(items: int, bits: int, most_bits: int) -> tuple[int, int]:
    """Return how many bits to flip and how many parts to cut, for the fewest look-ups.

    Guessed for sketches spread evenly; on others the plan is as right, only slower.
    """
    costs = {}
    for flips in range(_FLIPPED + 1):
        parts = most_bits // (flips + 1) + 1
        width = min(bits // parts, _KEY_BITS)
        look_ups = sum(comb(width, flipped) for flipped in range(flips + 1))
        costs[parts * look_ups * (1 + items / 2**width), flips] = parts
    cheapest = min(costs)
    return cheapest[1], costs[cheapest]


def _masks(width: int, flips: int) -> list[int]:
    """Return every mask of so many bits or fewer."""
    return [
        sum(1 << bit for bit in flipped)
        for count in range(flips + 1)
        for flipped in combinations(range(width), count)
    ]


def _verified(
    sketches: NDArray[np.uint8],
    most_bits: int,
    order: NDArray[np.int64],
    low: NDArray[np.int64],
    count: NDArray[np.int64],
) -> list[NDArray[np.int64]]:
    """Return, of each sketch and those looked up for it, the pairs that are near."""
    kept, items = [], len(sketches)
    ends = np.cumsum(count)
    start = 0
    while start < items:
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + _BLOCK, side="right")), start + 1)
        left = np.repeat(np.arange(start, stop), count[start:stop])
        begins = np.repeat(ends[start:stop] - count[start:stop], count[start:stop])
        place = np.arange(before, ends[stop - 1]) - begins
        right = order[np.repeat(low[start:stop], count[start:stop]) + place]
        ordered = left < right
        left, right = left[ordered], right[ordered]
        near = hamming(sketches[left], sketches[right]) <= most_bits
        kept.append(left[near] * items + right[near])
        start = stop
    return kept


def _compared(sketches: NDArray[np.uint8], most_bits: int) -> NDArray[np.int64]:
    """Return the near pairs of all there are."""
    items = len(sketches)
    found = [np.empty(0, dtype=np.int64)]
    for left in range(items - 1):
        near = hamming(sketches[left + 1 :], sketches[left]) <= most_bits
        found.append(left * items + left + 1 + np.flatnonzero(near))
    return np.concatenate(found)


def _all_pairs(items: int) -> NDArray[np.int64]:
    """Return every pair: no two sketches can differ in more bits than they have."""
    left, right = np.triu_indices(items, 1)
    return np.asarray(left * items + right, dtype=np.int64)


def _check(sketches: NDArray[np.uint8], most_bits: int) -> None:
    """Refuse what are not sketches, or not a number of bits."""
    if sketches.ndim != 2:
        raise ShapeError("sketches", sketches.shape, ("n", "b"))
    if sketches.dtype != np.uint8:
        raise InputError(f"sketches must be uint8, got {sketches.dtype}")
    if most_bits < 0:
        raise InputError(f"expected 0 or more bits, got {most_bits}")

"""What a device would ship if asked: its best items by the model, and a random few.

An offer says nothing of an item's content but a score, a predicted class, and the signs of its
embedding under a projection the coordinator does not know. A device that has fewer items left than
it is asked for may fill its offers up with blanks, so that the length of what it sends does not
tell how many it has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.pool import ID_BYTES
from fieldvote.arms import for_evaluation as for_evaluation  # as offers are read beside it
from fieldvote.errors import InputError, nearest
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM, ARM_SEED, Offer
from strategies.acquisition import ACQUISITIONS, Candidates, sketch
from strategies.acquisition.sketches import SKETCH_BITS
from strategies.acquisition.table import OVER_PAIRS
from strategies.acquisition.uncertainty import entropy_scores, margin_scores

SCORE_STEPS = 65535
MOST_PAIRED = 4096  # of a larger pool, rules that compare all pairs see so many at random
FLEET = "fleet"  # ranked on the device by margin, chosen by the coordinator over the whole fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferWish:
    """What a survey asks for.

    Attributes:
        strategy: Key of ACQUISITIONS, or "fleet".
        chosen: How many ranked offers at most.
        random: How many random offers at most.
        first: Whether the random ones are seed labels.
    """

    strategy: str
    chosen: int
    random: int
    first: bool

    def __post_init__(self) -> None:
        """Refuse counts below zero, which would count from the other end."""
        if self.chosen < 0 or self.random < 0:
            raise InputError("a survey asks for 0 or more offers of each kind")


def make_offers(
    wish: OfferWish,
    *,
    ids: list[bytes],
    free: NDArray[np.int64],
    probabilities: NDArray[np.float64] | None,
    features: NDArray[np.float64],
    sketch_seed: int,
    rng: np.random.Generator,
    bits: int = SKETCH_BITS,
    padded: bool = False,
    among: NDArray[np.int64] | None = None,
    drawn: NDArray[np.int64] | None = None,
) -> tuple[Offer, ...]:
    """Return the offers of one survey: random ones, the best of the rest, and blanks.

    Args:
        wish: What is asked for.
        ids: Every item's id by position.
        free: Positions neither shipped nor answered. Shape (n,).
        probabilities: The head's view of every item, shape (pool, k); None before the first head.
        features: What a sketch is made of, centred on the fleet. Shape (pool, d).
        sketch_seed: The fleet's secret projection.
        rng: Decides the random arm, and ties where a strategy draws.
        bits: Length of a sketch, the same on every device.
        padded: Whether blanks make them as many as were asked for.
        among: Positions that may be ranked; all that are free, if not given.
        drawn: Free positions that are a random sample; all that are free, if not given.

    Raises:
        InputError: the strategy has no such name, or bits is not a positive multiple of 8.
    """
    if wish.strategy != FLEET and wish.strategy not in ACQUISITIONS:
        raise InputError(
            f"no strategy '{wish.strategy}': {nearest(wish.strategy, [FLEET, *ACQUISITIONS])}"
        )
    # the random arm is drawn before the ranking, else it would only see what the model left over
    lots = rng.permutation(free if drawn is None else drawn)[: wish.random]
    arm = ARM_SEED if wish.first else ARM_RANDOM
    rest = np.setdiff1d(free if among is None else np.intersect1d(free, among), lots)
    ranked, scores = _rank(wish, rest, probabilities, features, rng)
    positions = np.concatenate([lots, ranked]).astype(np.int64)
    sketches = sketch(features[positions], bits=bits, seed=sketch_seed)
    predicted = (
        np.full(len(positions), -1)
        if probabilities is None
        else probabilities[positions].argmax(axis=1)
    )
    marks = np.concatenate([np.zeros(len(lots)), scores * SCORE_STEPS]).round().astype(np.int64)
    made = [
        Offer(
            item=ids[position],
            arm=arm if place < len(lots) else ARM_CHOSEN,
            score=int(marks[place]),
            predicted=int(predicted[place]),
            sketch=sketches[place].tobytes(),
        )
        for place, position in enumerate(positions)
    ]
    blanks = wish.chosen + wish.random - len(made) if padded else 0
    return (*made, *(_blank(bits, rng) for _ in range(blanks)))


def make_marks(
    shipped: NDArray[np.int64],
    *,
    ids: list[bytes],
    probabilities: NDArray[np.float64],
    features: NDArray[np.float64],
    sketch_seed: int,
    bits: int = SKETCH_BITS,
) -> tuple[Offer, ...]:
    """Return what seeds look like now that there is a head: what is like them need not be asked.

    Args:
        shipped: Positions of the seeds. Shape (n,).
        ids: Every item's id by position.
        probabilities: The head's view of every item. Shape (pool, k).
        features: What a sketch is made of. Shape (pool, d).
        sketch_seed: The fleet's secret projection.
        bits: Length of a sketch.
    """
    sketches = sketch(features[shipped], bits=bits, seed=sketch_seed)
    predicted = probabilities[shipped].argmax(axis=1)
    return tuple(
        Offer(
            item=ids[position],
            arm=ARM_SEED,
            score=1,  # one that may be asked for has none
            predicted=int(predicted[place]),
            sketch=sketches[place].tobytes(),
        )
        for place, position in enumerate(shipped)
    )


def is_blank(offer: Offer) -> bool:
    """Return whether an offer stands for no item: a ranked one without a predicted class."""
    return offer.arm == ARM_CHOSEN and offer.predicted < 0


def _blank(bits: int, rng: np.random.Generator) -> Offer:
    """Return an offer of nothing, as long on the wire as a ranked one."""
    return Offer(
        item=rng.bytes(ID_BYTES),
        arm=ARM_CHOSEN,
        # a score below 256 would be shorter
        score=int(rng.integers(256, SCORE_STEPS + 1)),
        predicted=-1,
        sketch=rng.bytes(bits // 8),
    )


def _rank(
    wish: OfferWish,
    rest: NDArray[np.int64],
    probabilities: NDArray[np.float64] | None,
    features: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the ranked positions and their scores in 0 to 1."""
    if probabilities is None or not len(rest) or not wish.chosen:
        return np.empty(0, dtype=np.int64), np.empty(0)
    if wish.strategy in OVER_PAIRS and len(rest) > MOST_PAIRED:
        rest = np.sort(rng.permutation(rest)[: max(MOST_PAIRED, wish.chosen)])
    # ranking on what is sent: two devices that would send the same score rank alike
    view = np.round(probabilities[rest], 6)
    view /= view.sum(axis=1, keepdims=True)
    name = "margin" if wish.strategy == FLEET else wish.strategy
    seen = Candidates(probabilities=view, embeddings=features[rest])
    best = ACQUISITIONS[name](seen, wish.chosen, rng)
    if name in _SCORES:
        return rest[best], np.clip(_SCORES[name](view[best]), 0.0, 1.0)
    return rest[best], 1.0 - np.arange(len(best)) / max(len(best), 1)


def _entropy_share(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of each row as a share of the largest there is."""
    return np.asarray(entropy_scores(probabilities) / np.log(probabilities.shape[1]))


def _margin_share(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how little the two best classes of each row are apart."""
    return np.asarray(margin_scores(probabilities))


# Scores that compare between devices, 0 to 1; any other strategy is compared by rank.
_SCORES: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "margin": _margin_share,
    "entropy": _entropy_share,
}


def pack_offers(offers: tuple[Offer, ...]) -> bytes:
    """Return ids and arms of offers, for the pool to keep until the items are asked for."""
    return b"".join(offer.item + bytes([offer.arm]) for offer in offers)


def unpack_offers(packed: bytes) -> dict[bytes, int]:
    """Return the arm of each offered item.

    >>> unpack_offers(b"0123456789abcdef" + bytes([ARM_SEED]))
    {b'0123456789abcdef': 2}
    """
    size = ID_BYTES + 1
    parts = [packed[i : i + size] for i in range(0, len(packed), size)]
    return {part[:-1]: part[-1] for part in parts}

"""Two shadow heads on equally many labels, chosen and random ones: which labels, and the questions.

They serve for nothing else than to be compared, and are not kept. The questions go to every
teaching device; what they add up to is all that is known of the labels.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from coordinator.models.training import Leg, is_reply, solve
from coordinator.models.training import Trained as Solved
from coordinator.plausible import MOST_ITEMS, are_counts, builds
from coordinator.settings import CampaignSettings
from fieldvote.arms import DRAW_LIMIT, draw_of, for_evaluation
from fieldvote.codec import IntVector
from fieldvote.comparing import GRADIENT, OUTCOME, SKETCH, CompareRequest
from fieldvote.conversation import Conversation
from fieldvote.heads import HeadModel
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM
from fieldvote.rng import stream
from strategies.aggregation.sketch import HeadSums, sketch_length
from strategies.stopping import Gain, gain_of_counts

_NO_NETWORK = np.empty(0, dtype=np.int64)  # a shadow head reads what the backbone makes


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Which labels teach the two heads beside the seeds: equally many of each kind.

    Attributes:
        labels: How many of each kind.
        seed: Orders the items.
        chosen_below: Chosen items below this teach the first head.
        drawn_below: Random items below this teach the second.
    """

    labels: int
    seed: int
    chosen_below: int
    drawn_below: int

    @classmethod
    def of(cls, labeled: Iterable[tuple[bytes, int]], seed: int) -> "Samples":
        """Draw them.

        Args:
            labeled: Items that have a label, with their arms.
            seed: Orders them.

        >>> items = [(bytes([n]) * 16, ARM_CHOSEN if n % 3 else ARM_RANDOM) for n in range(9)]
        >>> 0 < Samples.of(items, 1).labels <= 3
        True
        """
        chosen, drawn = list[int](), list[int]()
        for item, arm in labeled:
            if arm == ARM_CHOSEN:
                chosen.append(draw_of(item, seed))
            elif arm == ARM_RANDOM and not for_evaluation(item):
                drawn.append(draw_of(item, seed))
        count = min(len(chosen), len(drawn))
        bounds = [sorted(each)[count] if count < len(each) else DRAW_LIMIT - 1
                  for each in (chosen, drawn)]  # fmt: skip
        return cls(labels=count, seed=seed, chosen_below=bounds[0], drawn_below=bounds[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How two heads did on the same items.

    Attributes:
        items: How many there were.
        better: How many only the head of chosen labels has right.
        worse: How many only the other.
    """

    items: int
    better: int
    worse: int


Comparing: TypeAlias = Generator[CompareRequest, IntVector, Outcome]
"""Yields what to ask devices, is sent what replies add up to, returns how the heads did."""


def comparing(
    number: int, base: HeadModel, samples: Samples, settings: CampaignSettings
) -> Comparing:
    """Train and count both heads; a function of what it is sent and nothing else.

    Args:
        number: The round.
        base: Whose inputs the heads read; their weights begin at zero, as that head has seen both.
        samples: Which labels teach them.
        settings: How strong the penalty is, and how many gradients are asked for.
    """
    start = replace(base, weights=np.zeros_like(base.weights), parent="", deep=_NO_NETWORK)

    def question(step: int, about: str, heads: Sequence[HeadModel]) -> CompareRequest:
        return CompareRequest(
            round=number,
            step=step,
            about=about,
            model=heads[0],
            drawn=heads[1].weights,
            seed=samples.seed,
            chosen_below=samples.chosen_below,
            drawn_below=samples.drawn_below,
        )

    step, heads = 0, [start, start]
    sketches = np.split((yield question(step, SKETCH, heads)), 2)
    solving = [
        Conversation.begin(
            solve(
                start, HeadSums.from_vector(sums), l2=settings.l2, exchanges=settings.gain.exchanges
            )
        )
        for sums in sketches
    ]
    while not all(each.over for each in solving):
        step += 1
        heads = [_head(each) for each in solving]
        halves = np.split((yield question(step, GRADIENT, heads)), 2)
        for each, half in zip(solving, halves, strict=True):
            # one may be done before the other: it is asked at its end, and told nothing
            if not each.over:
                each.tell(half)
    heads = [_head(each) for each in solving]
    items, better, worse = (yield question(step + 1, OUTCOME, heads)).tolist()
    return Outcome(items=items, better=better, worse=worse)


def fits(request: CompareRequest, vector: IntVector) -> bool:
    """Return whether a device, or a cohort, can have answered this."""
    model = request.model
    if request.about == OUTCOME:
        counts = are_counts(vector, 3, most=MOST_ITEMS)
        return counts and bool(vector[1] + vector[2] <= vector[0])
    if len(vector) % 2:
        return False
    halves = np.split(vector, 2)
    if request.about == GRADIENT:
        return all(is_reply(model, half, averaged=False) for half in halves)
    length = sketch_length(len(model.weights) // model.classes)
    return all(len(half) == length and builds(HeadSums.from_vector, half) for half in halves)


def gain_of(outcome: Outcome, labels: int, *, seed: int, number: int) -> Gain:
    """Return what 1,000 chosen labels bring over random ones; nothing known where nothing judges.

    Raises:
        InputError: more is right than there is.
    """
    rng = stream(seed, "gain", number)
    return gain_of_counts(
        better=outcome.better, worse=outcome.worse, items=outcome.items, labels=labels, rng=rng
    )


def _head(solving: Conversation[Leg, IntVector, Solved]) -> HeadModel:
    """Return the head a solver asks about, or has come to."""
    return solving.result.model if solving.asked is None else solving.asked.model

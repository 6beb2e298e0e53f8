"""Is choosing worth it? Two shadow heads, of chosen labels and of random ones, trained in sums.

One kind of request asks for everything that takes, and one kind of reply carries the sums:

=============  ===================================  ==============================================
about          is asked of                          is answered by
=============  ===================================  ==============================================
``sketch``     seeds, and items below a bound       what each head's solver takes the curvature
                                                    from, one after the other
``gradient``   the same                             the gradient at each head, likewise
``outcome``    answers that are never trained on    how many; how many only the head of chosen
                                                    labels has right; how many only the other
=============  ===================================  ==============================================

Both heads learn from the seed labels too, which every choice builds on. Which others are equally
many of each kind, a seed and two bounds say; no item is named.
"""

from dataclasses import dataclass

from fieldvote.codec import IntVector
from fieldvote.heads import HeadModel

SKETCH, GRADIENT, OUTCOME = "sketch", "gradient", "outcome"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompareRequest:
    """One question about two shadow heads.

    Attributes:
        round: Which round.
        step: Which step of the comparison.
        about: What is asked; see above.
        model: The head of chosen labels.
        drawn: The weights of the head of random labels, over the same inputs. Shape (p * k,).
        seed: Orders the items.
        chosen_below: Chosen items below this bound teach the first head.
        drawn_below: Random items that may be trained on, below this, teach the second.
    """

    round: int
    step: int
    about: str
    model: HeadModel
    drawn: IntVector
    seed: int
    chosen_below: int
    drawn_below: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompareReply:
    """Sums over a device's items, as integers."""

    round: int
    step: int
    sums: IntVector

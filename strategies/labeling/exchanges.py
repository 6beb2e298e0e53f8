"""The fit of a label model as a conversation: what devices are asked, and what comes of it.

The exchanges, each a sum of integers over devices, after that of the votes themselves: expected
counts, as often as they are worth their cost; leave-one-out losses; and, where there are human
answers, the losses at each temperature and how the model does on them beside a majority vote. Who
leads the conversation, a coordinator over a network or a rehearsal in one process, changes nothing
of what comes of it.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.labeling.anchors import AnchorSummary
from strategies.labeling.comparison import PairedComparison
from strategies.labeling.expected_counts import ExpectedCounts, expected_counts, refine
from strategies.labeling.grid_losses import GridLosses
from strategies.labeling.incidence import Incidence
from strategies.labeling.kernels import NUMPY, Kernels
from strategies.labeling.leave_one_out import DAMPINGS, leave_one_out, one_item_in, with_damping
from strategies.labeling.model import LabelModel, anchor, checked_anchors, conclude
from strategies.labeling.one_shot import fit_one_shot
from strategies.labeling.rank_one import TYPICAL_ACCURACY
from strategies.labeling.summary import VoteSummary
from strategies.labeling.temperature import TEMPERATURES, temperature_losses, with_temperature

SETTLED = 1e-3  # largest change at which another exchange is not worth its cost
PAIRED = len(PairedComparison.none().to_vector())
About = Literal["expected", "foretold", "answered"]
Fit: TypeAlias = Generator["VoteQuestion", NDArray[np.int64], LabelModel]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoteQuestion:
    """What devices are asked about their votes; the answer is a vector of integers that adds up.

    Attributes:
        about: "expected" counts of functions, votes and classes; how well votes are "foretold" by
            the others of their row; or how likely the model makes what people "answered".
        model: The model to answer under.
        copies: Pairs of functions taken to be copies. Shape (m, m), bool.
        one_in: One item in that many is enough.
    """

    about: About
    model: LabelModel
    copies: NDArray[np.bool_]
    one_in: int = 1

    @classmethod
    def unpacked(
        cls, about: str, model: LabelModel, *, copies: bytes, one_in: int
    ) -> "VoteQuestion":
        """Return a question as it came over a wire.

        Raises:
            InputError, ShapeError: it asks about nothing we know, or about other functions.
        """
        known: tuple[About, ...] = get_args(About)
        named = [name for name in known if name == about]
        if not named or one_in < 1:
            raise InputError(f"no question is about {about[:32]!r}, of one item in {one_in}")
        m = model.functions
        bits = np.frombuffer(copies, dtype=np.uint8)
        if len(bits) != (m * m + 7) // 8:
            raise ShapeError("copies", bits.shape, ((m * m + 7) // 8,))
        pairs = np.unpackbits(bits, count=m * m).reshape(m, m).astype(np.bool_)
        return cls(about=named[0], model=model, copies=pairs, one_in=one_in)

    @property
    def packed_copies(self) -> bytes:
        """The copies as bits, row by row."""
        return np.packbits(self.copies).tobytes()

    @property
    def length(self) -> int:
        """How many integers an answer has."""
        k, m, r = self.model.classes, self.model.functions, len(self.model.mixed)
        return {
            "expected": k + m + r * k * k,
            "foretold": len(DAMPINGS) + 1,
            "answered": len(TEMPERATURES) + 1 + PAIRED,
        }[self.about]

    def answer(
        self,
        votes: NDArray[np.int8],
        *,
        answered: NDArray[np.intp],
        labels: ArrayLike,
        laid_out: Incidence | None = None,
        kernels: Kernels = NUMPY,
    ) -> NDArray[np.int64]:
        """Return what a device answers.

        Args:
            votes: Its items' votes. Shape (n, m).
            answered: Positions of items that people answered, drawn at random. Shape (a,).
            labels: What they answered. Shape (a,).
            laid_out: The votes as kernels.lay_out returned them, if they are at hand.
            kernels: What does the arithmetic; the result is the same to the bit.

        Returns:
            Shape (length,).
        """
        laid = votes if laid_out is None else laid_out
        if self.about == "expected":
            return expected_counts(self.model, laid, kernels=kernels).to_vector()
        if self.about == "foretold":
            return leave_one_out(
                self.model, laid, copies=self.copies, one_in=self.one_in, kernels=kernels
            ).to_vector()
        cast = votes[answered]
        losses = temperature_losses(self.model, cast, labels).to_vector()
        paired = PairedComparison.from_votes(self.model, cast, labels).to_vector()
        return np.concatenate([losses, paired])


def fit_exchanges(
    total: VoteSummary, *, anchors: AnchorSummary | None = None, exchanges: int = 3
) -> Fit:
    """Fit in a conversation: yields questions, is sent the summed answers, returns the model.

    Args:
        total: The summed votes.
        anchors: The sum of what human answers say about the functions.
        exchanges: How often expected counts may be asked for; without any, nothing is asked.

    Raises:
        InputError: A negative number of exchanges.
        ShapeError: anchors are about other functions or classes.
    """
    if exchanges < 0:
        raise InputError(f"expected 0 exchanges or more, got {exchanges}")
    checked_anchors(anchors, functions=total.functions, classes=total.classes)
    start = fit_one_shot(total, anchors)
    model = LabelModel.from_one_shot(start, classes=total.classes)
    # what functions of one class each teach, their summed votes have said already
    if exchanges and start.regime.informative and start.regime.every_class:
        for _ in range(exchanges):
            sums = yield VoteQuestion(about="expected", model=model, copies=start.copies)
            counts = ExpectedCounts.from_vector(sums, model=model)
            refined = refine(model, counts, start=start, total=total)
            change, model = _largest_change(model, refined), refined
            if change < SETTLED:
                break
        one_in = one_item_in(total.items)
        sums = yield VoteQuestion(about="foretold", model=model, copies=start.copies, one_in=one_in)
        model = with_damping(model, GridLosses.from_vector(sums, points=len(DAMPINGS)))
    model = conclude(model, start, total)
    if anchors is None or not anchors.items.sum():
        return model
    model = anchor(model, anchors, total)
    if exchanges:
        sums = yield VoteQuestion(about="answered", model=model, copies=start.copies)
        if PairedComparison.from_vector(sums[-PAIRED:]).majority_is_better:
            return with_equal_voices(model)
        losses = GridLosses.from_vector(sums[:-PAIRED], points=len(TEMPERATURES))
        model = with_temperature(model, losses)
    return model


def with_equal_voices(model: LabelModel) -> LabelModel:
    """Return the model that says what a majority vote says, with probabilities.

    Every function has one voice and is as often right as functions usually are; items without votes
    keep the prior they had.

    >>> votes = np.array([[0, 0, 1], [1, 1, 0], [1, 1, 1], [0, 0, 1]] * 9)
    >>> equal = with_equal_voices(LabelModel.fit(VoteSummary.from_votes(votes, classes=2)))
    >>> equal.predict([[1, 1, 0], [1, 0, 0]]).argmax(axis=1).tolist()
    [1, 0]
    """
    classes = model.classes
    return LabelModel(
        accuracies=np.full(model.functions, TYPICAL_ACCURACY),
        weights=np.ones(model.functions),
        prior=model.prior,
        balance=np.full(classes, 1 / classes),
        mixed=np.empty(0, dtype=np.int64),
        mixed_tables=np.empty((0, classes, classes)),
        damping=model.damping,
    )


def _largest_change(before: LabelModel, after: LabelModel) -> float:
    """Return how far the parameters moved."""
    pairs = (
        (before.accuracies, after.accuracies),
        (before.mixed_tables, after.mixed_tables),
        (before.prior, after.prior),
    )
    return max((float(np.abs(new - old).max()) for old, new in pairs if old.size), default=0.0)

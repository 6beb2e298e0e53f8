"""Heads on the wire: the model that is learned, and what is asked about it."""

from dataclasses import dataclass, field

import numpy as np

from fieldvote.codec import LATER, FloatVector, IntVector
from fieldvote.teaching import TeachingRule
from fieldvote.training import Drill


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadModel:
    """A softmax head over a device-side representation of the backbone's embedding.

    Attributes:
        parent: Digest of the version this one was trained from; empty for the first.
        classes: k.
        mean: What is subtracted from each embedding dimension. Shape (d,).
        scale: What each dimension is divided by. Shape (d,).
        gain: What a standardised dimension is multiplied by.
        clip: Largest standardised value let through.
        recentre: Share of the device's own mean that is taken out, 0 to 1.
        fourier: Number of random Fourier features beside the plain ones.
        bandwidth: Width of the kernel those features approximate.
        amplitude: Largest value of one such feature.
        seed: Names the random projection of those features.
        weights: Fixed-point weights, row-major. Shape (p * k,).
        deep: Parameters of the task's own network in steps of 2^-20, in the order of its train
            step; they score in the head's place. Empty where the network is as the task has it.
        smooth: How far an item is moved to its nearest neighbours on its device, 0 to 1.
        temperature: What the log-odds it says are divided by; 0 where it is taken at its word.
    """

    parent: str
    classes: int
    mean: FloatVector
    scale: FloatVector
    gain: float
    clip: float
    recentre: float
    fourier: int
    bandwidth: float
    amplitude: float
    seed: int
    weights: IntVector
    deep: IntVector = field(default_factory=lambda: np.empty(0, dtype=np.int64), metadata=LATER)
    smooth: float = field(default=0.0, metadata=LATER)
    temperature: float = field(default=0.0, metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keeping:
    """What the round after a change of functions keeps of what was known.

    Attributes:
        before: The head before the change.
        share: How far an item that no new function votes on learns from it, 0 to 1; an item that
            nobody votes on does so wholly. 0: none does.
        fresh: Places of the functions that are new. Shape (f,).
        replay: How much more the answers that stand for each class weigh.
        replayed: So many answers at most.
    """

    before: HeadModel
    share: float
    fresh: IntVector
    replay: float
    replayed: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GradientRequest:
    """One step of solving the head: your gradient at the head of this model.

    Attributes:
        round: Which round.
        step: Which step of the round.
        model: The head to differentiate at, with its representation.
        vote_weight: Largest weight of one voted item, relative to one answered item.
        label_model: Parameters of the label model; empty without one.
        epochs: 0 asks for a gradient; more asks for weights after that many local epochs.
        l2_per_item: Strength of the L2 penalty per unit of weight, for local epochs only.
        task: Digest of the task the label model is of; empty for whichever the device has.
        teaching: What may be learned from which label; None: every voted one teaches all layers.
        teacher: The model that labels items by itself, if the rule lets one.
        drill: How to train the task's own network for so many epochs; None: the head is meant.
        keeping: What is kept of what was known; None: nothing is.
    """

    round: int
    step: int
    model: HeadModel
    vote_weight: float
    label_model: FloatVector
    epochs: int
    l2_per_item: float
    task: str = ""
    teaching: TeachingRule | None = None
    teacher: HeadModel | None = None
    drill: Drill | None = None
    keeping: Keeping | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GradientReply:
    """A gradient, or locally trained weights, in fixed point."""

    round: int
    step: int
    sums: IntVector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VotesRequest:
    """One step of fitting the label model: what do your votes say under these parameters?

    Attributes:
        round: Which round.
        step: Which step of the round.
        about: What to sum; see strategies.labeling.across and fieldvote.teaching.
        label_model: Parameters of the label model so far.
        copies: Pairs of functions taken to be copies, as bits row by row. ceil(m * m / 8) bytes.
        one_in: One item in so many is enough, where a share of them is.
        task: Digest of the task the label model is of; empty for whichever the device has.
        vote_weight: Largest weight of one voted item, for "confidence" and "depth".
        teaching: What may be learned from which label, for the same.
        teacher: The model that labels items by itself, for the same.
    """

    round: int
    step: int
    about: str
    label_model: FloatVector
    copies: bytes
    one_in: int
    task: str = ""
    vote_weight: float = 0.0
    teaching: TeachingRule | None = None
    teacher: HeadModel | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VotesReply:
    """Sums over a device's items, as integers."""

    round: int
    step: int
    sums: IntVector


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateRequest:
    """How often is this head right on your labeled items that are never trained on?

    Attributes:
        round: Which round.
        model: The head.
        calibrates: Whether it is asked too how sure the head is of them; see
            strategies.calibration_sums.
        before: The head before it, of which that is asked on the same items; None for none.
    """

    round: int
    model: HeadModel
    calibrates: bool = field(default=False, metadata=LATER)
    before: HeadModel | None = field(default=None, metadata=LATER)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluateReply:
    """What judged items come to.

    Attributes:
        round: Which round.
        confusion: Counts, truth by row. Shape (k * k,).
        calibration: How sure the head is of them, then the one before; empty where nobody asked.
    """

    round: int
    confusion: IntVector
    calibration: IntVector = field(
        default_factory=lambda: np.empty(0, dtype=np.int64), metadata=LATER
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeRequest:
    """Serve this head from now on, unless you were told so of a later one.

    Attributes:
        round: The round that made it.
        serial: Counts up with every head that is rolled out or taken back.
        model: The head; None for what the task's own model says.
        order: All this as the online role signed it; empty where no keys are used.
    """

    round: int
    serial: int
    model: HeadModel | None
    order: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeReply:
    """Which head is served now, by its serial."""

    round: int
    serial: int

"""The softmax head, solved from sums: a step machine, because each gradient is a network exchange.

The coordinator minimises F(W) = sum of w·CE + ½ sum of l2·W². It starts with a guess M at the
curvature, made from a sketch of the labeled inputs (see ``preconditioner``), and each exchange
brings one gradient at the broadcast point:

- L-BFGS (Nocedal and Wright 2006, algorithm 7.4) on top of M⁻¹ makes a few exchanges enough;
- M is positive, so -M⁻¹ gradient always points down, but M need not bound the curvature, so a step
  may be too long: the summed loss is the safeguard. A point that is not better than the best seen
  teaches its curvature and is left;
- misled twice in a row, the machine forgets what it learned and goes back along -M⁻¹ gradient in
  ever smaller steps. The curvature is bounded (by ½G: Böhning 1992), so one of them goes down;
- it stops where the next step promises less than what could move a label.

Rules of the machine: broadcast ``state.point``; sum the gradients at it; ``advance``; until
``state.done``; then ``state.head`` is the answer.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.preconditioner import Preconditioner
from strategies.aggregation.summed_head import GradientSums, Head, HeadSums

MAX_EXCHANGES = 8

# The bias is hardly held: a prior on it would pull the class shares towards each other.
BIAS_SHARE = 1e-3

# Stop when a step promises less than this. F is a log-posterior: heads within a tenth of a nat
# explain the labels alike, however many labels there are. Measured from the same sums, it costs no
# held-out score; no smaller value than 1e-3 rises above the rounding of the sums.
TOLERANCE_NATS = 0.1

# No weight moves further in one exchange: over typical inputs, of length 8, this decides any item.
LONGEST_STEP = 16.0

# Armijo's share of the predicted gain that a point has to bring (Nocedal and Wright 2006, 3.4).
_SUFFICIENT = 1e-4

# How much shorter each step back is than the one before.
_SHRINK = 0.25

_MEMORY_PAIRS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Weights that are held where they were: ½ · sum of stiffness·(W - anchor)² is added.

    Attributes:
        anchor: Where they were. Shape (p, k).
        stiffness: How strongly each is held; not negative. Shape (p, k).
    """

    anchor: NDArray[np.float64]
    stiffness: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse what would make the objective no bowl."""
        if self.stiffness.shape != self.anchor.shape or self.anchor.ndim != 2:
            raise ShapeError("stiffness", self.stiffness.shape, self.anchor.shape)
        if not bool(np.all((self.stiffness >= 0) & (self.stiffness < np.inf))):
            raise InputError("stiffness must be finite and not negative")
        if not bool(np.all(np.isfinite(self.anchor))):
            raise InputError("weights that are held must be finite")


class Outcome(Enum):
    """Where the machine stands; the values are sentences for the user."""

    RUNNING = "the point waits for its summed gradient"
    CONVERGED = "no step would gain anything worth an exchange"
    SPENT = "all exchanges were used; the head is the best point seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one exchange told about one point."""

    values: NDArray[np.float64]
    gradient: NDArray[np.float64]
    objective: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverState:
    """Everything the next exchange needs; a new state per exchange.

    Attributes:
        point: The head to broadcast now.
        best: The best point seen, None before the first exchange.
        memory: Differences (of points, of gradients) between evaluated points, oldest first.
        penalty: L2 strength per row of the head. Shape (p, 1).
        preconditioner: The first guess at the curvature, M.
        tolerance: Smallest promised gain worth an exchange, in nats.
        slope: Directional derivative of the step to point; what sufficient decrease is measured by.
        failures: Points in a row that were no improvement.
        exchanges_left: How many gradients may still be asked for.
        outcome: Where the machine stands.
        hold: Weights that are held where they were; None holds none.
    """

    point: Head
    best: Evaluation | None
    memory: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    penalty: NDArray[np.float64]
    preconditioner: Preconditioner
    tolerance: float
    slope: float
    failures: int
    exchanges_left: int
    outcome: Outcome
    hold: Hold | None = None

    @property
    def done(self) -> bool:
        """Whether no further gradient is wanted."""
        return self.outcome is not Outcome.RUNNING

    @property
    def head(self) -> Head:
        """The best head seen; before any exchange, the one the machine started from."""
        return self.point if self.best is None else Head.from_values(self.best.values)


def start(
    sums: HeadSums,
    previous: Head,
    *,
    l2: float,
    seed: int,
    exchanges: int = MAX_EXCHANGES,
    tolerance: float = TOLERANCE_NATS,
    hold: Hold | None = None,
) -> SolverState:
    """Make the preconditioner and get ready for the first gradient, at the previous head.

    Args:
        sums: Sketched Gram matrix of all labeled items.
        previous: Last round's head, or ``Head.zeros``.
        l2: Strength of the penalty ½·l2·|W|² on everything but the bias. Positive.
        seed: What the sketch was made with.
        exchanges: How many gradients may be asked for. At least 1.
        tolerance: Smallest promised gain worth an exchange, in nats. Not negative.
        hold: Weights that are held where they were; None holds none.
    """
    if sums.width != previous.width:
        raise ShapeError("head", previous.weights.shape, (sums.width, "k"))
    if exchanges < 1:
        raise InputError(f"at least one exchange is needed, got {exchanges}")
    if not 0.0 <= tolerance < np.inf:
        raise InputError(f"tolerance must be finite and not negative, got {tolerance}")
    penalty = _penalty(sums.width, l2)
    if hold is not None and hold.anchor.shape != previous.weights.shape:
        raise ShapeError("hold", hold.anchor.shape, previous.weights.shape)
    # a row of M is as stiff as its weights are on average: it is a guess, and every step is checked
    stiff = 0.0 if hold is None else hold.stiffness.mean(axis=1, keepdims=True)
    return SolverState(
        point=previous,
        best=None,
        memory=(),
        penalty=penalty,
        preconditioner=Preconditioner.from_sums(sums, penalty=penalty + stiff, seed=seed),
        tolerance=tolerance,
        slope=0.0,
        failures=0,
        exchanges_left=exchanges,
        outcome=Outcome.RUNNING,
        hold=hold,
    )


def advance(state: SolverState, sums: GradientSums) -> SolverState:
    """Return the state after the gradient at ``state.point`` has come in.

    Args:
        state: A state that is not done.
        sums: Gradient and loss at ``state.point``, over the same items as the sketch.

    Raises:
        InputError: The state is done and wants no gradient.
    """
    if state.done:
        raise InputError("the solver is done and wants no further gradient")
    if sums.gradient.shape != state.point.weights.shape:
        raise ShapeError("gradient", sums.gradient.shape, state.point.weights.shape)
    here = _evaluate(state, sums)
    best, memory, failures = state.best, state.memory, 0
    if best is not None:
        memory = _remember(memory, here.values - best.values, here.gradient - best.gradient)
        if not here.objective <= best.objective + _SUFFICIENT * state.slope:
            failures = state.failures + 1
    if best is None or here.objective < best.objective:
        best = here
    state = replace(
        state,
        best=best,
        memory=memory,
        failures=failures,
        exchanges_left=state.exchanges_left - 1,
    )
    return _propose(state)


def _evaluate(state: SolverState, sums: GradientSums) -> Evaluation:
    """Add the penalty, which only the coordinator knows, to the summed loss."""
    values = state.point.values
    gradient = sums.gradient_values + state.penalty * values
    objective = sums.loss_nats + 0.5 * float((state.penalty * values**2).sum())
    if state.hold is not None:
        moved = values - state.hold.anchor
        gradient = gradient + state.hold.stiffness * moved
        objective += 0.5 * float((state.hold.stiffness * moved**2).sum())
    return Evaluation(values=values, gradient=gradient, objective=objective)


def _propose(state: SolverState) -> SolverState:
    """Choose the next point from the best one, or finish."""
    assert state.best is not None  # noqa: S101 - advance has just set it
    best = state.best
    # Twice in a row misled: nothing but the direction that surely goes down can be trusted.
    backing = max(state.failures - 1, 0)
    step = -_two_loop(() if backing else state.memory, state.preconditioner, best.gradient)
    slope = float((step * best.gradient).sum())
    # A step along a quadratic gains half of what its slope says.
    if -0.5 * slope <= state.tolerance:
        return replace(state, outcome=Outcome.CONVERGED)
    if state.exchanges_left == 0:
        return replace(state, outcome=Outcome.SPENT)
    # Where devices teach whose sketch was lost, M may know next to nothing of the curvature.
    longest = float(np.abs(step).max())
    length = _SHRINK**backing * min(1.0, LONGEST_STEP / longest)
    point = Head.from_values(best.values + length * step)
    return replace(state, point=point, slope=length * slope)


def _two_loop(
    memory: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...],
    preconditioner: Preconditioner,
    gradient: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Apply the L-BFGS inverse to the gradient (Nocedal and Wright 2006, algorithm 7.4)."""
    if not memory:
        return preconditioner.solve(gradient)
    turned = gradient
    shares: list[float] = []
    for moved, bent in reversed(memory):
        shares.append(float((moved * turned).sum() / (moved * bent).sum()))
        turned = turned - shares[-1] * bent
    moved, bent = memory[-1]
    # How much too short M's steps are, or, below 1, too long where M missed some curvature.
    stretch = float((moved * bent).sum() / (bent * preconditioner.solve(bent)).sum())
    result = stretch * preconditioner.solve(turned)
    for (moved, bent), share in zip(memory, reversed(shares), strict=True):
        result = result + moved * (share - float((bent * result).sum() / (moved * bent).sum()))
    return result


def _remember(
    memory: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...],
    moved: NDArray[np.float64],
    bent: NDArray[np.float64],
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]:
    """Keep a pair if it shows curvature above the rounding of the sums."""
    curvature = float((moved * bent).sum())
    floor = 1e-10 * float(np.linalg.norm(moved) * np.linalg.norm(bent))
    return (*memory, (moved, bent))[-_MEMORY_PAIRS:] if curvature > floor else memory


def _penalty(width: int, l2: float) -> NDArray[np.float64]:
    """Return the L2 strength per row, small for the bias. Shape (p, 1)."""
    if not 0.0 < l2 < np.inf:
        raise InputError(f"l2 must be positive and finite, got {l2}")
    penalty = np.full((width, 1), l2)
    penalty[-1] = BIAS_SHARE * l2
    return penalty

"""The softmax head, solved from sums: a step machine, because each gradient is a network exchange.

The coordinator minimises F(W) = sum of w·CE + ½ sum of l2·W². The Gram matrix G of the labeled
inputs bounds the second derivative whatever the head, H <= ½G (Böhning 1992), so M = ½G + l2 is
factored once and each exchange brings one gradient at the broadcast point:

- the step along -M⁻¹ gradient always goes down (M bounds the curvature: Böhning 1992, theorem 1);
- L-BFGS (Nocedal and Wright 2006, algorithm 7.4) on top, with M⁻¹ as its first guess, makes eight
  exchanges enough;
- the summed loss is the safeguard: a point that is not better than the best seen teaches its
  curvature and is left.

Rules of the machine: broadcast ``state.point``; sum the gradients at it; ``advance``; until
``state.done``; then ``state.head`` is the answer.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from strategies.aggregation.summed_head import GradientSums, Head, HeadSums

MAX_EXCHANGES = 8

# The bias is hardly held: a prior on it would pull the class shares towards each other.
BIAS_SHARE = 1e-3

# Stop when a guaranteed step would gain less than this per unit of sample weight, in nats.
TOLERANCE_NATS = 1e-7

# Armijo's share of the predicted gain that a point has to bring (Nocedal and Wright 2006, 3.4).
_SUFFICIENT = 1e-4

_MEMORY_PAIRS = 20


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
        inverse_factor: Inverse of the Cholesky factor of ½G + penalty. Shape (p, p).
        slope: Directional derivative of the step to point; what sufficient decrease is measured by.
        failures: Points in a row that were no improvement.
        exchanges_left: How many gradients may still be asked for.
        outcome: Where the machine stands.
    """

    point: Head
    best: Evaluation | None
    memory: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    penalty: NDArray[np.float64]
    inverse_factor: NDArray[np.float64]
    slope: float
    failures: int
    exchanges_left: int
    outcome: Outcome

    @property
    def done(self) -> bool:
        """Whether no further gradient is wanted."""
        return self.outcome is not Outcome.RUNNING

    @property
    def head(self) -> Head:
        """The best head seen; before any exchange, the one the machine started from."""
        return self.point if self.best is None else Head.from_values(self.best.values)


def start(
    sums: HeadSums, previous: Head, *, l2: float, exchanges: int = MAX_EXCHANGES
) -> SolverState:
    """Factor the Gram matrix and get ready for the first gradient, at the previous head.

    Args:
        sums: Gram matrix of all labeled items.
        previous: Last round's head, or ``Head.zeros``.
        l2: Strength of the penalty ½·l2·|W|² on everything but the bias. Positive.
        exchanges: How many gradients may be asked for. At least 1.
    """
    if sums.width != previous.width:
        raise ShapeError("head", previous.weights.shape, (sums.width, "k"))
    if exchanges < 1:
        raise InputError(f"at least one exchange is needed, got {exchanges}")
    penalty = _penalty(sums.width, l2)
    return SolverState(
        point=previous,
        best=None,
        memory=(),
        penalty=penalty,
        inverse_factor=_inverse_factor(sums, penalty),
        slope=0.0,
        failures=0,
        exchanges_left=exchanges,
        outcome=Outcome.RUNNING,
    )


def advance(state: SolverState, sums: GradientSums) -> SolverState:
    """Return the state after the gradient at ``state.point`` has come in.

    Args:
        state: A state that is not done.
        sums: Gradient and loss at ``state.point``, over the same items as the Gram matrix.

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
    return _propose(state, total_weight=sums.total_weight)


def ridge_start(sums: HeadSums, cross: GradientSums, *, l2: float) -> Head:
    """Return the head that one exchange can give: ridge regression on the centred targets.

    It minimises Böhning's quadratic bound at the zero head, 2 (G + 2·l2)⁻¹ sum of w·x·(t - 1/k)',
    and is the one-release option under differential privacy.

    Args:
        sums: Gram matrix of all labeled items.
        cross: Cross products, which are the gradient at the zero head with the sign turned.
        l2: As in ``start``.

    Source: Wang 2018, arXiv:1803.02596 (AdaSSP) for the one-release form.
    """
    if cross.gradient.shape[0] != sums.width:
        raise ShapeError("cross", cross.gradient.shape, (sums.width, "k"))
    inverse_factor = _inverse_factor(sums, _penalty(sums.width, l2))
    return Head.from_values(-_precondition(inverse_factor, cross.gradient_values))


def _evaluate(state: SolverState, sums: GradientSums) -> Evaluation:
    """Add the penalty, which only the coordinator knows, to the summed loss."""
    values = state.point.values
    return Evaluation(
        values=values,
        gradient=sums.gradient_values + state.penalty * values,
        objective=sums.loss_nats + 0.5 * float((state.penalty * values**2).sum()),
    )


def _propose(state: SolverState, *, total_weight: float) -> SolverState:
    """Choose the next point from the best one, or finish."""
    assert state.best is not None  # noqa: S101 - advance has just set it
    best = state.best
    # Twice in a row misled: only the step that is guaranteed to go down is left.
    memory = () if state.failures > 1 else state.memory
    step = -_two_loop(memory, state.inverse_factor, best.gradient)
    slope = float((step * best.gradient).sum())
    if -slope <= TOLERANCE_NATS * total_weight:
        return replace(state, outcome=Outcome.CONVERGED)
    if state.exchanges_left == 0:
        return replace(state, outcome=Outcome.SPENT)
    return replace(state, point=Head.from_values(best.values + step), slope=slope)


def _two_loop(
    memory: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...],
    inverse_factor: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Apply the L-BFGS inverse to the gradient (Nocedal and Wright 2006, algorithm 7.4)."""
    if not memory:
        return _precondition(inverse_factor, gradient)
    turned = gradient
    shares: list[float] = []
    for moved, bent in reversed(memory):
        shares.append(float((moved * turned).sum() / (moved * bent).sum()))
        turned = turned - shares[-1] * bent
    moved, bent = memory[-1]
    # M bounds the curvature from above, so this is at least 1: how much too short M's steps are.
    stretch = float((moved * bent).sum() / (bent * _precondition(inverse_factor, bent)).sum())
    result = stretch * _precondition(inverse_factor, turned)
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


def _precondition(
    inverse_factor: NDArray[np.float64], gradient: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return M⁻¹ gradient."""
    return np.asarray(inverse_factor.T @ (inverse_factor @ gradient))


def _penalty(width: int, l2: float) -> NDArray[np.float64]:
    """Return the L2 strength per row, small for the bias. Shape (p, 1)."""
    if not 0.0 < l2 < np.inf:
        raise InputError(f"l2 must be positive and finite, got {l2}")
    penalty = np.full((width, 1), l2)
    penalty[-1] = BIAS_SHARE * l2
    return penalty


def _inverse_factor(sums: HeadSums, penalty: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse Cholesky factor of ½G + penalty. Shape (p, p)."""
    bound = 0.5 * sums.matrix() + np.diag(penalty[:, 0])
    try:
        return np.asarray(np.linalg.inv(np.linalg.cholesky(bound)))
    except np.linalg.LinAlgError as error:
        raise InputError("the summed Gram matrix is not positive: sums were mixed up") from error

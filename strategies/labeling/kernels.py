"""Who does the arithmetic over votes: numpy everywhere, or numba where it is installed.

A device needs numpy only. A coordinator or a simulation, which goes through many devices' votes,
may ask for compiled loops: `kernels=compiled()`. Both give the same bits, so the choice is one of
speed and of nothing else; it is the caller's, for compiling costs seconds the first time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import MissingExtraError, ShapeError
from strategies.labeling import evidence, incidence, pair_counts
from strategies.labeling.evidence import Evidence, PosteriorSums
from strategies.labeling.incidence import Incidence
from strategies.labeling.pair_counts import PairCounts
from strategies.labeling.votes import checked_votes


class CountPairs(Protocol):
    """How VoteSummary counts."""

    def __call__(self, votes: NDArray[np.int8], classes: int) -> PairCounts:
        """Count votes and pairs of votes of a checked matrix."""
        ...


class Foretell(Protocol):
    """How a vote left out is foretold."""

    def __call__(
        self,
        others: NDArray[np.float64],
        heard: NDArray[np.float64],
        given: NDArray[np.float64],
        damping: float,
    ) -> NDArray[np.float64]:
        """Return the probability of each vote. Shape (v,)."""
        ...


class Probabilities(Protocol):
    """How LabelModel predicts."""

    def __call__(
        self, evidence: Evidence, votes: Incidence, *, prior: NDArray[np.float64], damping: float
    ) -> NDArray[np.float64]:
        """Return the class probabilities of each row. Shape (n, k)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """One way of doing the arithmetic.

    Attributes:
        name: For reports.
        count_pairs: Pair counts of a checked vote matrix.
        lay_out: Lays a checked vote matrix out for the others, once for all exchanges of a fit.
        posterior_sums: What one exchange sums.
        row_sums: Sums per row of a value (m * k,) that each vote has, in whole numbers.
        foretell: What leave-one-out scores.
        probabilities: The prediction.
    """

    name: str
    count_pairs: CountPairs
    lay_out: Callable[[NDArray[np.int8], int], Incidence]
    posterior_sums: Callable[[Evidence, Incidence], PosteriorSums]
    row_sums: Callable[[NDArray[np.float64], Incidence], NDArray[np.float64]]
    foretell: Foretell
    probabilities: Probabilities

    def laid_out(self, votes: ArrayLike | Incidence, *, functions: int, classes: int) -> Incidence:
        """Return votes laid out, unless they are already.

        Raises:
            ShapeError, InputError: votes are not a vote matrix of so many functions and classes.
        """
        if not isinstance(votes, Incidence):
            return self.lay_out(checked_votes(votes, classes, functions=functions), classes)
        if (votes.functions, votes.classes) != (functions, classes):
            raise ShapeError("votes", (votes.functions, votes.classes), (functions, classes))
        return votes


NUMPY = Kernels(
    name="numpy",
    count_pairs=pair_counts.count_pairs,
    lay_out=Incidence.of,
    posterior_sums=evidence.posterior_sums,
    row_sums=incidence.row_sums,
    foretell=evidence.foretell,
    probabilities=evidence.probabilities,
)


@lru_cache(maxsize=1)
def compiled() -> Kernels:
    """Return the numba kernels; the first use of each compiles it, then the disk remembers it.

    Raises:
        MissingExtraError: numba is not installed.
    """
    try:
        import numba  # noqa: F401  # lazy: a device has no numba, and must not need it
    except ImportError as err:
        raise MissingExtraError("the compiled label model", "coordinator") from err
    # lazy for the same reason: it compiles on import
    from strategies.labeling import numba_kernels, numba_pairs, numba_tokens

    return Kernels(
        name="numba",
        count_pairs=numba_pairs.count_pairs,
        lay_out=numba_tokens.lay_out,
        posterior_sums=numba_kernels.posterior_sums,
        row_sums=numba_kernels.row_sums,
        foretell=numba_kernels.foretell,
        probabilities=numba_kernels.probabilities,
    )

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
from numpy.typing import NDArray

from fieldvote.errors import MissingExtraError
from strategies.labeling import evidence, pair_counts
from strategies.labeling.evidence import Evidence, PosteriorSums
from strategies.labeling.incidence import Incidence
from strategies.labeling.pair_counts import PairCounts


class CountPairs(Protocol):
    """How VoteSummary counts."""

    def __call__(self, votes: NDArray[np.int8], classes: int) -> PairCounts:
        """Count votes and pairs of votes of a checked matrix."""
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
        lay_out: Lays a checked vote matrix out for the other two, once for all exchanges of a fit.
        posterior_sums: What one exchange sums.
        probabilities: The prediction.
    """

    name: str
    count_pairs: CountPairs
    lay_out: Callable[[NDArray[np.int8], int], Incidence]
    posterior_sums: Callable[[Evidence, Incidence], PosteriorSums]
    probabilities: Probabilities


NUMPY = Kernels(
    name="numpy",
    count_pairs=pair_counts.count_pairs,
    lay_out=Incidence.of,
    posterior_sums=evidence.posterior_sums,
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
    from strategies.labeling import numba_kernels

    return Kernels(
        name="numba",
        count_pairs=numba_kernels.count_pairs,
        lay_out=Incidence.of,
        posterior_sums=numba_kernels.posterior_sums,
        probabilities=numba_kernels.probabilities,
    )

"""What the solver divides gradients by: a guess at the curvature, made from the sketch.

The Gram matrix G bounds the curvature of the cross entropy, H <= ½G (Böhning 1992). What the
sketch tells of G is its largest eigenvalues with their directions; everywhere else G is taken to
be as large as the smallest eigenvalue that was found. M = ½G + l2 built so is positive and cheap
to invert. It is only close to a bound: the solver has to check that a step went down.

Source: Frangella, Tropp and Udell 2021, "Randomized Nyström preconditioning", arXiv:2110.02820,
    algorithm 2.1 and equation 5.1, with two changes. The core of the sketch is inverted on the
    eigenvalues that stand out of the rounding instead of being shifted: sums of whole numbers need
    no shift to stay positive. The penalty differs from row to row, so M is inverted by Woodbury's
    identity.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strategies.aggregation.sketch import HeadSums, projection

# Core eigenvalues below this share of the largest are rounding.
_NOISE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Preconditioner:
    """M = diag(diagonal) + low_rank·low_rank', ready to be inverted.

    Attributes:
        diagonal: Penalty and tail. Positive. Shape (p,).
        low_rank: Directions in which the curvature stands out. Shape (p, q).
        inner: Inverse of I + low_rank'·low_rank / diagonal. Shape (q, q).
    """

    diagonal: NDArray[np.float64]
    low_rank: NDArray[np.float64]
    inner: NDArray[np.float64]

    @classmethod
    def from_sums(
        cls, sums: HeadSums, *, penalty: NDArray[np.float64], seed: int
    ) -> "Preconditioner":
        """Return M for these sums.

        Args:
            sums: Sketched Gram matrix of all labeled items.
            penalty: L2 strength per row of the head. Positive. Shape (p, 1).
            seed: What the sketch was made with.
        """
        signs = projection(sums.width, seed=seed)
        eigenvalues, vectors = nystrom(sums.sketch_values, signs)
        # A sketch with room to spare has found all there is: nothing is hidden in its tail. Columns
        # of signs that depend on one another, as happens in narrow heads, are no room.
        room = int(np.linalg.matrix_rank(signs))
        spare = len(eigenvalues) < room or len(vectors) == len(eigenvalues)
        tail = 0.0 if spare else float(eigenvalues[-1])
        diagonal = 0.5 * tail + penalty[:, 0]
        low_rank = vectors * np.sqrt(0.5 * (eigenvalues - tail))
        core = low_rank.T @ (low_rank / diagonal[:, None])
        return cls(
            diagonal=diagonal,
            low_rank=low_rank,
            inner=np.asarray(np.linalg.inv(np.eye(len(core)) + core)),
        )

    def solve(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return M⁻¹ gradient. Shape (p, k), as gradient."""
        scaled = gradient / self.diagonal[:, None]
        inside = self.inner @ (self.low_rank.T @ scaled)
        return np.asarray(scaled - self.low_rank @ inside / self.diagonal[:, None])


def nystrom(
    sketch: NDArray[np.float64], signs: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the eigenvalues and eigenvectors of a matrix that its sketch tells of.

    Args:
        sketch: G·Omega. Shape (p, r).
        signs: Omega. Shape (p, r).

    Returns:
        Eigenvalues, largest first, shape (q,), and orthonormal eigenvectors, shape (p, q), of the
        Nyström approximation of G. Noise is left out: q is at most r, and 0 without any item.

    >>> nystrom(np.array([[4.0, 0.0], [0.0, 1.0]]), np.eye(2))[0]
    array([4., 1.])
    """
    core = signs.T @ sketch
    shares, turns = np.linalg.eigh(0.5 * (core + core.T))
    kept = shares > max(_NOISE * float(shares[-1]), 0.0)
    factor = sketch @ (turns[:, kept] / np.sqrt(shares[kept]))
    vectors, lengths, _ = np.linalg.svd(factor, full_matrices=False)
    return lengths**2, vectors

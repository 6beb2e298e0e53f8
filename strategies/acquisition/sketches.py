"""Sketches: a few bits that say which items are alike, and little else.

Bit i is the side of a random hyperplane the embedding lies on, so the share of bits in which two
sketches differ estimates the angle between the embeddings, in units of pi.

The seed of the projection is a secret of the fleet: with it, whoever holds an offer could sketch
texts of his own until one matches.

Sources: Charikar 2002, STOC, "Similarity estimation techniques from rounding algorithms", section
3; Ji et al. 2012, NIPS, "Super-bit locality-sensitive hashing", for planes at right angles.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream

SKETCH_BITS = 128
"""Bits of an offer's sketch. A multiple of 8; every device of a fleet must use the same number."""


def sketch(
    embeddings: ArrayLike, *, bits: int = SKETCH_BITS, seed: int, center: ArrayLike | None = None
) -> NDArray[np.uint8]:
    """Return the sketch of each embedding.

    Args:
        embeddings: Shape (n, d), finite.
        bits: Length of a sketch, a multiple of 8.
        seed: The fleet's secret; sketches under different seeds cannot be compared.
        center: Subtracted first, the same on every device; without it, embeddings that share a
            large common part share most of their bits. Shape (d,).

    Returns:
        Shape (n, bits / 8), bit 0 of a sketch first.

    Raises:
        ShapeError: embeddings is not a matrix, or center not one of its rows.
        InputError: bits is not a positive multiple of 8, or a value is not finite.

    >>> a, b = sketch([[1.0, 0.0], [2.0, 0.0]], bits=16, seed=7)
    >>> int(hamming(a, b))
    0
    """
    points = np.asarray(embeddings, dtype=np.float64)
    if points.ndim != 2:
        raise ShapeError("embeddings", points.shape, ("n", "d"))
    if bits < 8 or bits % 8:
        raise InputError(f"bits must be a positive multiple of 8, got {bits}")
    if center is not None:
        middle = np.asarray(center, dtype=np.float64)
        if middle.shape != points.shape[1:]:
            raise ShapeError("center", middle.shape, points.shape[1:])
        points = points - middle
    if not np.isfinite(points).all():
        raise InputError("embeddings and center must be finite")
    return np.packbits(points @ _planes(points.shape[1], bits, seed) > 0, axis=1)


def _planes(dimensions: int, bits: int, seed: int) -> NDArray[np.float64]:
    """Return the normals of the planes, one in each column.

    Of a short sketch they are at right angles to each other, as many as there are dimensions at a
    time: no bit says half of what another has said, and the estimate of an angle strays less. The
    planes of a full sketch stay as they were drawn, or devices of two releases could not compare.
    """
    planes = stream(seed, "sketch", dimensions, bits).standard_normal((dimensions, bits))
    if bits >= SKETCH_BITS or not dimensions:
        return planes
    found = []
    for start in range(0, bits, dimensions):
        block, triangle = np.linalg.qr(planes[:, start : start + dimensions])
        # on the side each was drawn on, whichever side the library at hand prefers
        found.append(block * np.where(np.diagonal(triangle) < 0, -1.0, 1.0))
    return np.concatenate(found, axis=1)


def hamming(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return in how many bits sketches differ; leading axes broadcast.

    Args:
        a: Shape (..., b).
        b: Shape (..., b).

    Raises:
        ShapeError: Sketches of different lengths.

    >>> hamming(np.array([0b1100], dtype=np.uint8), np.array([0b1010], dtype=np.uint8)).item()
    2
    """
    if a.shape[-1:] != b.shape[-1:]:
        raise ShapeError("b", b.shape, ("...", a.shape[-1] if a.ndim else "b"))
    return np.asarray(np.bitwise_count(a ^ b).sum(axis=-1, dtype=np.int64))


def unpack(sketches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return sketches as points: a 1 bit is +1, a 0 bit is -1.

    Args:
        sketches: Shape (n, b).

    Returns:
        Shape (n, 8 * b). Squared distance is four times the Hamming distance.

    >>> unpack(np.array([[0b10100000]], dtype=np.uint8)).tolist()
    [[1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0]]
    """
    return np.unpackbits(sketches, axis=1).astype(np.float64) * 2 - 1

"""Masking of images: fewer pixels, or no pixels at all.

Faces and plates are not looked for: what finds some of them promises nothing about the rest. An
image leaves so small that none can be told, or only as the numbers a model makes of it.
"""

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError

MOST_SIDE = 64  # pixels; a face on a larger picture may be known again
MOST_LEVELS = 256
SHORTEST = 1e-12  # a shorter embedding has no direction


def downsample(
    pixels: NDArray[np.uint8], *, side: int, levels: int = MOST_LEVELS
) -> NDArray[np.uint8]:
    """Return an image with at most side pixels a side, each the mean of those it stands for.

    Means are taken over whole blocks, so that no pixel of the original leaves by itself; what no
    whole block covers, at the right and the lower edge, joins the last block.

    Args:
        pixels: Shape (height, width) or (height, width, channels), uint8.
        side: Longest side of the result, 1 to 64.
        levels: How many values a channel is rounded to, 2 to 256.

    Returns:
        Shape (h, w) or (h, w, channels), uint8. An image that is small enough already is halved:
        its own pixels do not leave either.

    Raises:
        ShapeError: pixels are no image.
        InputError: side or levels are out of range.

    >>> downsample(np.array([[0, 100], [100, 200]], dtype=np.uint8), side=1)
    array([[100]], dtype=uint8)
    """
    is_image = pixels.dtype == np.uint8 and pixels.ndim in (2, 3) and 0 not in pixels.shape
    if not is_image or pixels.shape[:2] == (1, 1):
        raise ShapeError("pixels", pixels.shape, ("height", "width"))
    if not 1 <= side <= MOST_SIDE:
        raise InputError(f"an image leaves with 1 to {MOST_SIDE} pixels a side, not {side}")
    if not 2 <= levels <= MOST_LEVELS:
        raise InputError(f"a channel has 2 to {MOST_LEVELS} levels, not {levels}")
    block = max(2, -(-max(pixels.shape[:2]) // side))
    rows, columns = (_starts(length, block) for length in pixels.shape[:2])
    sums = np.add.reduceat(pixels.astype(np.float64), rows, axis=0)
    sums = np.add.reduceat(sums, columns, axis=1)
    heights = np.diff([*rows, pixels.shape[0]])
    widths = np.diff([*columns, pixels.shape[1]])
    counts = np.outer(heights, widths)
    means = sums / (counts if pixels.ndim == 2 else counts[:, :, None])
    steps = np.rint(means * (levels - 1) / 255)
    return np.asarray(np.rint(steps * 255 / (levels - 1)), dtype=np.uint8)


def embedding_only(embedding: NDArray[np.float32], *, levels: int = 16) -> NDArray[np.int8]:
    """Return an embedding as whole numbers of a few levels; no pixel leaves.

    Its length, which says how bright or how full an image is, is divided out first.

    Args:
        embedding: Shape (d,), finite.
        levels: How many values a number is rounded to, 2 to 255.

    Returns:
        Shape (d,), int8, from -(levels // 2) to levels // 2.

    Raises:
        ShapeError: not one vector.
        InputError: it is not finite, or levels are out of range.

    >>> embedding_only(np.array([3.0, -4.0, 0.0], dtype=np.float32), levels=4)
    array([ 2, -2,  0], dtype=int8)
    """
    if embedding.ndim != 1:
        raise ShapeError("embedding", embedding.shape, ("d",))
    if not 2 <= levels < MOST_LEVELS:
        raise InputError(f"an embedding has 2 to {MOST_LEVELS - 1} levels, not {levels}")
    if not np.isfinite(embedding).all():
        raise InputError("an embedding that is not finite does not leave")
    largest = float(np.abs(embedding).max(initial=0.0))
    if largest < SHORTEST:
        return np.zeros(len(embedding), dtype=np.int8)
    return np.asarray(np.rint(embedding / largest * (levels // 2)), dtype=np.int8)


def _starts(length: int, block: int) -> NDArray[np.int64]:
    """Return where each block begins; the last one takes what is left over."""
    return np.arange(max(length // block, 1), dtype=np.int64) * block

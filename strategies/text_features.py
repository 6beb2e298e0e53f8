"""Texts as numbers: hashed words and letter triples, and a few counts of what a text looks like.

The one feature path for text, on a device and in rehearsal. It needs no vocabulary, no training
and no data of anybody's, and gives the same numbers on every machine (CRC-32 of UTF-8 bytes).
Digits are read as 0, so that a number counts by its length and not by what it says.
"""

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError

# A longer text is cut, so that one item cannot stall a device.
MAX_CHARACTERS = 10_000

SHAPE_NAMES = (
    "length",
    "words",
    "digit share",
    "digits",
    "longest number",
    "upper-case share",
    "exclamation marks",
    "currency sign",
    "web address",
)
SHAPES = len(SHAPE_NAMES)
MIN_WIDTH = SHAPES + 16

_TOKEN = re.compile(r"\w+|[^\w\s]")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"\d+")
_UPPER = re.compile(r"[A-Z]")
_CURRENCY = re.compile(r"[£$€¥₹]")
_WEB = re.compile(r"https?:|www\.|\w\.(?:com|net|org|co)\b", re.IGNORECASE)
_TRIPLE = 3


def hash_ngrams(texts: Sequence[str], width: int) -> NDArray[np.float32]:
    """Return one row of features per text.

    The hashed part (words, marks and letter triples inside words, signed, scaled to length 1)
    comes first, the ``SHAPES`` counts last, each between 0 and about 1.

    Args:
        texts: The texts, may be empty.
        width: Features per text, shape features included. At least 25.

    Returns:
        Shape (n, width).

    Raises:
        InputError: width leaves no room for hashes.

    >>> a, b = hash_ngrams(["call 0800 now", "call 1234 now"], 64)
    >>> bool((a == b).all())
    True
    """
    if width < MIN_WIDTH:
        raise InputError(f"text features need a width of at least {MIN_WIDTH}, got {width}")
    buckets = width - SHAPES
    features = np.zeros((len(texts), width), dtype=np.float32)
    for row, text in enumerate(texts):
        cut = text[:MAX_CHARACTERS]
        features[row, :buckets] = _hashed(cut, buckets)
        features[row, buckets:] = _shape(cut)
    return features


def _hashed(text: str, buckets: int) -> NDArray[np.float32]:
    """Return signed counts of words and triples, scaled to length 1; zeros for an empty text."""
    hashes: list[int] = []
    for token in _TOKEN.findall(_DIGIT.sub("0", text.lower())):
        hashes.extend(_token_hashes(token))
    codes = np.array(hashes, dtype=np.int64)
    signs = 1.0 - 2.0 * (codes & 1)
    counts = np.bincount((codes >> 1) % buckets, weights=signs, minlength=buckets)
    # Whole numbers: the sum of squares is exact, so the length does not depend on the machine.
    length = np.sqrt((counts * counts).sum())
    return np.asarray(counts / max(length, 1.0), dtype=np.float32)


@lru_cache(maxsize=1 << 14)
def _token_hashes(token: str) -> tuple[int, ...]:
    """Return the hash of a token and of its letter triples, its ends marked."""
    marked = f"<{token}>"
    triples = (f"#{marked[i : i + _TRIPLE]}" for i in range(len(marked) - _TRIPLE + 1))
    return tuple(zlib.crc32(gram.encode("utf-8", "replace")) for gram in (token, *triples))


def _shape(text: str) -> tuple[float, ...]:
    """Return counts in the order of ``SHAPE_NAMES``."""
    length = max(len(text), 1)
    numbers = [len(number) for number in _NUMBER.findall(text)]
    return (
        float(np.log1p(len(text))) / 7.0,
        float(np.log1p(len(text.split()))) / 5.0,
        sum(numbers) / length,
        min(sum(numbers), 20) / 20.0,
        min(max(numbers, default=0), 11) / 11.0,
        len(_UPPER.findall(text)) / length,
        min(text.count("!"), 3) / 3.0,
        float(_CURRENCY.search(text) is not None),
        float(_WEB.search(text) is not None),
    )

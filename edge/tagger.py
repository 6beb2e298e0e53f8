"""The task's tagger: a small ONNX model that points at names, character by character.

It reads a text as code points and says of each character what it is part of; the first kind is
"nothing". What it says is only ever added to what redaction masks, so a bad one costs words and
never shows any. A text is read in pieces that overlap, so that its length costs no memory and a
name at a border is seen whole by one of the two.

=========  =======================  ==========================================
tensor     shape, type              meaning
=========  =======================  ==========================================
``text``   (1, n) int32             code points
``kinds``  (1, n, 1 + K) float32    the largest counts; column 0 is "nothing"
=========  =======================  ==========================================
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from edge.model_guard.rules import Wanted, check_model
from edge.model_guard.session import open_session
from fieldvote.errors import TaskError
from privacy.pii import Span
from privacy.pii.spans import KINDS

PIECE = 2048  # characters read at once
OVERLAP = 128  # characters; longer than any name
INPUT, OUTPUT = "text", "kinds"
_INT32 = 6  # as ONNX numbers data types


class OnnxTagger:
    """Tags texts with a model of the task folder; it loads when the device opens."""

    def __init__(self, model: bytes, kinds: Sequence[str], *, where: str = "tagger") -> None:
        """Load the model and check what it takes and gives.

        Args:
            model: The ONNX file.
            kinds: What its columns after the first stand for.
            where: How to call the model in errors.

        Raises:
            TaskError: a kind is unknown, or the bytes are no such model.
        """
        if unknown := sorted(set(kinds) - set(KINDS)):
            raise TaskError(f"{where}: no kind '{unknown[0]}'; there are {', '.join(KINDS)}")
        self._kinds = tuple(kinds)
        self._where = where
        wanted = Wanted(
            inputs={INPUT: (1, None)}, outputs={OUTPUT: (1, None, None)}, kinds={INPUT: _INT32}
        )
        check_model(model, wanted, where=where)
        self._session = open_session(model, where)

    def __call__(self, text: str) -> list[Span]:
        """Return what the model points at, in code points of text; spans may overlap.

        Raises:
            TaskError: the model fails on this text, or gives something else than it should.
        """
        # a lone surrogate is no character a model was ever shown; its place counts all the same
        points = np.array([ord(char) for char in text], dtype=np.int32)
        return [
            Span(start + first, start + end, self._kinds[column - 1])
            for start in range(0, max(len(text) - OVERLAP, 1), PIECE - OVERLAP)
            for first, end, column in _runs(self._best(points[start : start + PIECE]))
        ]

    def _best(self, points: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the column with the largest number for each character. Shape (n,)."""
        if not len(points):
            return np.empty(0, dtype=np.int64)
        try:
            [given] = self._session.run([OUTPUT], {INPUT: points[None, :]})
        except Exception as err:  # its errors share no base class
            # without its own words, which may quote the text
            raise TaskError(f"{self._where} does not run: {type(err).__name__}") from None
        scores = np.asarray(given)
        expected = (1, len(points), 1 + len(self._kinds))
        if scores.shape != expected or not np.isfinite(scores).all():
            raise TaskError(
                f"{self._where} gave shape {scores.shape}, expected finite numbers of {expected}"
            )
        return np.asarray(scores[0].argmax(axis=1), dtype=np.int64)


def _runs(columns: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and column of each run of characters that are part of something."""
    place = 0
    for column, run in groupby(columns.tolist()):
        end = place + sum(1 for _ in run)
        if column:
            yield place, end, column
        place = end

"""What a simulated annotator understands: masked texts and masked rows, learned from unmasked ones.

Both readers know the training items and their true labels by heart, as a person at home in the
domain would; what they get wrong, they get wrong because masking took it away.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, MissingExtraError, ShapeError
from simulations.dataset import fill_missing, training_medians
from simulations.oracle import MaskedFields

Mask = Callable[[Sequence[str], Sequence[float]], MaskedFields]
"""What masks a row on its device: names and values in, kept and rounded fields out."""

_BUCKETS = 2**18
_WORDS = r"(?u)\b\w+\b|[£$€!?]"

# Whether a detail is hidden or stands there, the reader is told the same: there is one. Hidden
# words add one word more, because a name is not a number.
_DETAILS = (
    (
        re.compile(r"\S+@\S+|(?:https?:|www\.)\S+|\b[\w-]+\.(?:com|net|org|co\.uk)\b\S*"),
        " _detail ",
    ),
    (re.compile(r"\[(?:NAME|PERSON|PLACE|ADDRESS|ORG|MASKED)_\d+\]|\[…\]"), " _detail _hidden "),
    (re.compile(r"\[[A-Z]+_\d+\]"), " _detail "),
    (re.compile(r"\S*\d\S*(?:\s+[\d\s().,:/+-]*\d)*"), " _detail "),
)


def plain_words(text: str) -> str:
    """Return the text with every detail, shown or hidden, as the same word.

    >>> plain_words("ring 0800 555 0143 or [PHONE_1] and ask for [NAME_1]").split()
    ['ring', '_detail', 'or', '_detail', 'and', 'ask', 'for', '_detail', '_hidden']
    """
    for pattern, words in _DETAILS:
        text = pattern.sub(words, text)
    return text


class TextReader:
    """Reads masked texts with a linear model of many words, fitted on unmasked training texts."""

    def __init__(self, texts: Sequence[str], labels: NDArray[np.int64]) -> None:
        """Learn the training texts.

        Args:
            texts: Unmasked texts of the training devices. Length n.
            labels: Their true classes; at least two occur. Shape (n,).

        Raises:
            ShapeError: Not one label per text.
            InputError: One class only.
            MissingExtraError: scikit-learn is not installed.
        """
        if labels.shape != (len(texts),):
            raise ShapeError("labels", labels.shape, (len(texts),))
        if len(np.unique(labels)) < 2:
            raise InputError("the training texts are all of one class; a reader needs two")
        try:
            from sklearn.feature_extraction.text import HashingVectorizer
            from sklearn.linear_model import LogisticRegression
        except ImportError as err:
            raise MissingExtraError("the simulated annotator", "simulations") from err
        # presence, not counts or shares: a hidden word must not change the weight of the others
        self._words = HashingVectorizer(
            n_features=_BUCKETS,
            ngram_range=(1, 2),
            token_pattern=_WORDS,
            preprocessor=lambda text: plain_words(text).lower(),
            binary=True,
            norm=None,
            alternate_sign=False,
        )
        self._model = LogisticRegression(C=1.0, max_iter=1000)
        self._model.fit(self._words.transform(texts), labels)

    def read(self, contents: Sequence[str | MaskedFields]) -> NDArray[np.int64]:
        """Return the class that each text seems to be of. Shape (n,).

        Raises:
            InputError: A row where a text was expected.
        """
        texts = [content for content in contents if isinstance(content, str)]
        if len(texts) < len(contents):
            raise InputError("a reader of texts was shown a row of fields")
        if not texts:
            return np.empty(0, dtype=np.int64)
        return np.asarray(self._model.predict(self._words.transform(texts)), dtype=np.int64)


class RowReader:
    """Reads masked rows by recalling the training rows that look most alike once masked too."""

    def __init__(
        self,
        features: NDArray[np.float64],
        labels: NDArray[np.int64],
        *,
        names: Sequence[str],
        mask: Mask,
    ) -> None:
        """Learn the training rows as they look through the mask.

        Args:
            features: Unmasked rows of the training devices, NaN where missing. Shape (n, d).
            labels: Their true classes. Shape (n,).
            names: The d field names.
            mask: The mask that devices use.

        Raises:
            ShapeError: Not one label per row, or no row.
            InputError: The mask keeps no field.
        """
        if labels.shape != (len(features),) or not len(labels):
            raise ShapeError("labels", labels.shape, (len(features) or "n > 0",))
        masked = [mask(names, row) for row in features.tolist()]
        self._names = tuple(name for name, _ in masked[0])
        if not self._names:
            raise InputError("the mask keeps no field; an annotator would see nothing")
        self._labels = labels
        rows = np.array([[_number(value) for _, value in fields] for fields in masked])
        everywhere = np.ones(len(rows), dtype=np.bool_)
        self._medians = training_medians(rows, everywhere)
        rows = fill_missing(rows, self._medians)
        spread = rows.std(axis=0)
        self._scale = np.where(spread > 0, spread, 1.0)
        # column by column, as picking columns makes it: sums of distances keep their last bit
        self._rows = np.asfortranarray(rows / self._scale)

    def read(self, contents: Sequence[str | MaskedFields]) -> NDArray[np.int64]:
        """Return the majority class of the nearest training rows of each. Shape (n,).

        Distance is Euclidean over the fields that have a value, each in units of its spread; of
        classes that are equally frequent among the nearest, the first is returned.

        Raises:
            InputError: A text, or a row of other fields than the mask keeps.
        """
        return np.array([self._nearest(content) for content in contents], dtype=np.int64)

    def _nearest(self, content: str | MaskedFields) -> int:
        """Return the majority class of the training rows nearest to this one."""
        if isinstance(content, str) or tuple(name for name, _ in content) != self._names:
            raise InputError("a reader of rows was shown something other than the kept fields")
        values = np.array([_number(value) for _, value in content])
        known = ~np.isnan(values)
        rows = self._rows if known.all() else self._rows[:, known]
        away = rows - values[known] / self._scale[known]
        distance = np.einsum("nd,nd->n", away, away)
        return int(np.bincount(self._labels[distance == distance.min()]).argmax())


def _number(value: float | None) -> float:
    """Return a field's value, NaN where it is missing."""
    return float("nan") if value is None else float(value)

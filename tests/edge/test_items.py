"""Items as kept, as seen by functions, and as fed to the model: one feature path."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from edge.items import model_inputs, row_payload, rows_of, text_payload, texts_of
from fieldvote.errors import InputError, ShapeError
from fieldvote.task import TabularInput, TextInput
from strategies.text_features import hash_ngrams

FIELDS = TabularInput(fields=("a", "b", "c"))
NUMBERS = st.floats(-1e6, 1e6) | st.just(np.nan)
MATRICES = npst.arrays(np.float64, st.tuples(st.integers(0, 8), st.just(3)), elements=NUMBERS)


@settings(deadline=None, max_examples=100)
@given(MATRICES)
def test_rows_come_back_as_they_were_missing_fields_included(rows: NDArray[np.float64]) -> None:
    back = rows_of([row_payload(row) for row in rows], 3)
    assert back.shape == rows.shape
    assert np.array_equal(back, rows, equal_nan=True)


@settings(deadline=None, max_examples=100)
@given(MATRICES)
def test_a_missing_field_is_the_pools_own_median_or_zero(rows: NDArray[np.float64]) -> None:
    fed = model_inputs([row_payload(row) for row in rows], FIELDS)
    assert fed.dtype == np.float32
    assert fed.shape == rows.shape
    for column, got in zip(rows.T, fed.T, strict=True):
        seen = sorted(value for value in column if not np.isnan(value))
        middle = (seen[(len(seen) - 1) // 2] + seen[len(seen) // 2]) / 2 if seen else 0.0
        expected = np.where(np.isnan(column), middle, column)
        assert np.allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinite_field_is_refused_by_its_place(bad: float) -> None:
    with pytest.raises(InputError, match="field 1 of an item is infinite"):
        row_payload(np.array([np.nan, bad, 0.0]))


def test_a_row_of_another_length_is_refused() -> None:
    payloads = [row_payload(np.zeros(3)), row_payload(np.zeros(2))]
    with pytest.raises(ShapeError, match="item has shape"):
        rows_of(payloads, 3)
    with pytest.raises(ShapeError):
        model_inputs([b"text"], FIELDS)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.text(), max_size=5))
@example(["half a pair \ud83d, then \udfff", "\udc80"])
def test_texts_come_back_and_what_is_no_unicode_is_replaced(texts: list[str]) -> None:
    payloads = [text_payload(text) for text in texts]
    expected = tuple(
        "".join("?" if "\ud800" <= letter <= "\udfff" else letter for letter in text)
        for text in texts
    )
    assert texts_of(payloads) == expected
    fed = model_inputs(payloads, TextInput(width=64))
    assert np.array_equal(fed, hash_ngrams(expected, 64))
    assert np.isfinite(fed).all()


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=30))
def test_any_bytes_are_some_text(payload: bytes) -> None:
    (text,) = texts_of([payload])
    text.encode("utf-8")
    assert np.isfinite(model_inputs([payload], TextInput(width=64))).all()

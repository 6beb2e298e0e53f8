"""A second view is the item seen otherwise: the same everywhere, and made of the item alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.models.backbone import identity_backbone
from edge.items import model_inputs, row_payload, rows_of, text_payload, texts_of
from edge.learning.views import (
    FewerWords,
    JitteredFields,
    SecondView,
    SecondViews,
    second_view_of,
)
from edge.scorer import Scorer
from fieldvote.rng import stream
from fieldvote.task import TabularInput, TextInput

ROWS = TabularInput(fields=("a", "b", "c"))
TEXT = TextInput(width=64)
SCORER = Scorer(identity_backbone(3, 2), names=("input", "probabilities", "embedding"))
PAYLOADS = [row_payload(row) for row in stream(1, "rows").normal(size=(30, 3)) * [1, 10, 0]]
IDS = [stream(1, "id", i).bytes(16) for i in range(30)]


@settings(deadline=None)
@given(st.text(max_size=200), st.integers(0, 9))
def test_a_text_loses_words_and_nothing_else(text: str, seed: int) -> None:
    payload = text_payload(text)
    words = texts_of([payload])[0].split()
    left = texts_of([FewerWords()(payload, stream(seed, "view"))])[0].split()
    there = iter(words)
    assert all(word in there for word in left)  # in the same order
    assert bool(left) == bool(words)


def test_about_one_word_in_ten_is_left_out() -> None:
    payload = text_payload(" ".join(f"w{i}" for i in range(4000)))
    left = len(texts_of([FewerWords()(payload, stream(1, "view"))])[0].split())
    assert 3500 < left < 3700


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.5, -2.0, float("nan")]), min_size=3, max_size=3))
def test_a_field_is_a_little_off_or_missing_and_a_missing_one_stays_so(row: list[float]) -> None:
    spread = np.array([1.0, 2.0, 0.0])
    view = JitteredFields(spread)(row_payload(np.array(row)), stream(3, "view"))
    [seen] = rows_of([view], 3)
    given_ = np.array(row)
    both = ~np.isnan(seen)
    assert not np.isnan(given_[both]).any()
    assert (np.abs(seen[both] - given_[both]) <= spread[both] * 0.1 * 6).all()
    assert np.isnan(seen[2]) or seen[2] == given_[2]


def test_the_spread_of_a_field_is_over_what_is_known_of_it() -> None:
    rows = np.array([[1.0, np.nan, 5.0], [3.0, np.nan, np.nan], [np.nan, np.nan, 5.0]])
    noise = [
        JitteredFields.of_pool(rows)(row_payload(np.zeros(3)), stream(i, "n")) for i in range(300)
    ]
    seen = rows_of(noise, 3)
    assert np.nanstd(seen[:, 0]) == pytest.approx(0.1, rel=0.2)
    assert np.nanmax(np.abs(seen[:, 1:])) == 0


@pytest.mark.parametrize(("of", "kind"), [(TEXT, FewerWords), (ROWS, JitteredFields)])
def test_each_kind_of_input_has_its_view(of: TextInput | TabularInput, kind: type) -> None:
    view: SecondView = second_view_of(of, PAYLOADS)
    assert isinstance(view, kind)


def test_an_item_has_the_same_view_in_any_order_and_again() -> None:
    of_all = SecondViews(lambda: PAYLOADS, IDS, task_input=ROWS, scorer=SCORER)
    turned = SecondViews(lambda: PAYLOADS[::-1], IDS[::-1], task_input=ROWS, scorer=SCORER)
    assert np.array_equal(of_all.inputs, turned.inputs[::-1])
    assert np.array_equal(of_all.embeddings, turned.embeddings[::-1])
    assert not np.array_equal(of_all.inputs, model_inputs(PAYLOADS, ROWS))


def test_items_that_came_since_are_not_seen() -> None:
    held = list(PAYLOADS[:5])
    views = SecondViews(lambda: held, IDS[:4], task_input=ROWS, scorer=SCORER)
    assert len(views.inputs) == len(views.embeddings) == 4


def test_nothing_is_made_before_it_is_asked_for() -> None:
    def never() -> list[bytes]:
        raise AssertionError("the pool was read")

    views = SecondViews(never, IDS, task_input=ROWS, scorer=SCORER)
    with pytest.raises(AssertionError, match="was read"):
        _ = views.inputs

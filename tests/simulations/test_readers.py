from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from privacy.pii import FieldPolicy, KeptField, Redactor, mask_fields
from simulations.datasets import load_dataset
from simulations.messages import generate_messages
from simulations.readers import RowReader, TextReader, plain_words
from tests.simulations.test_datasets import REAL

NAMES = ("near", "far", "noise")


@cache
def text_reader() -> TextReader:
    pytest.importorskip("sklearn")
    made = generate_messages(1)
    return TextReader(made.texts or (), made.labels)


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        ("ring 07700 900123 now", "ring [PHONE_1] now"),
        ("ring (212) 555-0187 now", "ring [PHONE_12] now"),
        ("mail ann.lee@example.org today", "mail [EMAIL_1] today"),
        ("see www.example.com/win today", "see [URL_3] today"),
        ("your code 85272 is ready", "your code [NUMBER_1] is ready"),
        ("pay £1000 today", "pay [MONEY_1] today"),
        ("born 1987-03-12 here", "born [DATE_1] here"),
    ],
)
def test_a_shown_detail_and_a_hidden_one_read_the_same(shown: str, hidden: str) -> None:
    assert plain_words(shown).split() == plain_words(hidden).split()


def test_it_knows_its_training_texts_by_heart() -> None:
    made = generate_messages(1)
    assert (text_reader().read(made.texts or ()) == made.labels).mean() > 0.995


def test_it_still_reads_nearly_all_of_them_through_the_redactor() -> None:
    made = generate_messages(1)
    masked = [redaction.text for redaction in Redactor().redact_batch(made.texts or ())]
    right = text_reader().read(masked) == made.labels
    assert right.mean() > 0.99
    assert right[made.labels == 1].mean() > 0.96


def test_a_text_of_which_nothing_is_left_reads_as_the_common_class() -> None:
    assert text_reader().read(["", "[MASKED_1]"]).tolist() == [0, 0]
    assert text_reader().read([]).shape == (0,)


def test_readers_refuse_what_they_cannot_learn_from_or_read() -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(ShapeError):
        TextReader(["a", "b"], np.array([0]))
    with pytest.raises(InputError, match="one class"):
        TextReader(["a", "b"], np.array([1, 1]))
    with pytest.raises(InputError, match="row of fields"):
        text_reader().read([(("a", 1.0),)])


@REAL
def test_the_price_of_redaction_on_real_messages_is_small_and_not_nothing() -> None:
    pytest.importorskip("sklearn")
    sms = load_dataset("sms", 1)
    reader = TextReader(sms.texts or (), sms.labels)
    masked = [redaction.text for redaction in Redactor().redact_batch(sms.texts or ())]
    shown = (reader.read(sms.texts or ()) == sms.labels).mean()
    hidden = (reader.read(masked) == sms.labels).mean()
    assert shown > 0.999
    assert 0.98 < hidden < shown


def rows(seed: int, items: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = np.round(rng.normal(size=(items, 3)) * [1.0, 100.0, 1.0], 3)
    features[rng.random(features.shape) < 0.1] = np.nan
    return features, rng.integers(3, size=items)


def keeping(**decimals: int) -> FieldPolicy:
    return FieldPolicy(tuple(KeptField(name, places) for name, places in decimals.items()))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(-1, 3))
def test_a_row_is_read_as_the_majority_of_its_nearest_as_counted_one_by_one(
    seed: int, places: int
) -> None:
    features, labels = rows(seed)
    mask = partial(mask_fields, policy=keeping(near=places, far=places))
    reader = RowReader(features, labels, names=NAMES, mask=mask)
    seen = np.array([[np.nan if v is None else v for _, v in mask(NAMES, r)] for r in features])
    middle = np.nanmedian(seen, axis=0)
    full = np.where(np.isnan(seen), middle, seen)
    spread = np.where(full.std(axis=0) > 0, full.std(axis=0), 1)
    for row in range(0, len(features), 7):
        known = [column for column in (0, 1) if not np.isnan(seen[row, column])]
        away = [
            sum(((full[other, c] - seen[row, c]) / spread[c]) ** 2 for c in known)
            for other in range(len(features))
        ]
        nearest = [labels[o] for o in range(len(features)) if away[o] <= min(away) + 1e-12]
        expected = max(range(3), key=lambda label: (nearest.count(label), -label))
        assert reader.read([mask(NAMES, features[row])])[0] == expected


def test_kept_whole_a_row_is_recalled_and_rounded_away_it_is_not() -> None:
    features, labels = rows(0, 200)
    exact = partial(mask_fields, policy=keeping(near=3, far=3, noise=3))
    coarse = partial(mask_fields, policy=keeping(near=-1))
    right = []
    for mask in (exact, coarse):
        reader = RowReader(features, labels, names=NAMES, mask=mask)
        answers = reader.read([mask(NAMES, row) for row in features])
        right.append((answers == labels).mean())
    assert right[0] > 0.98
    assert right[1] < 0.6


def test_a_row_reader_refuses_what_it_was_not_made_for() -> None:
    features, labels = rows(0)
    mask = partial(mask_fields, policy=keeping(near=1))
    reader = RowReader(features, labels, names=NAMES, mask=mask)
    for content in ("a text", (("far", 1.0),), ()):
        with pytest.raises(InputError, match="kept fields"):
            reader.read([content])
    with pytest.raises(InputError, match="keeps no field"):
        RowReader(features, labels, names=NAMES, mask=partial(mask_fields, policy=FieldPolicy()))
    with pytest.raises(ShapeError):
        RowReader(features, labels[:5], names=NAMES, mask=mask)

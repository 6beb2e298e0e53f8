import re
from functools import cache
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from simulations.dataset import Dataset
from simulations.messages import CLASSES, generate_messages
from simulations.word_lists import AREA_CODES, CARD_PREFIXES, FIRST_NAMES, LAST_NAMES, STREETS

FIRST, LAST = "|".join(FIRST_NAMES), "|".join(LAST_NAMES)
SHAPES = {
    "PERSON": rf"({FIRST})( ({LAST}))?",
    "PHONE": r"(\+44 )?[\d ()+-]{9,16}",
    "EMAIL": r"\S+@(\w+\.)?example\.(com|org|net)",
    "ADDRESS": rf"\d{{1,3}} ({'|'.join(STREETS)})",
    "ACCOUNT": r"\d{8}|GB\d\dTEST\d{14}",
    "CARD": r"\d{16}|(\d{4} ){3}\d{4}",
    "DATE": r"\d{1,2} [A-Z][a-z]+ \d{4}|\d\d/\d\d/\d{4}|\d{4}-\d\d-\d\d",
}


@cache
def messages() -> Dataset:
    return generate_messages(1)


def planted(dataset: Dataset) -> list[tuple[str, str]]:
    """Kind and text of every planted span, cut out of the messages."""
    assert dataset.texts is not None
    return [
        (span.kind, text[span.start : span.end])
        for text, spans in zip(dataset.texts, dataset.planted, strict=True)
        for span in spans
    ]


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**63))
def test_every_span_holds_what_was_planted_in_order_and_apart(seed: int) -> None:
    made = generate_messages(seed, items=400)
    assert made.texts is not None
    for kind, text in planted(made):
        assert re.fullmatch(SHAPES[kind], text), (kind, text)
    for text, spans in zip(made.texts, made.planted, strict=True):
        borders = [border for span in spans for border in (span.start, span.end)]
        assert borders == sorted(borders)
        assert all(0 <= border <= len(text) for border in borders)


def test_no_name_mail_or_long_number_stands_outside_the_spans() -> None:
    made = messages()
    assert made.texts is not None
    for text, spans in zip(made.texts, made.planted, strict=True):
        rest = list(text)
        for span in spans:
            rest[span.start : span.end] = " " * (span.end - span.start)
        left = "".join(rest)
        assert not re.search(rf"\b({LAST})\b|@|\d{{6,}}", left), left


def test_the_same_seed_gives_the_same_messages_and_another_seed_others() -> None:
    again, other = generate_messages(1), generate_messages(2)
    assert again.texts == messages().texts
    assert again.planted == messages().planted
    assert again.labels.tolist() == messages().labels.tolist()
    assert len(set(other.texts or ()) & set(again.texts or ())) < 0.2 * again.items


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_offers_are_rare_and_much_is_planted(seed: int) -> None:
    made = generate_messages(seed)
    assert made.classes == CLASSES
    assert (made.items, made.devices) == (4000, 40)
    assert 0.13 <= made.labels.mean() <= 0.20
    assert len(planted(made)) >= 2500
    assert len({text for _, text in planted(made)}) >= 2000
    for kind in SHAPES:
        assert sum(kind == found for found, _ in planted(made)) >= 50


def test_numbers_are_of_nobody() -> None:
    for kind, text in planted(messages()):
        digits = re.sub(r"\D", "", text)
        if kind == "CARD":
            assert digits.startswith(CARD_PREFIXES)
            doubled = [int(d) * (1 + (i % 2 == 0)) for i, d in enumerate(digits)]
            assert sum(value - 9 * (value > 9) for value in doubled) % 10 == 0
        elif kind == "PHONE" and "555-01" in text:
            assert re.fullmatch(rf"1?({'|'.join(AREA_CODES)})55501\d\d", digits)
        elif kind == "PHONE":
            national = re.sub("^44", "0", digits)
            assert re.fullmatch(
                r"07700900\d{3}|02079460\d{3}|01632960\d{3}|01134960\d{3}|08081570\d{3}", national
            )
        elif kind == "ACCOUNT" and text.startswith("GB"):
            turned = text[4:] + text[:4]
            assert int("".join(str(int(letter, 36)) for letter in turned)) % 97 == 1


def test_people_differ_in_what_they_write() -> None:
    made = messages()
    assert made.texts is not None
    offers = [made.labels[made.device == device].mean() for device in range(40)]
    assert np.std(offers) > 0.03
    owned = sorted(zip(made.device.tolist(), made.texts, strict=True))
    shares = [
        np.mean([" u " in f" {text} " for _, text in group])
        for _, group in groupby(owned, key=lambda pair: pair[0])
    ]
    assert min(shares) < 0.02 < 0.1 < max(shares)


def test_classes_are_learnable_and_not_trivial() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    linear = pytest.importorskip("sklearn.linear_model")
    scores = []
    for seed in (1, 2, 3):
        made = generate_messages(seed)
        held = made.device % 5 == seed
        features = text.HashingVectorizer(n_features=4096, ngram_range=(1, 2)).transform(made.texts)
        model = linear.LogisticRegression(C=1.0, max_iter=1000)
        found = model.fit(features[~held], made.labels[~held]).predict(features[held])
        hits = (found & made.labels[held]).sum()
        scores.append(2 * hits / (found.sum() + made.labels[held].sum()))
    assert 0.93 <= np.mean(scores) <= 0.99


def test_too_few_messages_for_forty_devices_are_refused() -> None:
    assert generate_messages(1, items=160).devices == 40
    with pytest.raises(InputError, match="160 or more"):
        generate_messages(1, items=159)

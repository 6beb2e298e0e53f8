"""A text that its mask hides is not asked for while others can be read."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.holdings import Holdings
from edge.items import row_payload, text_payload
from edge.legible import LEAST_READ, MOST_READ, legible, readable_share
from fieldvote.heads import HeadModel
from fieldvote.records import ARM_CHOSEN, ARM_RANDOM
from fieldvote.rng import stream
from privacy.pii import Redactor
from privacy.pii.spans import Span
from strategies.representation import Moments
from tests.doubles.agents import Device, build_device, model_from
from tests.doubles.tasks import tabular_files, task_of, text_files

PLAIN = ["see you at home", "we will see the winner", "call me in the morning", "a prize for you"]
HIDDEN = ["146tf150p", "xqzt kowalczyk", "jsco zzq7", "2/2 jaykwon thuglyfe"]
TEXTS = [text for pair in zip(HIDDEN, PLAIN, strict=True) for text in pair]
READ = np.array([text in PLAIN for text in TEXTS])
REDACTOR = Redactor(mode="strict", locales=("en",))


def held_by(device: Device) -> Holdings:
    return Holdings.of(device.agent._parts)  # an agent shows nobody what it holds


def device_of(texts: list[str]) -> Device:
    return build_device(task_of(text_files()), [text_payload(text) for text in texts])


HELD = held_by(device_of(TEXTS))


def views(seed: int, items: int = len(TEXTS)) -> NDArray[np.float64]:
    return stream(seed, "p").dirichlet(np.ones(2), items)


def head_for(device: Device) -> HeadModel:
    moments = Moments.from_vector(device.survey(random=1, first=True).moments)
    model = model_from(moments, classes=2)
    return replace(model, weights=stream(4, "w").integers(-9, 9, len(model.weights)) << 12)


def test_a_share_is_what_redaction_leaves_of_the_characters() -> None:
    for text in TEXTS:
        assert (readable_share(REDACTOR, text) >= LEAST_READ) == (text in PLAIN)
    half = readable_share(REDACTOR, "see xqzt")
    assert half == 0.5
    assert readable_share(REDACTOR, "") == readable_share(REDACTOR, " \n") == 0.0


def test_of_a_long_text_the_beginning_tells() -> None:
    seen: list[int] = []

    def tagger(text: str) -> list[Span]:
        seen.append(len(text))
        return []

    assert readable_share(Redactor(tagger=tagger), "see you " * 9000 + "xqzt " * 9000) == 1.0
    assert seen == [MOST_READ]


def test_what_cannot_be_masked_cannot_be_read() -> None:
    def broken(text: str) -> list[Span]:
        raise RuntimeError(text)

    assert readable_share(Redactor(tagger=broken), PLAIN[0]) == 0.0


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, len(TEXTS) - 1), unique=True),
    st.integers(0, 12),
    st.integers(0, 1000),
)
def test_the_most_uncertain_that_can_be_read_come_first_then_the_most_uncertain_others(
    chosen: list[int], wanted: int, seed: int
) -> None:
    places = np.array(sorted(chosen), dtype=np.int64)
    view = views(seed)
    by_both = sorted(chosen, key=lambda place: (not READ[place], float(np.ptp(view[place]))))
    assert set(legible(HELD, places, view, wanted).tolist()) == set(by_both[:wanted])


def test_hidden_texts_are_offered_by_lot_alone_while_others_can_be_read() -> None:
    device = device_of(TEXTS)
    head = head_for(device)
    ids = device.pool.ids()
    hidden = {ids[place] for place in np.flatnonzero(~READ)}
    drawn: set[bytes] = set()
    for number in range(2, 12):
        offers = device.survey(number, random=1, chosen=2, model=head).offers
        assert not hidden & {offer.item for offer in offers if offer.arm == ARM_CHOSEN}
        drawn |= {offer.item for offer in offers if offer.arm == ARM_RANDOM}
    assert hidden & drawn  # a sample without them would be of something else than the fleet


@pytest.mark.parametrize(
    ("texts", "strategy"), [(HIDDEN, "fleet"), (TEXTS, "margin")], ids=["all hidden", "named rule"]
)
def test_hidden_texts_are_offered_where_there_are_no_others_or_a_rule_is_asked_for_by_name(
    texts: list[str], strategy: str
) -> None:
    device = device_of(texts)
    offers = device.survey(2, chosen=len(texts), model=head_for(device), strategy=strategy).offers
    assert {offer.item for offer in offers} == set(device.pool.ids())


def test_of_rows_and_where_no_mask_is_looked_at_all_places_may_be_ranked() -> None:
    rows = [row_payload(np.array([float(n), 1.0, 2.0])) for n in range(4)]
    tabular = held_by(build_device(task_of(tabular_files()), rows))
    places = np.array([3, 1])
    assert legible(tabular, places, views(1, 4), 1).tolist() == [3, 1]
    blind = replace(HELD, parts=replace(HELD.parts, redactor=None))
    assert legible(blind, places, views(1), 1).tolist() == [3, 1]


def test_a_pool_is_masked_on_trial_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def hidden(_: Redactor, text: str) -> float:
        looked.append(text)
        return 0.0

    monkeypatch.setattr("edge.legible.MOST_LOOKED_AT", 3)
    monkeypatch.setattr("edge.legible.readable_share", hidden)
    view = views(2)
    by_margin = sorted(range(len(TEXTS)), key=lambda place: float(np.ptp(view[place])))
    assert legible(HELD, np.arange(len(TEXTS)), view, 5).tolist() == by_margin[:5]
    assert len(looked) == 3

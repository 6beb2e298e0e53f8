"""An agent keeps its rules whatever it is asked: once, of what was offered, from who may ask."""

import numpy as np
import pytest

from edge.items import row_payload
from edge.selection import is_blank
from fieldvote.errors import (
    RefusalError,
    SealError,
    SignatureError,
    StoreError,
    WireError,
)
from fieldvote.records import (
    AnswersRequest,
    CollectRequest,
    HelloReply,
    HelloRequest,
    decode,
)
from fieldvote.rng import keyed_entropy
from privacy.sealing import SealingKey, SigningKey
from strategies.aggregation.summed_head import HeadSums
from strategies.labeling import AnchorSummary, VoteSummary
from strategies.representation import Moments
from tests.doubles.agents import Device, build_device, gradient_request
from tests.doubles.machines import (
    CLASSES,
    EVERYTHING,
    IDS,
    LABEL,
    ROWS,
    TASK,
    TRUTH,
    device_of,
    first_head,
    labeled,
    survey_request,
)


@pytest.mark.parametrize("kind", ["survey", "collect", "answers"])
def test_the_same_request_gets_the_same_bytes_and_counts_once(kind: str) -> None:
    device = device_of()
    surveyed = device.survey(random=5)
    items = [offer.item for offer in surveyed.offers]
    if kind == "answers":
        device.collect(items)
    request: object = {
        "survey": survey_request(round_number=2),
        "collect": CollectRequest(round=1, grants=tuple(items)),
        "answers": AnswersRequest(
            round=1,
            answers=tuple(device.sealed_answer(item, LABEL[item]) for item in items),
            representation=first_head(surveyed),
        ),
    }[kind]
    reply = device.ask(request)
    after, charged = device.state(), device.ledger.entries()
    assert device.ask(request) == reply
    assert device.state() == after
    assert device.ledger.entries() == charged


def test_a_second_survey_sums_nothing_over_again() -> None:
    device = device_of()
    first, second = device.survey(1, random=3), device.survey(2, random=3)
    assert first.items == EVERYTHING
    assert len(first.votes) > 0
    assert (second.items, second.voted, len(second.votes), len(second.moments)) == (0, 0, 0, 0)
    assert len(second.offers) == 3


def test_a_survey_sums_the_votes_and_embeddings_of_the_pool() -> None:
    device = device_of()
    reply = device.survey()
    votes = device.agent.votes
    expected = np.full((len(ROWS), 3), -1)
    expected[ROWS[:, 0] > 0.5, 0] = 1
    expected[ROWS[:, 1] < -0.7, 1] = 2
    expected[ROWS[:, 2] < 0, 2] = 0
    assert np.array_equal(votes, expected)
    summary = VoteSummary.from_votes(expected, classes=CLASSES)
    assert np.array_equal(reply.votes, summary.to_vector())
    assert reply.voted == (expected >= 0).any(axis=1).sum()
    mean, _ = Moments.from_vector(reply.moments).mean_and_stddev()
    assert np.allclose(mean, ROWS.mean(axis=0), atol=1e-4)


def test_the_sums_of_voted_items_are_sent_once() -> None:
    device = device_of()
    model, reply = labeled(device, first=True, random=4)
    surveyed = device.survey(2, random=2)
    device.collect([offer.item for offer in surveyed.offers], 2)
    again = device.answers(
        [device.sealed_answer(o.item, LABEL[o.item]) for o in surveyed.offers], model, 2
    )
    voted = (device.agent.votes >= 0).any(axis=1).sum()
    assert HeadSums.from_vector(reply.voted).total_weight == voted
    assert again.accepted == 2
    assert len(again.voted) == 0


def test_a_disk_that_fails_leaves_the_request_to_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = device_of()
    before = device.state()

    def fail(*_: object) -> None:
        raise StoreError("full")

    monkeypatch.setattr(device.pool, "remember", fail)
    with pytest.raises(StoreError):
        device.survey(random=3)
    assert device.state() == before
    monkeypatch.undo()
    assert device.survey(random=3).items == EVERYTHING


def test_only_what_was_offered_last_is_shipped() -> None:
    device = device_of()
    early = [offer.item for offer in device.survey(1, random=3).offers]
    late = [offer.item for offer in device.survey(2, random=3).offers]
    never = [item for item in IDS if item not in {*early, *late}][0:1]
    gone = [item for item in early if item not in late][0:1]
    collected = device.collect([*never, *gone, bytes(16), b"", late[0]])
    assert [sealed.refusal for sealed in collected.sealed] == ["NotOffered"] * 4 + [""]
    assert [bool(sealed.envelope) for sealed in collected.sealed] == [False] * 4 + [True]
    assert device.ledger.spent.candidates == 1
    shipped = np.flatnonzero(device.pool.column("arm") >= 0)
    assert [IDS[place] for place in shipped] == [late[0]]


def test_an_item_granted_twice_is_shipped_and_charged_once() -> None:
    device = device_of()
    item = device.survey(random=1).offers[0].item
    assert len(device.collect([item, item, item]).sealed) == 1
    assert device.ledger.spent.candidates == 1


def test_what_was_shipped_is_not_shipped_again_by_another_request() -> None:
    device = device_of()
    first, second = (offer.item for offer in device.survey(random=2).offers)
    device.collect([first])
    again = {sealed.item: sealed for sealed in device.collect([first, second]).sealed}
    assert again[first].refusal == "ShippedBefore"
    assert again[first].envelope == b""
    assert again[second].envelope
    assert device.ledger.spent.candidates == 2


def test_what_is_shipped_or_answered_is_offered_no_more() -> None:
    device = device_of()
    device.collect(offer.item for offer in device.survey(1, random=10).offers[:7])
    shipped = {IDS[place] for place in np.flatnonzero(device.pool.column("arm") >= 0)}
    surveyed = device.survey(2, random=EVERYTHING).offers
    assert len(surveyed) == EVERYTHING  # how few are left does not show
    offered = {offer.item for offer in surveyed if not is_blank(offer)}
    assert len(shipped) == 7
    assert offered == set(IDS) - shipped


def wrong_answers(device: Device, item: bytes) -> dict[str, tuple[bytes, type[Exception]]]:
    thief = SigningKey.generate(keyed_entropy(9, "thief"))
    other = SealingKey.generate(keyed_entropy(9, "other"))
    good = device.sealed_answer(item, 1)
    return {
        "signed by another": (device.sealed_answer(item, 1, signer=thief), SignatureError),
        "to another key": (device.sealed_answer(item, 1, recipient=other.public), SealError),
        "class too high": (device.sealed_answer(item, CLASSES), WireError),
        "class below zero": (device.sealed_answer(item, -1), WireError),
        "changed": (good[:-1] + bytes([good[-1] ^ 1]), SignatureError),
        "cut short": (good[:40], SealError),
        "nothing": (b"", SealError),
    }


@pytest.mark.parametrize("what", list(wrong_answers(device_of(), IDS[0])))
def test_one_wrong_answer_refuses_the_request_and_changes_nothing(what: str) -> None:
    device = device_of()
    surveyed = device.survey(random=3)
    items = [offer.item for offer in surveyed.offers]
    device.collect(items)
    before, charged = device.state(), device.ledger.entries()
    envelope, error = wrong_answers(device, items[0])[what]
    with pytest.raises(error):
        device.answers([device.sealed_answer(items[1], 1), envelope], first_head(surveyed))
    assert device.state() == before
    assert device.ledger.entries() == charged


def test_an_answer_to_an_item_that_was_not_shipped_counts_for_nothing() -> None:
    device = device_of()
    surveyed = device.survey(random=3)
    item, granted, _ = (offer.item for offer in surveyed.offers)
    device.collect([granted])
    unknown = [device.sealed_answer(name, 1) for name in (item, bytes(16), b"")]
    reply = device.answers(unknown, first_head(surveyed))
    assert (reply.accepted, reply.trained, len(reply.labeled)) == (0, 0, 0)
    assert not (device.pool.column("answer") >= 0).any()
    assert not AnchorSummary.from_vector(reply.anchors, functions=3, classes=CLASSES).items.any()


def test_the_first_answer_stays_and_a_second_adds_nothing() -> None:
    device = device_of()
    surveyed = device.survey(random=1, first=True)
    item, model = surveyed.offers[0].item, first_head(surveyed)
    device.collect([item])
    both = [device.sealed_answer(item, label) for label in (2, 0)]
    assert device.answers(both, model).accepted == 1
    assert device.answers([device.sealed_answer(item, 1)], model, 2).accepted == 0
    assert device.pool.column("answer").max() == 2


def test_a_device_that_only_evaluates_is_neither_surveyed_nor_trained_on() -> None:
    model = first_head(device_of().survey())
    payloads = [row_payload(row) for row in ROWS]
    device = build_device(TASK, payloads, gold=TRUTH.tolist())
    before = device.state()
    for request in (
        survey_request(),
        CollectRequest(round=1, grants=()),
        AnswersRequest(round=1, answers=(), representation=model),
        gradient_request(model),
    ):
        with pytest.raises(RefusalError, match="only evaluates"):
            device.ask(request)
    assert device.state() == before
    confusion = device.evaluate(model).confusion.reshape(CLASSES, CLASSES)
    assert np.array_equal(confusion.sum(axis=1), np.bincount(TRUTH, minlength=CLASSES))


def test_a_device_says_who_it_is() -> None:
    device = device_of()
    assert decode(device.ask(HelloRequest(campaign="c")), HelloReply) == HelloReply(
        task=TASK.digest,
        evaluates=False,
        items=EVERYTHING,
        signing_key=device.signing.public,
        sealing_key=device.sealing.public,
    )

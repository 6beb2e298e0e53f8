"""An agent keeps its rules whatever it is asked: once, of what was offered, from who may ask."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coordinator.models.backbone import identity_backbone
from coordinator.models.training import solve
from edge.items import row_payload, text_payload
from edge.selection import for_evaluation
from fieldvote.errors import (
    FieldvoteError,
    InputError,
    RefusalError,
    SealError,
    ShapeError,
    SignatureError,
    StoreError,
    WireError,
)
from fieldvote.records import (
    ARM_RANDOM,
    ARM_SEED,
    AnswersReply,
    AnswersRequest,
    CollectReply,
    CollectRequest,
    GradientReply,
    HeadModel,
    HelloReply,
    HelloRequest,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from fieldvote.rng import keyed_entropy, stream
from privacy.sealing import SealingKey, SigningKey
from strategies.aggregation.summed_head import GradientSums, HeadSums
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary
from strategies.representation import Moments
from tests.doubles.agents import Device, build_device, gradient_request, model_from
from tests.doubles.tasks import tabular_files, task_of, text_files

TASK = task_of(tabular_files())
CLASSES = 3
ROWS = stream(11, "rows").normal(size=(40, 3))
TRUTH = np.where(ROWS[:, 1] < -0.5, 2, np.where(ROWS[:, 0] > 0.3, 1, 0))
NAMING = keyed_entropy(11, "ids")
IDS = [NAMING(16) for _ in ROWS]
LABEL = dict(zip(IDS, TRUTH.tolist(), strict=True))
EVERYTHING = len(ROWS)


def device_of(places: NDArray[np.int64] | None = None, number: int = 0) -> Device:
    places = np.arange(len(ROWS)) if places is None else places
    payloads = [row_payload(ROWS[place]) for place in places]
    return build_device(TASK, payloads, ids=[IDS[place] for place in places], number=number)


def survey_request(
    *,
    round_number: int = 1,
    strategy: str = "fleet",
    offers: int = 0,
    random_offers: int = 5,
    model: HeadModel | None = None,
) -> SurveyRequest:
    return SurveyRequest(
        round=round_number,
        strategy=strategy,
        offers=offers,
        random_offers=random_offers,
        first=False,
        model=model,
    )


def first_head(surveyed: SurveyReply) -> HeadModel:
    return model_from(Moments.from_vector(surveyed.moments), classes=CLASSES)


def labeled(
    device: Device, *, first: bool, random: int = EVERYTHING
) -> tuple[HeadModel, AnswersReply]:
    """Run a device through a round in which every offered item gets its true label."""
    surveyed = device.survey(random=random, first=first)
    model = first_head(surveyed)
    collected = device.collect(offer.item for offer in surveyed.offers)
    answers = [device.sealed_answer(s.item, LABEL[s.item]) for s in collected.sealed]
    return model, device.answers(answers, model)


# once


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


# of what was offered


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


def test_what_is_shipped_or_answered_is_offered_no_more() -> None:
    device = device_of()
    device.collect(offer.item for offer in device.survey(1, random=10).offers[:7])
    shipped = {IDS[place] for place in np.flatnonzero(device.pool.column("arm") >= 0)}
    offered = {offer.item for offer in device.survey(2, random=EVERYTHING).offers}
    assert len(shipped) == 7
    assert offered == set(IDS) - shipped


# from who may ask


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


# what teaches, and what only evaluates


@pytest.mark.parametrize("vote_weight", [0.0, 0.5])
def test_items_for_evaluation_never_enter_what_trains(vote_weight: float) -> None:
    device = device_of()
    model, reply = labeled(device, first=False)
    held = np.array([for_evaluation(item) for item in IDS])
    assert (device.pool.column("arm") == ARM_RANDOM).all()
    assert (reply.accepted, reply.trained) == (EVERYTHING, (~held).sum())
    # a pool that never had them gives the very same sums
    twin = device_of(np.flatnonzero(~held), number=1)
    surveyed = twin.survey(random=EVERYTHING, first=True)
    twin.collect(offer.item for offer in surveyed.offers)
    envelopes = [twin.sealed_answer(o.item, LABEL[o.item]) for o in surveyed.offers]
    expected = twin.answers(envelopes, model)
    assert np.array_equal(reply.labeled, expected.labeled)
    assert np.array_equal(reply.voted, expected.voted)
    label_model = label_model_of(device)
    ours, theirs = (
        decode(
            d.ask(gradient_request(model, vote_weight=vote_weight, label_model=label_model)),
            GradientReply,
        ).sums
        for d in (device, twin)
    )
    assert np.array_equal(ours, theirs)


def test_a_shipped_item_for_evaluation_teaches_not_even_by_its_votes() -> None:
    device = device_of()
    surveyed = device.survey(random=EVERYTHING)
    model = first_head(surveyed)
    device.collect(offer.item for offer in surveyed.offers)
    held = np.array([for_evaluation(item) for item in IDS])
    voted = (device.agent.votes >= 0).any(axis=1)
    reply = device.answers([], model)
    assert HeadSums.from_vector(reply.voted).total_weight == (voted & ~held).sum()
    twin = device_of(np.flatnonzero(~held), number=1)
    request = gradient_request(model, vote_weight=0.5, label_model=label_model_of(device))
    assert device.ask(request) == twin.ask(request)


def test_only_held_out_answers_are_counted_in_an_evaluation() -> None:
    device = device_of()
    model, _ = labeled(device, first=False, random=20)
    arms = device.pool.column("arm")
    held = np.array([for_evaluation(item) for item in IDS]) & (arms == ARM_RANDOM)
    assert 0 < held.sum() < 20
    confusion = device.evaluate(model).confusion.reshape(CLASSES, CLASSES)
    assert np.array_equal(confusion.sum(axis=1), np.bincount(TRUTH[held], minlength=CLASSES))
    seeded = device_of()
    labeled(seeded, first=True, random=20)
    assert (seeded.pool.column("arm") == ARM_SEED).sum() == 20
    assert seeded.evaluate(model).confusion.sum() == 0


def label_model_of(device: Device) -> list[float]:
    summary = VoteSummary.from_votes(device.agent.votes, classes=CLASSES)
    return [float(number) for number in LabelModel.fit(summary).to_vector()]


def sharded(count: int) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Return all sums over this many devices that hold the pool together, and the solved head."""
    places = np.array_split(stream(count, "shards").permutation(len(ROWS)), count)
    devices = [device_of(np.sort(part), number) for number, part in enumerate(places)]
    surveyed = [device.survey(random=EVERYTHING, first=True) for device in devices]
    votes = sum(
        (VoteSummary.from_vector(s.votes, functions=3, classes=CLASSES) for s in surveyed),
        start=VoteSummary.empty(functions=3, classes=CLASSES),
    )
    moments = np.sum([s.moments for s in surveyed], axis=0)
    model = model_from(Moments.from_vector(moments), classes=CLASSES)
    replies = []
    for device, survey in zip(devices, surveyed, strict=True):
        # a third is left to its votes
        items = [offer.item for offer in survey.offers if offer.item[0] % 3]
        device.collect(items)
        replies.append(device.answers([device.sealed_answer(i, LABEL[i]) for i in items], model))
    anchors = np.sum([reply.anchors for reply in replies], axis=0)
    empty = HeadSums.empty(width=4)
    gram = [
        sum((HeadSums.from_vector(vector) for vector in vectors if len(vector)), start=empty)
        for vectors in ([r.labeled for r in replies], [r.voted for r in replies])
    ]
    parameters = LabelModel.fit(votes).to_vector().tolist()
    solved = solve(
        model,
        gram[0] + gram[1],
        lambda _, head: [
            decode(
                device.ask(gradient_request(head, vote_weight=0.25, label_model=parameters)),
                GradientReply,
            ).sums
            for device in devices
        ],
        l2=1.0,
        exchanges=8,
    )
    sums = [votes.to_vector(), moments, anchors, gram[0].to_vector(), gram[1].to_vector()]
    return sums, solved.model.weights


@pytest.mark.parametrize("count", [7, 30, 40])
def test_devices_that_hold_shards_sum_to_one_that_holds_everything(count: int) -> None:
    whole, head = sharded(1)
    parts, same_head = sharded(count)
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(head, same_head)
    assert np.abs(head).max() > 1 << 16


# nothing, one, too many


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(InputError, match="the pool is empty"):
        build_device(TASK, [])


def test_one_item_of_one_class_goes_round_the_ring() -> None:
    device = device_of(np.array([0]))
    model, reply = labeled(device, first=True)
    assert reply.accepted == reply.trained == 1
    sums = GradientSums.from_vector(device.gradient(model).sums, classes=CLASSES)
    assert sums.total_weight == 1.0


def test_a_device_that_saw_one_class_only_still_teaches() -> None:
    places = np.flatnonzero(TRUTH == 1)
    device = device_of(places)
    model, reply = labeled(device, first=True)
    assert reply.trained == len(places)
    gradient = GradientSums.from_vector(device.gradient(model).sums, classes=CLASSES).gradient
    assert (gradient[-1] < 0).tolist() == [False, True, False]


@pytest.mark.parametrize("functions", ["", None])
def test_without_a_vote_there_are_sums_and_offers_all_the_same(functions: str | None) -> None:
    files = text_files() if functions is None else text_files(functions=functions)
    device = build_device(task_of(files), [text_payload(text) for text in ("one", "two", "")])
    surveyed = device.survey(random=3, first=True)
    assert (surveyed.items, surveyed.voted, len(surveyed.offers)) == (3, 0, 3)
    model = model_from(Moments.from_vector(surveyed.moments), classes=2)
    collected = device.collect(offer.item for offer in surveyed.offers)
    reply = device.answers([device.sealed_answer(s.item, 0) for s in collected.sealed], model)
    assert (reply.accepted, len(reply.voted)) == (3, 0)
    assert GradientSums.from_vector(device.gradient(model).sums, classes=2).total_weight == 3
    assert device.agent.votes.shape == (3, 0 if functions == "" else 2)


def test_a_device_without_a_label_has_a_gradient_of_nothing() -> None:
    device = device_of()
    model = first_head(device.survey())
    assert not device.gradient(model).sums.any()
    trained = decode(device.ask(gradient_request(model, epochs=2)), GradientReply)
    assert not trained.sums.any()
    assert not device.evaluate(model).confusion.any()


def test_local_epochs_bring_weights_times_items() -> None:
    device = device_of()
    model, _ = labeled(device, first=True)
    reply = decode(device.ask(gradient_request(model, epochs=3)), GradientReply)
    assert reply.sums[0] == EVERYTHING
    assert np.abs(reply.sums[1:]).max() > 0


# bad requests

REQUESTS = [
    encode(survey_request()),
    encode(HelloRequest(campaign="c")),
    encode(CollectRequest(round=1, grants=(IDS[0],))),
]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(REQUESTS), st.integers(0, 200), st.binary(max_size=6))
def test_bytes_that_are_no_request_change_nothing(whole: bytes, cut: int, more: bytes) -> None:
    blob = whole[: cut % len(whole)] + more
    before = DEVICE.state()
    try:
        DEVICE.agent.handle(blob)
    except FieldvoteError:
        assert DEVICE.state() == before
    else:
        decode(blob, SurveyRequest, HelloRequest, CollectRequest)


DEVICE = device_of()


def test_a_reply_is_no_request() -> None:
    with pytest.raises(WireError, match="CollectReply where"):
        DEVICE.ask(CollectReply(round=1, sealed=()))


MODEL = first_head(device_of().survey())
ZEROS = np.zeros
BAD_HEADS: dict[str, HeadModel] = {
    "too few classes": replace(MODEL, classes=2, weights=ZEROS(8, dtype=np.int64)),
    "no class": replace(MODEL, classes=0),
    "classes below zero": replace(MODEL, classes=-3),
    "weights that are no matrix": replace(MODEL, weights=ZEROS(13, dtype=np.int64)),
    "too few weights": replace(MODEL, weights=ZEROS(9, dtype=np.int64)),
    "weights beyond all bounds": replace(MODEL, weights=np.full(12, 2**62)),
    "another embedding": replace(MODEL, mean=ZEROS(5), scale=np.ones(5)),
    "no embedding": replace(MODEL, mean=ZEROS(0), scale=ZEROS(0)),
    "mean and scale apart": replace(MODEL, scale=np.ones(2)),
    "scale below zero": replace(MODEL, scale=-np.ones(3)),
    "fourier below zero": replace(MODEL, fourier=-1),
    "fourier without end": replace(MODEL, fourier=2**40),
    "no bandwidth": replace(MODEL, fourier=4, bandwidth=0.0),
    "clip beyond all bounds": replace(MODEL, clip=1e9),
    "centre beyond all bounds": replace(MODEL, recentre=2.0),
}


@pytest.mark.parametrize("what", list(BAD_HEADS))
def test_a_head_that_does_not_fit_is_refused_and_changes_nothing(what: str) -> None:
    device, head = device_of(), BAD_HEADS[what]
    before, charged = device.state(), device.ledger.entries()
    for request in (
        survey_request(offers=3, model=head),
        gradient_request(head),
        gradient_request(head, epochs=1),
    ):
        with pytest.raises(InputError):
            device.ask(request)
    with pytest.raises(InputError):
        device.evaluate(head)
    assert device.state() == before
    assert device.ledger.entries() == charged


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (survey_request(strategy="margn"), "did you mean 'margin'"),
        (survey_request(offers=-1), "0 or more"),
        (survey_request(random_offers=-1), "0 or more"),
        (gradient_request(MODEL, vote_weight=0.5, label_model=[1.0]), "at least 3"),
        (gradient_request(MODEL, vote_weight=0.5, label_model=[-1.0] * 40), "sizes|starts with"),
        (gradient_request(MODEL, vote_weight=1e9, label_model=label_model_of(DEVICE)), "weight"),
        (gradient_request(MODEL, epochs=-1), "at least one epoch"),
    ],
)
def test_a_request_out_of_bounds_is_refused_and_changes_nothing(
    request_: object, said: str
) -> None:
    device = device_of()
    before = device.state()
    with pytest.raises(InputError, match=said):
        device.ask(request_)
    assert device.state() == before


def test_a_label_model_of_other_classes_is_refused() -> None:
    votes = device_of().agent.votes
    four = LabelModel.fit(VoteSummary.from_votes(votes, classes=4)).to_vector().tolist()
    with pytest.raises(ShapeError, match="label model"):
        device_of().ask(gradient_request(MODEL, vote_weight=0.5, label_model=four))


def test_a_model_for_other_classes_than_the_tasks_is_refused() -> None:
    files = {**tabular_files(), "model.onnx": identity_backbone(3, classes=2)}
    with pytest.raises(ShapeError, match="probabilities"):
        build_device(task_of(files), [row_payload(ROWS[0])])

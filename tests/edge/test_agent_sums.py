"""What a device adds to the sums, what it only evaluates, and that shards sum to the whole."""

import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.models.training import Leg, solve
from edge.items import text_payload
from edge.selection import for_evaluation
from fieldvote.conversation import converse
from fieldvote.errors import (
    InputError,
)
from fieldvote.heads import GradientReply
from fieldvote.records import (
    ARM_RANDOM,
    ARM_SEED,
    decode,
)
from fieldvote.rng import stream
from strategies.aggregation.summed_head import GradientSums, HeadSums
from strategies.labeling import LabelModel, VoteSummary
from strategies.representation import Moments
from tests.doubles.agents import build_device, gradient_request, model_from
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
    label_model_of,
    labeled,
)
from tests.doubles.tasks import task_of, text_files


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

    def answer(leg: Leg) -> NDArray[np.int64]:
        request = gradient_request(leg.model, vote_weight=0.25, label_model=parameters)
        return sum(decode(device.ask(request), GradientReply).sums for device in devices)

    solved = converse(solve(model, gram[0] + gram[1], l2=1.0, exchanges=8), answer)
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

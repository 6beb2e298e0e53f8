"""A round asks devices what their votes say, leg by leg, and trains with what comes of it."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.models.totals import Snapshot, read_parameters
from coordinator.rounds import agreement
from coordinator.rounds.agreement import Fit
from coordinator.rounds.events import Agreed, Asked, Closed, Snapshotted
from coordinator.rounds.judging import read_sums
from coordinator.rounds.machine import Phase
from edge.serving_head import label_model_of
from fieldvote.conversation import replay
from fieldvote.errors import InputError, UnavailableError
from fieldvote.heads import GradientRequest, VotesReply, VotesRequest
from fieldvote.records import ARM_RANDOM, REQUESTS, DeviceId, decode, encode
from fieldvote.task import Task
from strategies.labeling import LabelModel, VoteQuestion, VoteSummary
from strategies.labeling.expected_counts import ExpectedCounts, expected_counts
from tests.coordinator.rounds.campaign import TASK, Campaign, settings_with
from tests.doubles.transport import Handler

ALONE = np.zeros((2, 2), dtype=np.bool_)


@pytest.fixture
def campaign() -> Iterator[Campaign]:
    with closing(Campaign()) as made:
        yield made


def asked_about_votes(campaign: Campaign, number: int) -> list[Asked]:
    return [e for e in campaign.events(Asked) if (e.round, e.exchange) == (number, "votes")]


def two_counts(_task: Task, kept: Snapshot, *, exchanges: int) -> Fit:
    """Ask twice what votes are expected to be of, and return where that leads."""
    model = LabelModel.fit(VoteSummary.from_vector(kept.votes, functions=2, classes=2))
    for _ in range(2 if exchanges else 0):
        sums = yield VoteQuestion(about="expected", model=model, copies=ALONE)
        counts = ExpectedCounts.from_vector(sums, model=model)
        accuracies = np.clip(counts.right / max(counts.classes.sum(), 1), 0.05, 0.95)
        model = LabelModel.from_vector(
            np.concatenate([model.to_vector()[:7], accuracies, model.to_vector()[9:]])
        )
    return model


def test_each_leg_adds_up_what_all_training_devices_say(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "fit_in_exchanges", two_counts)
    campaign.run(1)
    assert [e.leg for e in asked_about_votes(campaign, 1)] == [0, 1]
    [agreed] = campaign.events(Agreed)
    assert agreed.exchanges == 2
    closed = [e for e in campaign.events(Closed) if e.exchange == "votes"]
    kept = Snapshot.from_bytes(campaign.store.artifact(campaign.events(Snapshotted)[0].inputs))
    conversation = two_counts(TASK, kept, exchanges=3)
    question, sums = next(conversation), list[NDArray[np.int64]]()
    for leg in closed:
        votes = [campaign.fleet.agents[DeviceId(device)].votes for device in leg.came]
        assert len(votes) == 3
        whole = reduce(add, (expected_counts(question.model, each) for each in votes))
        assert np.array_equal(
            read_sums(campaign.store.artifact(leg.sums)).held_out, whole.to_vector()
        )
        sums.append(whole.to_vector())
        if len(sums) < 2:
            question = conversation.send(whole.to_vector())
    again = replay(two_counts(TASK, kept, exchanges=3), sums)
    assert again is not None
    told = read_parameters(campaign.store.artifact(agreed.label_model))
    assert np.array_equal(told, again.result.to_vector())


def test_what_training_is_sent_is_the_label_model_that_was_agreed_on(campaign: Campaign) -> None:
    gradients: list[GradientRequest] = []

    def overheard(handle: Handler) -> Handler:
        def listen(request: bytes) -> bytes:
            message = decode(request, *REQUESTS)
            gradients.extend([message] if isinstance(message, GradientRequest) else [])
            return handle(request)

        return listen

    handlers = campaign.network.handlers
    campaign.network.handlers = {device: overheard(handlers[device]) for device in handlers}
    campaign.run(2)
    agreed = {event.round: event.label_model for event in campaign.events(Agreed)}
    for gradient in gradients:
        kept = read_parameters(campaign.store.artifact(agreed[gradient.round]))
        assert np.array_equal(gradient.label_model, kept)
    assert {gradient.round for gradient in gradients} == {1, 2}


def test_devices_remember_by_what_they_label(campaign: Campaign) -> None:
    campaign.run(2)
    newest = campaign.events(Agreed)[-1].label_model
    kept = read_parameters(campaign.store.artifact(newest))
    for device, pool in campaign.fleet.pools.items():
        model = label_model_of(pool, TASK)
        assert (model is None) == campaign.store.devices()[device].evaluates
        assert model is None or np.array_equal(model.to_vector(), kept)


def test_where_votes_are_not_trained_on_nobody_is_asked_about_them() -> None:
    for settings in (settings_with(vote_weight=0.0), settings_with(vote_exchanges=0)):
        with closing(Campaign(settings)) as made:
            made.run(1)
            assert asked_about_votes(made, 1) == []
            [agreed] = made.events(Agreed)
            assert agreed.exchanges == 0


def test_only_answers_drawn_at_random_settle_how_sure_the_model_is(campaign: Campaign) -> None:
    campaign.run(3)
    assert [len(asked_about_votes(campaign, number)) for number in (1, 2, 3)] == [1, 1, 1]
    drawn = others = 0
    for device, pool in campaign.fleet.pools.items():
        voted = (campaign.fleet.agents[device].votes >= 0).any(axis=1)
        answered = (pool.column("answer") >= 0) & voted
        drawn += int((answered & (pool.column("arm") == ARM_RANDOM)).sum())
        others += int((answered & (pool.column("arm") != ARM_RANDOM)).sum())
    last = [e for e in campaign.events(Closed) if (e.round, e.exchange) == (3, "votes")]
    sums = read_sums(campaign.store.artifact(last[0].sums)).held_out
    assert sums[0] == drawn > 0
    assert others > 0


def test_a_round_waits_for_enough_devices_before_it_agrees(campaign: Campaign) -> None:
    campaign.network.silent = {(device, VotesRequest) for device in campaign.fleet.agents}
    with pytest.raises(UnavailableError):
        campaign.scheduler.run_round()
    assert campaign.scheduler.state.phase is Phase.SNAPSHOT
    campaign.network.silent = set()
    assert campaign.scheduler.run_round().phase is Phase.DONE


@pytest.mark.parametrize(
    ("step", "sums"), [(7, np.zeros(22)), (0, np.zeros(3)), (0, np.full(22, -1))]
)
def test_a_reply_of_another_leg_or_length_or_below_nothing_is_dropped(
    campaign: Campaign, step: int, sums: NDArray[np.float64]
) -> None:
    def spoiled(reply: bytes) -> bytes:
        try:
            said = decode(reply, VotesReply)
        except InputError:
            return reply
        assert (said.step, len(said.sums)) == (0, 22)
        return encode(replace(said, step=step, sums=sums.astype(np.int64)))

    campaign.network.corrupt = dict.fromkeys(campaign.fleet.agents, spoiled)
    with pytest.raises(UnavailableError):
        campaign.scheduler.run_round()
    assert campaign.parts.inbox.dropped["does not fit"] >= 3


@pytest.mark.parametrize(
    "wrong", [{"about": "secrets"}, {"one_in": 0}, {"copies": b""}, {"label_model": np.empty(0)}]
)
def test_a_device_refuses_a_question_that_makes_no_sense(
    campaign: Campaign, wrong: dict[str, object]
) -> None:
    agent = campaign.fleet.agents[DeviceId(1)]
    model = LabelModel.fit(VoteSummary.from_votes(agent.votes, classes=2))
    right = {
        "round": 1, "step": 0, "about": "expected", "label_model": model.to_vector(),
        "copies": b"\0", "one_in": 1,
    }  # fmt: skip
    sums = decode(agent.handle(encode(VotesRequest(**right))), VotesReply).sums  # type: ignore[arg-type]  # a table
    assert np.array_equal(sums, expected_counts(model, agent.votes).to_vector())
    with pytest.raises(InputError):
        agent.handle(encode(VotesRequest(**{**right, **wrong})))  # type: ignore[arg-type]  # a table

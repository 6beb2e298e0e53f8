"""A campaign that trains the task's own network: as any other, in every phase."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest

from coordinator.deep_settings import DeepSettings
from coordinator.models.compiling import first_parameters
from coordinator.models.deep import drill_of, reply_check, train_deep
from coordinator.models.shelf import Shelf, digest_of
from coordinator.models.training import Leg
from coordinator.models.training import Trained as Solved
from coordinator.rounds import rollout
from coordinator.rounds.events import Evaluated, Reverted, RolledOut, Trained
from coordinator.rounds.reproduce import reproduce
from coordinator.settings import CampaignSettings
from edge.serving_head import served_by
from fieldvote.conversation import converse
from fieldvote.errors import InputError, RefusalError, SettingsError, TaskError
from fieldvote.heads import EvaluateRequest, GradientReply, GradientRequest, ServeRequest
from fieldvote.records import decode, encode
from strategies.aggregation.adaptive import SERVERS
from tests.coordinator.rounds.campaign import ONE, TASK, Campaign, settings_with
from tests.coordinator.rounds.deep import deep_task

STEPS = (
    "selection", "labels", "task", "environment", "label model", "teaching rule", "model",
    "evaluation", "gate",
)  # fmt: skip
DEEP = DeepSettings(batch=4, rate=0.3)


def deep_settings(**said: object) -> CampaignSettings:
    """Return the small campaign's settings, with a network to train."""
    return settings_with(learner="deep", exchanges=2, epochs=2, deep=DEEP, **said)


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    """Yield a campaign of three rounds; nobody changes it."""
    with closing(Campaign(deep_settings(), task=deep_task())) as made:
        made.run(3)
        yield made


def test_every_round_trains_judges_and_rolls_out_the_network(campaign: Campaign) -> None:
    trained = campaign.events(Trained)
    models = [campaign.parts.shelf.get(event.model) for event in trained]
    start = first_parameters(deep_task())
    vectors = [start, *(model.deep for model in models)]
    assert all(len(vector) == len(start) for vector in vectors)
    assert all((one != other).any() for one, other in pairwise(vectors))
    assert [event.exchanges for event in trained] == [2, 2, 2]
    assert all(not model.weights.any() for model in models)
    assert sum(campaign.events(Evaluated)[-1].held_out) == 10
    assert not campaign.parts.inbox.dropped


def test_every_step_of_a_round_is_the_same_to_the_bit(campaign: Campaign) -> None:
    for number in (1, 2, 3):
        events = campaign.scheduler.events
        made = reproduce(campaign.store, campaign.task, campaign.settings, events, number)
        assert tuple(step.step for step in made) == STEPS
        assert [step.step for step in made if not step.same] == []


def test_devices_serve_the_network_that_was_rolled_out(campaign: Campaign) -> None:
    out = campaign.events(RolledOut)[-1]
    model = next(e.model for e in campaign.events(Trained) if e.round == out.round)
    for pool in campaign.fleet.pools.values():
        served = served_by(pool).model
        assert served is not None
        assert digest_of(served) == model


def test_a_coordinator_that_starts_again_goes_on_at_the_leg_it_had_reached() -> None:
    with closing(Campaign(deep_settings(), task=deep_task())) as whole:
        whole.run(2)
        expected = [event.model for event in whole.events(Trained)]
    with closing(Campaign(deep_settings(), task=deep_task())) as made:
        for _ in range(400):
            if made.scheduler.turn() is not None:
                made.clock.sleep(1.0)
            if len(made.events(Trained)) == 2:
                break
            made.scheduler = made.started()
        assert [event.model for event in made.events(Trained)] == expected


@pytest.mark.parametrize("server", sorted(SERVERS))
def test_the_network_moves_by_the_server_that_was_asked_for(server: str) -> None:
    settings = deep_settings()
    settings = replace(settings, deep=replace(DEEP, server_optimizer=server, server_rate=0.5))
    with closing(Campaign(settings, task=deep_task())) as made:
        made.run(1)
        model = made.parts.shelf.get(made.events(Trained)[0].model)
        assert (model.deep != first_parameters(deep_task())).any()
        events = made.scheduler.events
        rebuilt = reproduce(made.store, made.task, settings, events, 1)
        assert [step.step for step in rebuilt if not step.same] == []


def test_a_network_that_canaries_find_worse_is_taken_back_and_the_one_before_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with closing(Campaign(deep_settings(), task=deep_task())) as made:
        made.run(1)
        before = {device: served_by(pool).model for device, pool in made.fleet.pools.items()}
        said = iter([False, True])  # first at the gate, then on the canaries
        monkeypatch.setattr(rollout, "is_clearly_worse", lambda *_, **__: next(said))
        made.run(1)
        assert len(made.events(Reverted)) == 1
        for _ in range(3):  # what was taken back is told to everybody beside the next round
            made.clock.sleep(10)
            made.scheduler.turn()
        for device, pool in made.fleet.pools.items():
            model, kept = served_by(pool).model, before[device]
            assert model is not None
            assert kept is not None
            np.testing.assert_array_equal(model.deep, kept.deep)


def gradient_of(campaign: Campaign, **said: object) -> GradientRequest:
    """Return what the campaign asks its devices."""
    model = campaign.parts.shelf.get(campaign.events(Trained)[-1].model)
    request = GradientRequest(
        round=9, step=0, model=model, vote_weight=0.0, label_model=np.empty(0), epochs=2,
        l2_per_item=0.0, task=campaign.task.digest,
        drill=drill_of(campaign.settings, number=9, step=0),
    )  # fmt: skip
    return replace(request, **said)  # type: ignore[arg-type]  # fields of a request


def test_what_devices_send_is_taken_and_what_they_cannot_have_sent_is_not(
    campaign: Campaign,
) -> None:
    request = gradient_of(campaign)
    fits = reply_check(request.model, campaign.settings)
    for device in campaign.fleet.agents.values():
        if device._parts.evaluates:
            continue
        sums = decode(device.handle(encode(request)), GradientReply).sums
        assert fits(sums)
        assert not fits(sums[:-1])
        assert not fits(sums * np.array([1] + [1000] * (len(sums) - 1)))


def test_a_device_asked_twice_gives_the_same_bits(campaign: Campaign) -> None:
    agent, request = campaign.fleet.agents[ONE], encode(gradient_of(campaign))
    assert agent.handle(request) == agent.handle(request)


WRONG: dict[str, dict[str, object]] = {
    "too few weights": {"size": -1},
    "too many": {"size": 1},
    "beyond all bounds": {"value": 1 << 60},
}


@pytest.mark.parametrize("what", WRONG)
def test_weights_that_are_none_are_refused_and_the_old_network_serves_on(
    campaign: Campaign, what: str
) -> None:
    pool, agent = campaign.fleet.pools[ONE], campaign.fleet.agents[ONE]
    before = served_by(pool)
    assert before.model is not None
    deep = before.model.deep
    if "value" in WRONG[what]:
        deep = np.full(len(deep), WRONG[what]["value"])
    else:
        deep = np.zeros(len(deep) + int(str(WRONG[what]["size"])), np.int64)
    bad = replace(before.model, deep=deep)
    serve = ServeRequest(round=9, serial=before.serial + 2, model=bad)
    for request in (serve, EvaluateRequest(round=9, model=bad), gradient_of(campaign, model=bad)):
        with pytest.raises(InputError):
            agent.handle(encode(request))
    assert encode(served_by(pool)) == encode(before)


def test_a_head_without_a_network_serves_again_after_one_with_it(campaign: Campaign) -> None:
    with closing(Campaign(deep_settings(), task=deep_task())) as made:
        made.run(1)
        agent, pool = made.fleet.agents[ONE], made.fleet.pools[ONE]
        served = served_by(pool)
        agent.handle(encode(ServeRequest(round=9, serial=served.serial + 1, model=None)))
        assert served_by(pool).model is None


def test_a_task_that_trains_a_head_alone_refuses_to_train_a_network() -> None:
    with closing(Campaign()) as made:
        made.run(1)
        model = replace(
            made.parts.shelf.get(made.events(Trained)[0].model), deep=np.zeros(3, np.int64)
        )
        with pytest.raises(RefusalError, match="no train step"):
            made.fleet.agents[ONE].handle(encode(EvaluateRequest(round=9, model=model)))
    with pytest.raises(TaskError, match="has no \\[training\\]"):
        first_parameters(TASK)


def test_a_solver_that_died_is_caught_up_to_the_same_network() -> None:
    shelf_model = replace(_model(), deep=np.arange(5))
    sums = [np.concatenate([[3], np.arange(5) * n]) for n in (3, -2, 4)]

    def run(given: list[np.ndarray]) -> Solved:
        left = iter(given)

        def answer(leg: Leg) -> np.ndarray:
            assert len(leg.model.deep) == 5
            return next(left)

        return converse(train_deep(shelf_model, DEEP, exchanges=3), answer)

    np.testing.assert_array_equal(run(sums).model.deep, run(list(sums)).model.deep)
    halves = [[part // 1 for part in (one - one // 2, one // 2)] for one in sums]
    merged = [reduce(np.add, half) for half in halves]
    np.testing.assert_array_equal(run(merged).model.deep, run(sums).model.deep)


def _model():  # type: ignore[no-untyped-def]  # a head nobody looks at
    from tests.coordinator.models.test_shelf import model

    return model()


@pytest.mark.parametrize(
    "said",
    [
        {"batch": 0}, {"rate": 0.0}, {"clip": 300.0}, {"proximal": -1.0}, {"server_rate": 0.0},
        {"server_beta1": 1.0}, {"server_tau": 0.0}, {"clip_norm": 0.0},
    ],
)  # fmt: skip
def test_settings_no_device_could_go_by_are_refused(said: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="deep"):
        DeepSettings(**said)  # type: ignore[arg-type]  # a table of wrong values


def test_a_model_of_before_is_read_as_ever_and_keeps_its_digest(campaign: Campaign) -> None:
    head = replace(_model(), deep=np.empty(0, np.int64))
    assert len(encode(replace(head, deep=np.arange(3)))) > len(encode(head))
    assert digest_of(head) == digest_of(_model())
    assert isinstance(Shelf(campaign.store).get(campaign.events(Trained)[0].model).deep, np.ndarray)

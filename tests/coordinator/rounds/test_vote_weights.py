"""What votes weigh is chosen by labels of devices that did not teach, and every step is kept."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from coordinator.models.totals import Snapshot
from coordinator.recipe_settings import InputVariant, RecipeSettings
from coordinator.rounds.events import Agreed, Closed, Event, Recast, Trained
from coordinator.rounds.recipes import fold_of
from coordinator.rounds.reproduce import reproduce
from coordinator.settings import CampaignSettings
from fieldvote.errors import SettingsError
from fieldvote.heads import GradientRequest
from fieldvote.recasting import JUDGE, TEACH, RecastRequest
from fieldvote.records import REQUESTS, DeviceId, decode
from fieldvote.task import Task
from tests.coordinator.rounds.campaign import SMALL_FILES, TASK, Campaign, settings_with
from tests.doubles.transport import Handler

ROUNDS, FOLDS = (1, 3), 3
# whatever errs a millionth less is taken, so that what is drawn by lot is not what is tested
EAGER = RecipeSettings(
    rounds=ROUNDS, folds=FOLDS, rank=4, better_by=0.0, vote_weights=(8.0, 2.0), doubt=0.0
)
TRIED = (0.0, 2.0, 8.0)


def chosen(**changes: object) -> CampaignSettings:
    return settings_with(recipes=replace(EAGER, **changes))  # type: ignore[arg-type]  # fields


class Watched(Campaign):
    """A campaign that remembers what it asked of whom."""

    def __init__(self, settings: CampaignSettings) -> None:
        self.asked: list[tuple[DeviceId, RecastRequest | GradientRequest]] = []
        super().__init__(settings)
        self.network.handlers = {
            device: self.remembering(device, agent.handle)
            for device, agent in self.fleet.agents.items()
        }

    def remembering(self, device: DeviceId, handle: Handler) -> Handler:
        def handled(blob: bytes) -> bytes:
            request = decode(blob, *REQUESTS)
            if isinstance(request, RecastRequest | GradientRequest):
                self.asked.append((device, request))
            return handle(blob)

        return handled


@pytest.fixture(scope="module")
def campaign() -> Iterator[Watched]:
    """Yield a campaign of four rounds that weighs votes after two of them; nobody changes it."""
    with closing(Watched(chosen())) as made:
        made.run(4)
        yield made


def test_the_weight_whose_heads_lose_least_is_taken(campaign: Watched) -> None:
    events = campaign.events(Recast)
    assert [event.round for event in events] == list(ROUNDS)
    for event in events:
        assert event.vote_weight == (TRIED[event.losses.index(min(event.losses))],)
    assert len({event.vote_weight for event in events}) == 2  # else a constant would do


def test_what_was_chosen_is_taught_by_until_it_is_chosen_again(campaign: Watched) -> None:
    weights, now = {}, 0.0
    for event in campaign.scheduler.events:
        if isinstance(event, Recast):
            (now,) = event.vote_weight
        elif isinstance(event, Trained):
            weights[event.round] = now
    for _, request in campaign.asked:
        if isinstance(request, GradientRequest):
            state = campaign.scheduler.campaign.rounds.get(request.round)
            if state is None:
                continue  # of rounds that are over only the last is kept
            kept = Snapshot.from_bytes(campaign.store.artifact(state.inputs))
            wanted = kept.weight_of_one(weights[request.round])
            assert request.vote_weight == wanted
            assert bool(len(request.label_model)) == (wanted > 0)
    assert len(weights) == 4


def test_a_fold_judges_heads_that_only_the_others_taught(campaign: Watched) -> None:
    folds = {d: fold_of(d, seed=campaign.settings.seed, folds=FOLDS) for d in (1, 2, 3)}
    by_leg: dict[tuple[int, int, str], set[DeviceId]] = {}
    for device, request in campaign.asked:
        if isinstance(request, RecastRequest):
            by_leg.setdefault((request.round, request.step, request.about), set()).add(device)
    left_out = [{d for d in folds if folds[d] == fold} for fold in range(FOLDS)]
    for (_, _, about), asked in by_leg.items():
        assert asked in (left_out if about == JUDGE else [set(folds) - out for out in left_out])
    assert {about for _, _, about in by_leg} == {TEACH, JUDGE}


def test_no_head_begins_where_the_one_in_use_has_come_to(campaign: Watched) -> None:
    """That one has seen the labels that judge."""
    firsts = [r for _, r in campaign.asked if isinstance(r, RecastRequest) and r.step < FOLDS]
    assert firsts
    assert not any(request.heads.any() for request in firsts)


def test_rounds_that_weighed_votes_are_made_again_to_the_bit(campaign: Watched) -> None:
    for number in range(1, 5):
        events = campaign.scheduler.events
        steps = reproduce(campaign.store, TASK, campaign.settings, events, number)
        assert [step.step for step in steps if not step.same] == []
        assert ("inputs" in [step.step for step in steps]) == (number in ROUNDS)


def test_a_changed_record_of_what_votes_weigh_is_found(campaign: Watched) -> None:
    def forged(event: Event) -> Event:
        if not isinstance(event, Recast):
            return event
        kept = Snapshot.from_bytes(campaign.store.artifact(event.inputs))
        with campaign.store.transaction():
            other = replace(kept, chosen=kept.chosen + 1.0).to_bytes()
            return replace(event, inputs=campaign.store.keep_artifact(other))

    until = [event for event in campaign.scheduler.events if event.round == 1]
    last = max(place for place, event in enumerate(until) if isinstance(event, Recast))
    steps = reproduce(campaign.store, TASK, campaign.settings, [*map(forged, until[: last + 1])], 1)
    assert [step.step for step in steps if not step.same] == ["inputs"]


def test_a_coordinator_that_ends_at_any_leg_chooses_the_same(campaign: Watched) -> None:
    """One that is started anew at every turn asks no leg twice, and comes to the same head."""
    with closing(Watched(chosen())) as other:
        while not other.events(Trained):
            other.scheduler.turn()
            if other.scheduler.state.phase.value == "training":
                other.scheduler = other.started()
        first = [event for event in campaign.events(Recast) if event.round == 1]
        assert other.events(Recast) == first
        assert other.events(Trained)[0].model == campaign.events(Trained)[0].model
        legs = [event.leg for event in other.events(Closed) if event.exchange == "recast"]
        assert legs == list(range(len(legs)))


def test_the_label_model_is_fitted_where_votes_are_only_tried() -> None:
    with closing(Campaign(replace(chosen(rounds=(1,)), vote_weight=0.0))) as silent:
        silent.run(1)
        assert silent.events(Agreed)[0].exchanges > 0
        assert silent.events(Recast)[0].losses


def test_inputs_and_votes_are_chosen_in_one_go() -> None:
    variants = (InputVariant(recentre=1.0, smooth=0.3), InputVariant(fourier=8))
    with closing(Campaign(chosen(rounds=(2,), variants=variants))) as both:
        both.run(2)
        (event,) = both.events(Recast)
        assert len(event.errors) == 1 + len(variants)
        assert len(event.losses) == len(TRIED)
        for number in (1, 2):
            steps = reproduce(both.store, TASK, both.settings, both.scheduler.events, number)
            assert [step.step for step in steps if not step.same] == []


def test_votes_that_bring_nothing_are_looked_at_twice() -> None:
    never = chosen(rounds=(1, 2, 3), better_by=0.99)
    with closing(Campaign(never)) as hopeless:
        hopeless.run(3)
        assert [event.round for event in hopeless.events(Recast)] == [1, 2]
        assert all(event.vote_weight == (0.0,) for event in hopeless.events(Recast))


def test_without_functions_nothing_is_asked() -> None:
    task = Task.parse({**SMALL_FILES, "functions.toml": b""}, "small task")
    with closing(Campaign(chosen(), task=task)) as bare:
        bare.run(1)
        assert not bare.events(Recast)


def test_where_only_people_may_teach_nothing_is_asked() -> None:
    policy = SMALL_FILES["policy.toml"] + b"[teaching]\nverified_only = true\n"
    task = Task.parse({**SMALL_FILES, "policy.toml": policy}, "small task")
    with closing(Campaign(chosen(), task=task)) as verified:
        assert verified.parts.settings.recipes.vote_weights == ()
        verified.run(1)
        assert not verified.events(Recast)


def test_under_differential_privacy_it_is_refused() -> None:
    policy = SMALL_FILES["policy.toml"] + b'[privacy]\nunit = "record"\n'
    task = Task.parse({**SMALL_FILES, "policy.toml": policy}, "small task")
    with pytest.raises(SettingsError, match="vote_weights: under the policy's differential"):
        Campaign(chosen(), task=task)


def test_heads_that_are_not_solved_from_sums_are_not_judged() -> None:
    with pytest.raises(SettingsError, match="learner is 'averaged'"):
        Campaign(replace(chosen(), learner="averaged"))


@pytest.mark.parametrize(
    "wrong", [{"vote_weights": (0.0,)}, {"vote_weights": (1.0,) * 9}, {"doubt": -1.0}]
)
def test_weights_that_say_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="recipes"):
        replace(EAGER, **wrong)  # type: ignore[arg-type]  # a table of fields

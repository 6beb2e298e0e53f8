"""Inputs are chosen by what labels of devices say that did not teach, and every step is kept."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from coordinator.models.recasting import inputs_of, with_inputs
from coordinator.recipe_settings import InputVariant, RecipeSettings
from coordinator.rounds.events import Closed, Event, Recast, Trained
from coordinator.rounds.recipe_choice import choose, snapshot_for, ways
from coordinator.rounds.recipes import fold_of
from coordinator.rounds.reproduce import reproduce
from coordinator.settings import CampaignSettings
from fieldvote.errors import SettingsError
from fieldvote.records import DeviceId
from strategies.aggregation.sketch import sketch_length
from tests.coordinator.rounds.campaign import TASK, Campaign, settings_with, totals_of

# any way is taken that errs a millionth less, so that what is drawn by lot is not what is tested
EAGER = RecipeSettings(
    rounds=(2, 3),
    variants=(InputVariant(recentre=1.0, smooth=0.3), InputVariant(fourier=8)),
    folds=3,
    rank=4,
    better_by=0.0,
)


def tried(**changes: object) -> CampaignSettings:
    return settings_with(recipes=replace(EAGER, **changes))  # type: ignore[arg-type]  # fields


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    """Yield a campaign of four rounds that tries inputs after two of them; nobody changes it."""
    with closing(Campaign(tried())) as made:
        made.run(4)
        yield made


def test_inputs_are_judged_after_the_rounds_that_are_named(campaign: Campaign) -> None:
    judged = [event.round for event in campaign.events(Recast) if event.errors]
    assert judged == [2, 3]
    for event in campaign.events(Recast):
        if event.errors:
            assert len(event.errors) == 3  # those in use, and the two others
            legs = [
                e
                for e in campaign.events(Closed)
                if (e.round, e.exchange) == (event.round, "recast")
            ]
            assert len(legs) in (3, 4)  # each fold, and the curvature under other inputs


def test_the_way_that_errs_least_is_trained_on(campaign: Campaign) -> None:
    shelf = campaign.parts.shelf
    for event in campaign.events(Recast):
        if event.errors and event.errors.index(min(event.errors)):
            trained = next(e for e in campaign.events(Trained) if e.round == event.round)
            assert inputs_of(shelf.get(trained.model)) == inputs_of(shelf.get(event.base))
            assert inputs_of(shelf.get(event.base)) != (0.0, 0.0, 0)
            return
    pytest.fail("no way was ever better")


def test_sums_of_answers_stay_under_the_first_inputs(campaign: Campaign) -> None:
    assert len(totals_of(campaign.store)["labeled"]) == sketch_length(4)


def test_rounds_that_chose_their_inputs_are_made_again_to_the_bit(campaign: Campaign) -> None:
    for number in range(1, 5):
        steps = reproduce(
            campaign.store, TASK, campaign.settings, campaign.scheduler.events, number
        )
        assert [step.step for step in steps if not step.same] == []
        recast = any(event.round == number for event in campaign.events(Recast))
        assert ("inputs" in [step.step for step in steps]) == recast


def test_a_changed_record_of_the_choice_is_found(campaign: Campaign) -> None:
    def forged(event: Event) -> Event:
        return replace(event, base="f" * 64) if isinstance(event, Recast) else event

    first = campaign.events(Recast)[0].round
    events = [event for event in campaign.scheduler.events if event.round <= first]
    ours = [event for event in events if not isinstance(event, Trained) or event.round < first]
    last = max(n for n, event in enumerate(ours) if isinstance(event, Recast))
    steps = reproduce(
        campaign.store, TASK, campaign.settings, [*map(forged, ours[: last + 1])], first
    )
    assert [step.step for step in steps if not step.same] == ["inputs"]


@pytest.mark.parametrize("dies_at", range(1, 5))
def test_a_choice_goes_on_at_the_leg_it_had_reached(campaign: Campaign, dies_at: int) -> None:
    """A coordinator that ends after so many legs is followed by one that asks no fold twice."""
    with closing(Campaign(tried())) as other:
        other.run(1)
        while sum(e.exchange == "recast" for e in other.events(Closed)) < dies_at:
            other.scheduler.turn()
            if len(other.events(Trained)) == 2:
                break
        other.scheduler = other.started()
        other.run(1)
        whole = [event for event in campaign.events(Recast) if event.round == 2]
        assert other.events(Recast) == whole


def test_without_rounds_named_nothing_is_asked() -> None:
    with closing(Campaign(tried(rounds=()))) as plain:
        plain.run(2)
        assert not plain.events(Recast)
        assert not [event for event in plain.events(Closed) if event.exchange == "recast"]


def test_folds_nobody_has_labels_in_leave_everything_as_it_is(campaign: Campaign) -> None:
    base = campaign.parts.shelf.get(campaign.events(Trained)[0].model)
    nothing = np.zeros(4, dtype=np.int64)  # what is kept of a leg nobody answered
    choice = choose(base, [nothing] * 3, tried())
    assert choice.model is base
    assert choice.errors == ()


def test_a_model_over_other_inputs_keeps_its_weights_only_where_they_fit(
    campaign: Campaign,
) -> None:
    base = campaign.parts.shelf.get(campaign.events(Trained)[0].model)
    moved = with_inputs(base, replace(campaign.settings.inputs, recentre=0.5))
    assert np.array_equal(moved.weights, base.weights)
    wider = with_inputs(base, replace(campaign.settings.inputs, fourier=6))
    assert len(wider.weights) == 2 * 10
    assert not wider.weights.any()
    back = with_inputs(wider, campaign.settings.inputs)
    assert inputs_of(back) == inputs_of(base)
    assert len(back.weights) == len(base.weights)


def test_the_way_in_use_comes_first_and_once(campaign: Campaign) -> None:
    base = campaign.parts.shelf.get(campaign.events(Trained)[0].model)
    plain = with_inputs(base, campaign.settings.inputs)
    for model in (plain, *ways(plain, tried())[1:]):
        found = [inputs_of(way) for way in ways(model, tried())]
        assert found[0] == inputs_of(model)
        assert len(found) == len(set(found)) == 3


def test_a_curvature_nobody_told_is_that_of_no_item(campaign: Campaign) -> None:
    base = campaign.parts.shelf.get(campaign.events(Trained)[0].model)
    wider = with_inputs(base, replace(campaign.settings.inputs, fourier=6))
    snapshot = campaign.parts.store.artifact(campaign.scheduler.campaign.rounds[1].inputs)
    from coordinator.models.totals import Snapshot

    made = snapshot_for(wider, Snapshot.from_bytes(snapshot), np.zeros(4, dtype=np.int64))
    assert not made.labeled.any()
    assert len(made.labeled) == sketch_length(10)


def test_every_fold_has_its_share_of_many_devices() -> None:
    folds = [fold_of(DeviceId(n), seed=1, folds=4) for n in range(400)]
    assert all(70 < folds.count(fold) < 130 for fold in range(4))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds": (0,)},
        {"folds": 1},
        {"rank": 0},
        {"better_by": 1.0},
        {"variants": (InputVariant(),) * 17},
    ],
)
def test_settings_that_say_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="recipes"):
        replace(EAGER, **wrong)  # type: ignore[arg-type]  # a table of fields


@pytest.mark.parametrize("wrong", [{"recentre": 1.5}, {"smooth": -0.1}, {"fourier": -1}])
def test_variants_that_no_inputs_can_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="variants"):
        InputVariant(**wrong)  # type: ignore[arg-type]  # a table of fields

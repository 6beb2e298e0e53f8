"""What votes weigh is chosen from sums alone, and not where a fold would be too small for one."""

from contextlib import closing
from dataclasses import replace

from coordinator.recipe_settings import RecipeSettings
from coordinator.rounds.events import Closed, Recast, Trained
from coordinator.rounds.recipes import fold_of
from tests.coordinator.rounds.campaign import TASK
from tests.coordinator.summing.fleets import SECURE, SETTINGS, Secure, make_fleet, secure_task

SEED, FOLDS = 8, 2  # six devices in each fold
CHOOSING = replace(
    SETTINGS,
    seed=SEED,
    recipes=RecipeSettings(rounds=(1,), folds=FOLDS, vote_weights=(4.0,), better_by=0.0, doubt=0.0),
)
LEAST = b'[cohort]\nsums = "secure"\nleast_cohort = 6\nleast_threshold = 4\nleast_sum = 3\n'


def sizes() -> list[int]:
    """Return how many training devices each fold has."""
    folds = [fold_of(device, seed=SEED, folds=FOLDS) for device in range(1, 13)]
    return [folds.count(fold) for fold in range(FOLDS)]


def test_weights_chosen_from_masked_sums_are_those_of_plain_ones() -> None:
    assert min(sizes()) >= 6
    found = []
    for task in (secure_task(LEAST), TASK):
        with closing(Secure(make_fleet(task=task), settings=CHOOSING, task=task)) as campaign:
            campaign.run(1)
            events = campaign.scheduler.events
            (chosen,) = (event for event in events if isinstance(event, Recast))
            (trained,) = (event for event in events if isinstance(event, Trained))
            found.append((chosen.vote_weight, chosen.losses, trained.model))
    assert found[0] == found[1]
    assert len(found[0][1]) == 2


def test_a_fold_below_the_floor_is_not_asked_and_votes_weigh_as_set() -> None:
    assert min(sizes()) < 10
    with closing(Secure(make_fleet(task=SECURE), settings=CHOOSING)) as campaign:
        campaign.run(1)
        events = campaign.scheduler.events
        assert not [event for event in events if isinstance(event, Recast)]
        assert not [e for e in events if isinstance(e, Closed) and e.exchange == "recast"]
        assert any(isinstance(event, Trained) for event in events)

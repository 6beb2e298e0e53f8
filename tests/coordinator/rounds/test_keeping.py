"""Nothing is lost when a function changes: measured always, kept where the campaign says so."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from coordinator.governance_settings import InfluenceSettings, RetentionSettings
from coordinator.rounds.events import Evaluated, Trained
from coordinator.rounds.gate import SLICES, retained, told, verdict_of
from coordinator.rounds.machine import Phase
from coordinator.rounds.reproduce import reproduce
from coordinator.rounds.views import show_round
from coordinator.settings import CampaignSettings
from fieldvote.errors import SettingsError
from strategies.governance.retention import RetentionCounts
from tests.coordinator.models.taught_fleet import (
    FUNCTIONS,
    SETTINGS,
    TaughtFleet,
    made,
    release,
    retaining,
    with_one_voice,
)
from tests.coordinator.rounds.campaign import Campaign, settings_with

ALL = tuple(range(FUNCTIONS + 1))
LEAST = 0.98


def score_of(fates: tuple[int, ...]) -> float:
    """Return the retention score of a round's counts."""
    counts = np.array(fates, dtype=np.int64).reshape(len(SLICES), -1, 4)
    found = RetentionCounts(fates=counts).score
    assert found is not None
    return found


def after_a_change(settings: CampaignSettings, seed: int = 0) -> TaughtFleet:
    """Return a fleet whose second round follows a release that took a class its only voice."""
    fleet = TaughtFleet(with_one_voice(made(seed), 1), ALL, settings=settings, rounds=2)
    fleet.run(lambda: fleet.scheduler.campaign.last == 1 and not fleet.open)
    fleet.propose(release(ALL[:-1], 2))
    fleet.run()
    return fleet


def test_without_retention_the_class_is_lost_and_the_gate_and_the_round_say_so() -> None:
    with closing(after_a_change(SETTINGS)) as fleet:
        first, second = fleet.evaluated(1), fleet.evaluated(2)
        assert first.fates == ()  # nothing had changed: nobody was asked
        assert score_of(second.fates) < 0.9
        shown = str(show_round(fleet.store, 2)["retention"])
        assert shown == told(second.fates)
        assert shown in fleet.scheduler.campaign.rounds[2].reason
        assert "class walk: more was lost" in fleet.scheduler.campaign.rounds[2].reason
        assert "retention" not in show_round(fleet.store, 1)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(retaining(hold=20.0), id="weights are held"),
        pytest.param(retaining(teacher_share=0.8), id="the head before teaches"),
    ],
)
def test_with_retention_the_class_is_kept_and_the_round_can_be_made_again(
    settings: CampaignSettings,
) -> None:
    with closing(after_a_change(settings)) as fleet:
        assert score_of(fleet.evaluated(2).fates) >= LEAST
        assert fleet.scheduler.campaign.rounds[2].phase is Phase.DONE
        made_again = reproduce(fleet.store, fleet.task, settings, list(fleet.scheduler.events), 2)
        assert [step.step for step in made_again if not step.same] == []


@pytest.mark.nightly
def test_answers_that_are_shown_again_keep_some_of_it() -> None:
    scores = []
    for settings in (SETTINGS, retaining(replay=4.0)):
        for seed in range(4):
            with closing(after_a_change(settings, seed)) as fleet:
                scores.append(score_of(fleet.evaluated(2).fates))
    lost, replayed = np.mean(scores[:4]), np.mean(scores[4:])
    assert replayed > lost + 0.01


def small(rule: RetentionSettings, rounds: int = 2) -> list[Evaluated | Trained]:
    """Return what a small campaign without any change of functions trained and judged."""
    traced = InfluenceSettings(curvature_exchanges=0)
    with closing(Campaign(settings_with(retention=rule, influence=traced))) as campaign:
        campaign.run(rounds)
        return [*campaign.events(Trained), *campaign.events(Evaluated)]


def test_nothing_is_kept_where_nothing_changed() -> None:
    kept = small(RetentionSettings(hold=20.0, teacher_share=0.8, replay=2.0))
    plain = small(RetentionSettings())
    assert [e.model for e in kept[:2]] == [e.model for e in plain[:2]]  # type: ignore[union-attr]  # Trained come first
    assert [e.fates for e in plain[2:]] == [(), ()]  # type: ignore[union-attr]  # then Evaluated


def test_it_can_be_counted_in_every_round_or_in_none() -> None:
    *_, first, second = small(RetentionSettings(measure="always"))
    assert isinstance(first, Evaluated)
    assert isinstance(second, Evaluated)
    assert first.fates == ()  # there was no head before
    assert sum(second.fates) == sum(second.held_out) + sum(second.random_arm) >= 10
    never = replace(SETTINGS, retention=RetentionSettings(measure="never"))
    with closing(after_a_change(never)) as fleet:
        assert fleet.evaluated(2).fates == ()


CLASSES = ("a", "b")
KEPT = (50, 0, 0, 0, 50, 0, 0, 0) + (0,) * 8
LOST_ONE_CLASS = (50, 0, 0, 0, 20, 30, 0, 0) + (0,) * 8
FEW = (1, 1, 0, 0, 2, 0, 0, 0) + (0,) * 8


@pytest.mark.parametrize(
    ("fates", "rule", "refused", "said"),
    [
        (KEPT, RetentionSettings(refuses=True), False, "100 of 100"),
        (LOST_ONE_CLASS, RetentionSettings(refuses=True), True, "class b: more was lost"),
        (LOST_ONE_CLASS, RetentionSettings(), False, "class b: more was lost"),
        (FEW, RetentionSettings(refuses=True, least_score=0.5), False, "3 of 4"),
        (FEW, RetentionSettings(refuses=True, allow_unknown=False), True, "too few items"),
        ((), RetentionSettings(refuses=True), False, "nothing to compare with"),
    ],
)
def test_the_gate_refuses_what_forgot_too_much_only_where_it_is_to(
    fates: tuple[int, ...], rule: RetentionSettings, refused: bool, said: str
) -> None:
    verdict = verdict_of((), (3, 1, 1, 3), fates, rule, CLASSES, worse=False)
    assert verdict.refused is refused
    assert said in verdict.reason
    assert verdict_of((), (3, 1, 1, 3), fates, rule, CLASSES, worse=True).refused


def test_losses_of_one_class_do_not_hide_behind_gains_of_another() -> None:
    fates = (20, 30, 0, 0, 40, 0, 60, 0) + (0,) * 8
    found = retained(fates, RetentionSettings(), CLASSES)
    assert found is not None
    assert not found.allowed
    assert any("class a" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    "wrong",
    [{"hold": -1.0}, {"replay": 99.0}, {"teacher_share": 1.5}, {"replayed": 0}, {"margin": 2.0}],
)
def test_settings_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="retention"):
        RetentionSettings(**wrong)  # type: ignore[arg-type]  # a table of settings


def test_a_head_that_is_the_same_has_kept_everything() -> None:
    evaluated = Evaluated(round=1, held_out=(), random_arm=())
    assert evaluated.fates == ()
    assert told(()) == ""

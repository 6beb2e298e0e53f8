"""From a judged head to the devices that serve it, and back."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from coordinator.models.shelf import digest_of
from coordinator.rounds.commands import Command
from coordinator.rounds.events import (
    Refused,
    Reverted,
    RolledOut,
)
from coordinator.rounds.machine import Phase
from coordinator.settings import RolloutSettings
from edge.agent import served_by
from fieldvote.errors import InputError
from tests.coordinator.rounds.by_hand import ByHand, heads_of
from tests.coordinator.rounds.campaign import (
    JUDGE,
    ONE,
    THREE,
    TWO,
    settings_with,
)


@pytest.fixture
def campaign() -> Iterator[ByHand]:
    with closing(ByHand()) as made:
        yield made


def test_every_device_serves_the_new_head_and_who_was_away_gets_it_later(campaign: ByHand) -> None:
    campaign.turn()
    campaign.answer()
    campaign.network.away = {THREE}
    campaign.turn()
    first = campaign.scheduler.campaign.rounds[1].model
    serving = {device: served_by(pool) for device, pool in campaign.fleet.pools.items()}
    heads = {device: said.serial for device, said in serving.items()}
    assert heads == {ONE: 2, TWO: 2, THREE: 0, JUDGE: 2}
    assert serving[ONE].model is not None
    assert digest_of(serving[ONE].model) == first
    campaign.network.away = set()
    campaign.clock.sleep(10)
    campaign.turn()
    assert served_by(campaign.fleet.pools[THREE]).serial == 2


def test_a_newer_head_overtakes_the_one_that_never_arrived(campaign: ByHand) -> None:
    campaign.turn()
    campaign.answer()
    campaign.network.away = {THREE}
    campaign.turn()
    campaign.answer()
    campaign.turn()
    assert campaign.scheduler.finished
    campaign.network.away = set()
    campaign.clock.sleep(10)
    campaign.turn()
    assert served_by(campaign.fleet.pools[THREE]).serial == 4
    assert campaign.store.overdue(99) == []


def test_a_head_that_is_clearly_worse_is_refused_and_the_next_round_starts_before_it(
    campaign: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.turn()
    campaign.answer()
    campaign.turn()
    good = campaign.scheduler.campaign.model
    campaign.answer()
    monkeypatch.setattr("coordinator.rounds.rollout.is_clearly_worse", lambda *_, **__: True)
    campaign.turn()
    assert campaign.phases()[2] is Phase.REJECTED
    assert len(campaign.events(Refused)) == 1
    assert campaign.scheduler.campaign.model == campaign.scheduler.campaign.served == good
    assert {served_by(pool).serial for pool in campaign.fleet.pools.values()} == {2}


def test_a_head_that_fails_on_the_canaries_is_taken_back_from_them(
    campaign: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.turn()
    campaign.answer()
    campaign.turn()
    good = campaign.scheduler.campaign.model
    campaign.answer()
    verdicts = iter([False, True])
    monkeypatch.setattr(
        "coordinator.rounds.rollout.is_clearly_worse", lambda *_, **__: next(verdicts)
    )
    campaign.turn()
    campaign.clock.sleep(10)
    campaign.turn()
    assert campaign.phases()[2] is Phase.ROLLED_BACK
    assert campaign.scheduler.campaign.model == campaign.scheduler.campaign.served == good
    assert heads_of(campaign) == {good}


def test_a_head_that_is_out_can_be_taken_back_by_command(campaign: ByHand) -> None:
    campaign.turn()
    campaign.answer()
    campaign.turn()
    good = campaign.scheduler.campaign.model
    campaign.answer()
    campaign.turn()
    assert campaign.events(RolledOut)[-1].devices == 4
    campaign.scheduler.obey(Command(what="abort", round=2, reason="complaints"))
    campaign.clock.sleep(10)
    campaign.turn()
    assert campaign.phases()[2] is Phase.ROLLED_BACK
    assert campaign.events(Reverted)[0].reason == "complaints"
    assert heads_of(campaign) == {good}
    with pytest.raises(InputError, match="abandoned"):
        campaign.scheduler.obey(Command(what="abort", round=2))


def test_the_first_head_is_taken_back_to_what_the_tasks_own_model_says(campaign: ByHand) -> None:
    campaign.turn()
    campaign.answer()
    campaign.turn()
    campaign.scheduler.obey(Command(what="abort", round=1, reason="complaints"))
    campaign.clock.sleep(10)
    campaign.turn()
    assert heads_of(campaign) == {""}
    assert campaign.scheduler.campaign.model == ""


def test_without_roll_out_no_device_is_given_a_head() -> None:
    with closing(ByHand(settings_with(rollout=RolloutSettings(enabled=False)))) as made:
        made.turn()
        made.answer()
        made.turn()
        assert made.phases()[1] is Phase.DONE
        assert {served_by(pool).serial for pool in made.fleet.pools.values()} == {0}

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
    Selected,
)
from coordinator.rounds.machine import Phase
from coordinator.settings import PaceSettings, RolloutSettings
from edge.agent import served_by
from fieldvote.errors import InputError
from fieldvote.records import MaskedItem
from tests.coordinator.rounds.by_hand import ByHand, heads_of
from tests.coordinator.rounds.campaign import (
    JUDGE,
    ONE,
    THREE,
    TWO,
    Reader,
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
    with pytest.raises(InputError, match="no device serves its model"):
        campaign.scheduler.obey(Command(what="abort", round=2))
    # and so can the one before it, which they serve again
    campaign.scheduler.obey(Command(what="abort", round=1, reason="more complaints"))
    campaign.clock.sleep(10)
    campaign.turn()
    assert heads_of(campaign) == {""}


def test_a_head_that_another_is_being_made_from_is_not_taken_back_beneath_it(
    campaign: ByHand,
) -> None:
    campaign.turn()
    campaign.answer()
    campaign.turn()
    campaign.answer()
    campaign.network.away = {ONE, TWO, THREE}
    campaign.turn()
    assert campaign.scheduler.campaign.rounds[2].parent == campaign.scheduler.campaign.served != ""
    with pytest.raises(InputError, match="abort round 2 first"):
        campaign.scheduler.obey(Command(what="abort", round=1))
    campaign.network.away = set()
    for number in (2, 1):
        campaign.scheduler.obey(Command(what="abort", round=number))
    campaign.clock.sleep(10)
    campaign.turn()
    assert heads_of(campaign) == {""}


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


def test_rounds_that_end_out_of_order_leave_every_device_with_the_head_that_came_last() -> None:
    with closing(ByHand(settings_with(pace=PaceSettings(open_rounds=2)))) as made:
        made.turn()
        second = {bytes.fromhex(item) for item in made.events(Selected)[1].items}

        class OfTheSecond(Reader):
            def answer(self, item: MaskedItem) -> int | None:
                return super().answer(item) if item.item in second else None

        made.reader, everybody = OfTheSecond(), made.reader
        made.answer()
        made.turn()
        assert made.phases() == {1: Phase.LABELING, 2: Phase.DONE}
        made.reader = everybody
        made.answer()
        made.turn()
        assert made.phases() == {1: Phase.DONE, 2: Phase.DONE}
        assert made.scheduler.campaign.served == made.scheduler.campaign.rounds[1].model
        assert heads_of(made) == {made.scheduler.campaign.served}
        with pytest.raises(InputError, match="devices have that of round 1"):
            made.scheduler.obey(Command(what="abort", round=2))


def test_a_canary_share_of_nothing_is_still_one_device() -> None:
    with closing(ByHand(settings_with(rollout=RolloutSettings(canary_share=0.0)))) as made:
        made.turn()
        made.answer()
        made.turn()
        assert made.phases()[1] is Phase.DONE

"""Several rounds at a time, budgets, back-pressure, and what people may ask of a round."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from coordinator.labels.desk import Elsewhere
from coordinator.rounds.commands import Command, ask
from coordinator.rounds.events import (
    Abandoned,
    Opened,
    Planned,
    Quarantined,
    Resolved,
    Selected,
)
from coordinator.rounds.machine import Phase
from coordinator.rounds.planning import affordable
from coordinator.rounds.scheduler import Scheduler
from coordinator.settings import BudgetSettings, PaceSettings
from coordinator.store.budget import Resource
from coordinator.store.campaign import Store
from coordinator.store.rows import Claim
from fieldvote.errors import DataError, InputError
from fieldvote.records import CollectRequest, DeviceId
from tests.coordinator.rounds.by_hand import ByHand
from tests.coordinator.rounds.campaign import (
    SETTINGS,
    settings_with,
)


@pytest.fixture
def campaign() -> Iterator[ByHand]:
    with closing(ByHand()) as made:
        yield made


def test_a_round_waits_for_people_and_says_so(campaign: ByHand) -> None:
    rest = campaign.turn()
    assert rest.about == "round 1: people: 0 of 3 candidates are answered"
    assert rest.until == campaign.scheduler.state.until
    campaign.answer(1)
    assert campaign.turn().about.endswith("1 of 3 candidates are answered")
    campaign.answer()
    campaign.turn()
    assert campaign.phases() == {1: Phase.DONE, 2: Phase.LABELING}


def test_what_is_answered_after_the_deadline_counts_in_the_next_round(campaign: ByHand) -> None:
    campaign.turn()
    campaign.answer(1)
    campaign.clock.sleep(3601)
    campaign.turn()
    assert [event.answers for event in campaign.events(Resolved)] == [1]
    campaign.answer()
    campaign.turn()
    assert [event.answers for event in campaign.events(Resolved)] == [1, 2 + 4]
    assert campaign.scheduler.finished
    assert campaign.store.paid()[0] == 7


def test_a_share_of_the_answers_is_enough_where_the_pace_says_so() -> None:
    pace = PaceSettings(answered_share=0.5)
    with closing(ByHand(settings_with(pace=pace))) as made:
        made.turn()
        made.answer(1)
        assert made.phases() == {1: Phase.LABELING}
        made.turn()
        made.answer(1)
        made.turn()
        assert made.phases()[1] is Phase.DONE


def test_while_people_answer_one_round_the_next_is_surveyed_and_each_model_has_one_parent() -> None:
    with closing(ByHand(settings_with(pace=PaceSettings(open_rounds=2)), rounds=3)) as made:
        made.turn()
        assert made.phases() == {1: Phase.LABELING, 2: Phase.LABELING}
        assert made.events(Planned)[1].first  # nothing is learnt yet: seeds again
        made.answer()
        made.turn()
        assert made.phases()[1] is made.phases()[2] is Phase.DONE
        made.answer()
        made.turn()
        assert made.scheduler.finished
        rounds = made.scheduler.campaign.rounds
        assert [rounds[n].parent for n in (1, 2, 3)] == ["", rounds[1].model, rounds[2].model]
        assert made.parts.shelf.lineage(rounds[3].model) == (
            rounds[3].model,
            rounds[2].model,
            rounds[1].model,
        )


def test_two_rounds_never_meet_the_devices_at_once() -> None:
    with closing(ByHand(settings_with(pace=PaceSettings(open_rounds=3)), rounds=9)) as made:
        meeting = {Phase.PLANNED, Phase.SURVEYING, Phase.SELECTED, Phase.COLLECTING}
        for _ in range(200):
            made.scheduler.turn()
            assert sum(phase in meeting for phase in made.phases().values()) <= 1
        assert len(made.scheduler.campaign.open) == 3


def test_rounds_keep_their_distance() -> None:
    with closing(ByHand(settings_with(pace=PaceSettings(least_interval_s=600.0)))) as made:
        made.turn()
        made.answer()
        rest = made.turn()
        assert rest.about == "the next round keeps its distance"
        assert made.phases() == {1: Phase.DONE}
        made.clock.sleep(599)
        made.turn()
        assert made.phases() == {1: Phase.DONE}
        made.clock.sleep(1)
        made.turn()
        assert made.phases()[2] is Phase.LABELING


def test_no_new_candidates_are_asked_for_while_old_ones_wait_too_long() -> None:
    pace = PaceSettings(answered_share=0.1, longest_queue_s=1000.0)
    with closing(ByHand(settings_with(pace=pace), rounds=3)) as made:
        made.turn()
        made.clock.sleep(1001)
        made.answer(1)
        assert made.turn().about.startswith("people: candidates have waited too long")
        assert made.phases() == {1: Phase.DONE}
        made.answer()
        made.turn()
        assert made.phases()[2] is Phase.LABELING


def test_the_next_batch_is_smaller_by_what_people_have_not_got_to() -> None:
    with closing(ByHand(settings_with(pace=PaceSettings(answered_share=0.1)))) as made:
        made.turn()
        made.answer(1)
        made.turn()
        assert [event.budget for event in made.events(Planned)] == [3, 6 - 2]


@pytest.mark.parametrize(
    "budget",
    [BudgetSettings(labels=5), BudgetSettings(money=5 * SETTINGS.price + 0.01)],
)
def test_a_campaign_never_buys_more_labels_than_its_budget(budget: BudgetSettings) -> None:
    with closing(ByHand(settings_with(budget=budget), rounds=9)) as made:
        for _ in range(4):
            made.turn()
            made.answer()
        assert made.turn().about == "the budget for labels is spent"
        assert [len(event.items) for event in made.events(Selected)] == [3, 2]
        assert made.store.paid()[0] == 5
        spending = made.store.budget()[Resource.LABELS]
        assert (spending.reserved, spending.spent) == (0, 5)


def test_what_comes_after_its_round_is_paid_from_what_was_left_for_it() -> None:
    with closing(ByHand(settings_with(budget=BudgetSettings(labels=4)), rounds=9)) as made:
        made.network.silent = {(DeviceId(1), CollectRequest)}
        made.turn()
        made.clock.sleep(SETTINGS.deadline_s + 1)
        made.turn()
        made.answer()
        made.turn()
        # one of three has not come, and may come: it keeps its place in the budget
        assert made.store.may_cost()[1] == Claim(items=1, answers=0, micro=0)
        assert [len(event.items) for event in made.events(Selected)] == [3, 1]
        made.network.silent = set()
        for _ in range(20):
            made.turn()
            made.clock.sleep(10.0)
            made.answer()
        assert made.store.may_cost().get(1, Claim(items=0, answers=0, micro=0)).items == 0
        assert made.store.paid()[0] == 4


def test_a_round_that_is_given_up_gives_back_what_its_items_cannot_cost_any_more() -> None:
    with closing(ByHand(settings_with(budget=BudgetSettings(labels=5)), rounds=9)) as made:
        made.turn()
        made.answer(1)
        made.scheduler.obey(Command(what="abort", round=1))
        assert made.store.budget()[Resource.LABELS].reserved == 0
        # two wait for people still, and one was answered and is not counted yet
        assert affordable(made.settings, made.store) == 5 - 2 - 1
        made.answer()
        assert affordable(made.settings, made.store) == 5 - 3


def test_labels_are_reserved_before_they_are_bought(campaign: ByHand) -> None:
    campaign.turn()
    spending = campaign.store.budget()
    assert (spending[Resource.LABELS].reserved, spending[Resource.LABELS].spent) == (3, 0)
    assert spending[Resource.MONEY].reserved == round(3 * SETTINGS.price * 1e6)


def test_a_round_that_would_pass_the_bytes_is_given_up_and_its_labels_stay() -> None:
    with closing(ByHand(settings_with(budget=BudgetSettings(size_bytes=1_200_000)))) as made:
        made.turn()
        made.answer()
        made.settings = replace(made.settings, budget=BudgetSettings(size_bytes=1000))
        made.labeling = Elsewhere()
        made.scheduler = made.started(rounds=1)
        made.turn()
        [event] = made.events(Abandoned)
        assert "bytes" in event.reason
        assert made.store.paid()[0] == 3


def test_an_incident_round_goes_ahead_and_is_not_asked_to_wait() -> None:
    pace = PaceSettings(least_interval_s=10_000.0)
    with closing(ByHand(settings_with(pace=pace), rounds=1)) as made:
        made.turn()
        command = Command(what="plan", kind="incident", budget=2)
        made.store.owe("one", "command", command.to_json())
        rest = made.turn()
        assert made.phases() == {1: Phase.LABELING, 2: Phase.LABELING}
        assert rest.about.startswith("round 2:")
        assert made.events(Planned)[1].budget == 2
        assert [state.number for state in made.scheduler.campaign.open] == [2, 1]
        # people see its candidates first
        waiting = made.store.queue()
        asked = {bytes.fromhex(item) for item in made.events(Selected)[1].items}
        assert len(waiting) == 3 + 2
        assert {candidate.item for candidate in waiting[:2]} == asked


def test_a_paused_round_does_nothing_until_it_is_resumed(campaign: ByHand) -> None:
    campaign.turn()
    campaign.scheduler.obey(Command(what="pause", round=1, reason="the guide changes"))
    campaign.answer()
    before = campaign.scheduler.events
    assert campaign.turn().about == "round 1 is paused: the guide changes"
    assert campaign.scheduler.events == before
    # a coordinator that was just started keeps it so
    assert campaign.started().state.phase is Phase.PAUSED
    campaign.scheduler.obey(Command(what="resume", round=1))
    campaign.turn()
    assert campaign.phases()[1] is Phase.DONE


def test_commands_reach_the_leader_through_the_store_and_are_obeyed_once(campaign: ByHand) -> None:
    campaign.turn()
    names = iter(bytes([n]) * 8 for n in range(9))
    command = Command(what="pause", round=1, reason="lunch")
    asked = {"wait_s": 0.5, "clock": campaign.clock, "entropy": lambda _: next(names)}
    assert not ask(campaign.store, command, **asked)
    campaign.turn()
    assert campaign.phases() == {1: Phase.PAUSED}
    with pytest.raises(InputError, match="only a round that is under way can be paused"):
        ask(campaign.store, command, **asked)
    assert campaign.store.owed() == []
    with pytest.raises(InputError, match="no round 7"):
        ask(campaign.store, replace(command, round=7), **asked)


def test_a_command_that_has_become_impossible_is_said_and_dropped(campaign: ByHand) -> None:
    campaign.turn()
    said: list[str] = []
    scheduler = Scheduler(campaign.parts, say=said.append, rounds=2)
    campaign.store.owe("one", "command", Command(what="resume", round=1).to_json())
    assert scheduler.turn() is None
    assert "cannot be done" in said[0]
    assert campaign.store.owed() == []


def test_an_aborted_round_is_over_and_its_labels_are_delivered_by_the_next(
    campaign: ByHand,
) -> None:
    campaign.turn()
    campaign.answer()
    campaign.scheduler.obey(Command(what="abort", round=1, reason="wrong guide"))
    assert campaign.phases()[1] is Phase.ABANDONED
    campaign.turn()
    campaign.answer()
    campaign.turn()
    assert campaign.events(Resolved)[0].answers == 3 + 3
    assert sum(campaign.answered().values()) == 6


def test_what_does_not_add_up_is_quarantined_until_a_person_has_looked(
    campaign: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.turn()
    campaign.answer()

    def damaged(_self: Store, digest: str) -> bytes:
        raise DataError(f"artifact {digest[:12]} was changed on the disk: restore a backup")

    monkeypatch.setattr(Store, "artifact", damaged)
    rest = campaign.turn()
    assert campaign.phases()[1] is Phase.QUARANTINED
    assert "quarantined" in rest.about
    [event] = campaign.events(Quarantined)
    assert "changed on the disk" in event.reason
    monkeypatch.undo()
    campaign.scheduler.obey(Command(what="resume", round=1))
    campaign.turn()
    assert campaign.phases()[1] is Phase.DONE


def test_a_clock_that_was_set_back_an_hour_keeps_no_window_open(campaign: ByHand) -> None:
    campaign.turn()
    [opened] = campaign.events(Opened)
    campaign.clock.sleep(-7200)
    # a process that is started now finds a deadline further away than it may be
    campaign.scheduler = campaign.started(rounds=1)
    campaign.turn()
    assert campaign.phases()[1] is Phase.DONE
    assert opened.until > campaign.clock.now().isoformat()

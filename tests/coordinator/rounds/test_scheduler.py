"""A campaign over devices that come and go; on a clock that goes only while somebody sleeps."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from coordinator.rounds.campaign import replay_campaign
from coordinator.rounds.commands import Command
from coordinator.rounds.events import (
    Abandoned,
    Closed,
    Evaluated,
    Fitted,
    Opened,
    Planned,
    Resolved,
    RolledOut,
    Selected,
    Trained,
)
from coordinator.rounds.machine import Phase
from coordinator.rounds.scheduler import Progress, Scheduler
from coordinator.transport import exchange
from fieldvote.errors import UnavailableError
from fieldvote.heads import EvaluateRequest, GradientRequest, ServeRequest
from fieldvote.records import (
    AnswersRequest,
    CollectRequest,
    HelloRequest,
    MaskedItem,
    Request,
    SurveyRequest,
    encode,
)
from tests.coordinator.rounds.campaign import (
    JUDGE,
    ONE,
    SETTINGS,
    THREE,
    TWO,
    Campaign,
    Reader,
    settings_with,
    totals_of,
)


def greet(campaign: Campaign) -> None:
    """Let every device introduce itself, and plan nothing."""
    request = encode(HelloRequest(campaign="small"))
    replies = exchange(
        campaign.network, dict.fromkeys(campaign.network.devices(), request), deadline_s=1.0
    )
    with campaign.store.transaction():
        campaign.parts.inbox.hello(replies, campaign.parts.task.digest)


def decided(campaign: Campaign) -> list[object]:
    """Return what was decided in a campaign, without the times."""
    timeless = (Selected, Closed, Resolved, Fitted, Trained, Evaluated, RolledOut)
    return [event for event in campaign.scheduler.events if isinstance(event, timeless)]


@pytest.fixture
def campaign() -> Iterator[Campaign]:
    with closing(Campaign()) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[Campaign]:
    """Two rounds in which nothing goes wrong; whoever has it only looks at it."""
    with closing(Campaign()) as made:
        made.run(2)
        yield made


def test_a_whole_campaign_of_three_rounds_learns(campaign: Campaign) -> None:
    campaign.run(3)
    state = campaign.scheduler.state
    assert (state.number, state.phase) == (3, Phase.DONE)
    plans = campaign.events(Planned)
    assert [(p.first, p.budget, p.devices) for p in plans] == [
        (True, 3, (1, 2, 3)),
        (False, 6, (1, 2, 3)),
        (False, 6, (1, 2, 3)),
    ]
    assert [e.answers for e in campaign.events(Resolved)] == [3, 6, 6]
    count, cost = campaign.store.paid()
    assert (count, round(cost, 6)) == (15, 15 * SETTINGS.price)
    assert sorted(campaign.reader.asked) == sorted(set(campaign.reader.asked))
    answered = campaign.answered()
    assert (sum(answered.values()), answered[JUDGE]) == (15, 0)
    assert min(answered[device] for device in (ONE, TWO, THREE)) > 0
    last = campaign.events(Evaluated)[-1]
    counts = last.held_out
    assert sum(counts) == 10
    assert counts[0] + counts[3] >= 8
    shelf = campaign.parts.shelf
    assert shelf.lineage(state.model) == tuple(
        event.model for event in reversed(campaign.events(Trained))
    )


def test_whoever_watches_is_told_of_every_durable_event_in_order(campaign: Campaign) -> None:
    campaign.run(2)
    assert tuple(campaign.seen) == campaign.scheduler.events == campaign.started().events
    assert replay_campaign(campaign.seen) == campaign.scheduler.campaign


def test_a_watcher_sees_only_what_is_already_stored(campaign: Campaign) -> None:
    stored: list[bool] = []

    def look(progress: Progress) -> None:
        known = len(campaign.store.events("rounds"))
        stored.append(known > len(stored) and progress.event in campaign.scheduler.events)

    campaign.scheduler = Scheduler(campaign.parts, watch=look)
    campaign.scheduler.run_round()
    assert len(stored) > 20
    assert all(stored)


def test_a_coordinator_that_starts_anew_goes_on_with_the_next_round(campaign: Campaign) -> None:
    campaign.run(1)
    again = campaign.started()
    assert again.campaign == campaign.scheduler.campaign
    assert again.run_round().number == 2


def test_devices_that_never_answer_do_not_stop_a_round(campaign: Campaign) -> None:
    campaign.network.silent = {
        (TWO, kind) for kind in (SurveyRequest, CollectRequest, AnswersRequest, GradientRequest)
    }
    campaign.run(3)
    assert [e.replies for e in campaign.events(Selected)] == [2, 2, 2]
    assert campaign.answered()[TWO] == 0
    assert campaign.store.paid()[0] == 2 + 6 + 6


def test_a_device_that_talks_rubbish_is_dropped_and_the_others_go_on(campaign: Campaign) -> None:
    greet(campaign)
    campaign.network.corrupt[TWO] = lambda reply: reply[:-1] + bytes([reply[-1] ^ 255]) + b"!"
    campaign.run(2)
    assert campaign.scheduler.state.phase is Phase.DONE
    # every survey, each asked for once more, and what else it was asked
    assert campaign.parts.inbox.dropped["not a reply"] >= 3
    assert campaign.answered()[TWO] == 0


def test_requests_that_come_twice_change_nothing(campaign: Campaign, undisturbed: Campaign) -> None:
    campaign.network.twice = True
    campaign.run(2)
    assert campaign.scheduler.events == undisturbed.scheduler.events
    assert totals_of(campaign.store) == totals_of(undisturbed.store)


@pytest.mark.parametrize(
    ("kind", "stands"),
    [
        (SurveyRequest, Phase.SURVEYING),
        (GradientRequest, Phase.TRAINING),
        (EvaluateRequest, Phase.EVALUATING),
        (ServeRequest, Phase.CANARY),
    ],
)
def test_when_nobody_answers_the_round_goes_on_later_from_where_it_stood(
    campaign: Campaign, undisturbed: Campaign, kind: type[Request], stands: Phase
) -> None:
    campaign.run(1)
    campaign.network.silent = {(device, kind) for device in campaign.fleet.agents}
    for _ in range(2):
        with pytest.raises(UnavailableError):
            campaign.scheduler.run_round()
        assert campaign.scheduler.state.phase is stands
    before = campaign.scheduler.events
    campaign.network.silent = set()
    # the same program goes on, and so would one that was started meanwhile
    assert campaign.started().state == campaign.scheduler.state
    campaign.scheduler.run_round()
    assert campaign.scheduler.events[: len(before)] == before
    assert decided(undisturbed) == decided(campaign)


def test_replies_nobody_can_read_are_as_good_as_none(campaign: Campaign) -> None:
    greet(campaign)
    campaign.network.corrupt = dict.fromkeys(campaign.fleet.agents, lambda _: b"rubbish")
    with pytest.raises(UnavailableError, match="survey: 0 of 3 devices have answered"):
        campaign.scheduler.run_round()
    assert campaign.scheduler.state.phase is Phase.SURVEYING
    campaign.network.corrupt = {}
    assert campaign.scheduler.run_round().phase is Phase.DONE
    assert campaign.store.paid()[0] == 3


def test_a_round_is_not_planned_for_nobody(campaign: Campaign) -> None:
    campaign.network.away = {ONE, TWO, THREE}
    with pytest.raises(UnavailableError, match="0 training devices are there"):
        campaign.scheduler.run_round()
    assert campaign.scheduler.events == ()
    campaign.network.away = {ONE}
    campaign.scheduler.run_round()
    assert campaign.events(Planned)[0].devices == (2, 3)


def test_an_answer_to_a_device_that_is_away_is_delivered_later_and_counted_once(
    campaign: Campaign,
) -> None:
    campaign.network.silent = {(TWO, AnswersRequest)}
    campaign.run(1)
    assert [e.delivered for e in campaign.events(Fitted)] == [2]
    assert set(campaign.store.expected(1, "answers")) == {TWO}
    assert not campaign.store.devices()[TWO].teaches
    campaign.network.silent = set()
    campaign.scheduler.run_round()
    assert [e.delivered for e in campaign.events(Fitted)] == [2, 6]
    assert campaign.store.expected(1, "answers") == {}
    anchors = totals_of(campaign.store)["anchors"]
    assert sum(anchors[:2]) == campaign.store.paid()[0] == 9
    assert sum(campaign.answered().values()) == 9


@pytest.mark.parametrize("kind", [SurveyRequest, CollectRequest, AnswersRequest])
def test_what_a_late_reply_holds_is_counted_when_it_is_asked_for_again(
    campaign: Campaign, undisturbed: Campaign, kind: type[Request]
) -> None:
    campaign.network.late = {(TWO, kind)}
    campaign.run(1)
    campaign.network.late = set()
    campaign.scheduler.run_round()
    totals, wanted = totals_of(campaign.store), totals_of(undisturbed.store)
    # the votes and moments of every item are summed, whichever reply was late
    assert totals["votes"] == wanted["votes"]
    assert totals["moments"] == wanted["moments"]
    assert totals["voted items"] == wanted["voted items"]
    assert campaign.store.queue() == []
    given = campaign.store.paid()[0]
    assert sum(totals["anchors"][:2]) == given == sum(campaign.answered().values())
    assert campaign.store.overdue(3) == []


def test_candidates_of_a_device_that_is_away_leave_the_budget_unspent(campaign: Campaign) -> None:
    campaign.run(1)
    campaign.network.silent = {(ONE, CollectRequest), (TWO, CollectRequest)}
    campaign.scheduler.run_round()
    selected, collected = campaign.events(Selected)[1], campaign.events(Opened)[1]
    lost = 6 - collected.sealed
    assert len(selected.items) == 6
    assert lost > 0
    assert campaign.store.paid()[0] == 3 + collected.sealed


def test_a_first_round_whose_candidates_all_stay_does_not_stop_the_campaign(
    campaign: Campaign,
) -> None:
    campaign.network.silent = {(d, CollectRequest) for d in campaign.fleet.agents}
    campaign.run(1)
    assert campaign.scheduler.state.phase is Phase.DONE
    assert campaign.store.paid()[0] == 0
    campaign.network.silent = set()
    campaign.scheduler.run_round()
    # the lost seeds are asked for again, and the second round buys seeds of its own
    assert campaign.store.paid()[0] == 6


def test_an_annotator_who_skips_is_asked_again_in_the_next_round() -> None:
    with closing(Campaign()) as made:
        skipped: set[bytes] = set()

        class Careful(Reader):
            def answer(self, item: MaskedItem) -> int | None:
                if not skipped:
                    skipped.add(item.item)
                    return None
                return super().answer(item)

        made.reader = Careful()
        made.people = (made.reader,)
        made.scheduler = made.started()
        made.run(2)
        assert [e.answers for e in made.events(Resolved)] == [2, 6]
        assert skipped < set(made.reader.asked)


def test_an_abandoned_round_keeps_its_labels_and_the_next_one_begins(campaign: Campaign) -> None:
    campaign.run(1)
    campaign.network.silent = {(device, GradientRequest) for device in campaign.fleet.agents}
    with pytest.raises(UnavailableError):
        campaign.scheduler.run_round()
    campaign.scheduler.obey(Command(what="abort", round=2, reason="nobody trains"))
    assert campaign.scheduler.state.phase is Phase.ABANDONED
    campaign.network.silent = set()
    state = campaign.scheduler.run_round()
    assert (state.number, state.phase) == (3, Phase.DONE)
    assert campaign.store.paid()[0] == 3 + 6 + 6
    [given_up] = campaign.events(Abandoned)
    assert given_up == Abandoned(round=2, reason="nobody trains")


def test_a_quorum_that_is_not_there_is_waited_for(campaign: Campaign) -> None:
    campaign.network.away = {TWO}
    scheduler = campaign.started(quorum=3)
    with pytest.raises(UnavailableError, match="2 training devices are there, 3 are needed"):
        scheduler.run_round()
    assert scheduler.events == ()
    campaign.network.away = set()
    assert scheduler.run_round().phase is Phase.DONE
    # a device is greeted once
    greeted = [device for kind, device, _ in campaign.network.replies if kind is HelloRequest]
    assert sorted(greeted) == [ONE, TWO, THREE, JUDGE]


def test_the_same_seed_turns_the_same_rounds_and_another_seed_does_not() -> None:
    histories = []
    for seed in (3, 3, 4):
        with closing(Campaign(settings_with(seed=seed))) as made:
            made.run(3)
            histories.append(made.scheduler.events)
    assert histories[0] == histories[1] != histories[2]


def test_a_share_of_the_fleet_is_surveyed_after_the_first_round() -> None:
    with closing(Campaign(settings_with(surveyed_share=0.34))) as made:
        made.run(6)
        sizes = [len(plan.devices) for plan in made.events(Planned)]
        assert sizes == [3, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("learner", "strategy"),
    [("summed", "fleet"), ("summed", "margin"), ("averaged", "entropy"), ("averaged", "random")],
)
def test_every_learner_and_strategy_turns_a_round(learner: str, strategy: str) -> None:
    with closing(Campaign(settings_with(learner=learner, strategy=strategy))) as made:
        made.run(2)
        assert made.store.paid()[0] == 9
        assert sum(made.events(Evaluated)[-1].held_out) == 10

"""The watch over new items in a campaign: alarms, aimed rounds, and nothing decided twice."""

from dataclasses import replace

import numpy as np
import pytest

from coordinator.arrivals import ArrivalSums
from coordinator.rounds.campaign import dump_campaign, load_campaign
from coordinator.rounds.drift import (
    layout_of,
    look,
    looked_again,
    read_counts,
    read_panel,
    write_counts,
    write_panel,
)
from coordinator.rounds.events import Planned, Selected, Watched
from coordinator.rounds.reproduce import reproduce
from coordinator.rounds.steering import DriftState
from coordinator.steering_settings import DriftSettings
from edge.items import row_payload
from fieldvote.errors import DataError, SettingsError
from fieldvote.records import ARM_CHOSEN, SurveyReply, SurveyRequest, decode, encode
from fieldvote.rng import stream
from strategies.arrivals import Layout
from strategies.drift import DriftRule
from strategies.drift_panel import Panel
from tests.coordinator.replies import survey
from tests.coordinator.rounds.campaign import SETTINGS, TASK, Campaign, settings_with
from tests.doubles.transport import MemoryTransport

WATCHING = settings_with(drift=DriftSettings(watch=True), labels_per_device=1, exchanges=2)
LAYOUT = layout_of(TASK)
QUIET, COME = 9, 14


def come(campaign: Campaign, number: int, *, shift: float = 0.0) -> None:
    """Let new items come to every training device before a round."""
    for device, pool in campaign.fleet.pools.items():
        if int(device) <= 3:
            rng = stream(6, "come", int(device), number)
            rows = rng.normal(size=(COME, 3)) + shift
            pool.add([rng.bytes(16) for _ in rows], [row_payload(row) for row in rows])


def turn(campaign: Campaign, rounds: int, *, shift: float = 0.0) -> None:
    for _ in range(rounds):
        come(campaign, campaign.scheduler.campaign.last + 1, shift=shift)
        campaign.run(1)


@pytest.fixture(scope="module")
def shifted() -> Campaign:
    """A campaign in which items change after nine rounds, and four rounds after that."""
    campaign = Campaign(WATCHING)
    turn(campaign, QUIET)
    turn(campaign, 4, shift=1.6)
    return campaign


def test_quiet_rounds_raise_no_alarm_and_a_shift_does_within_two(shifted: Campaign) -> None:
    looks = shifted.events(Watched)
    assert [event.round for event in looks] == list(range(2, QUIET + 5))
    fired = [event.round for event in looks if event.fired]
    assert len(fired) == 1
    assert fired[0] in (QUIET + 1, QUIET + 2)
    # the first look is over the whole pool, and each item is in one
    assert [event.items for event in looks[1:]] == [3 * COME] * (QUIET + 2)
    (alarm,) = (event for event in looks if event.fired)
    assert "nats" in alarm.reason
    assert sum(alarm.aims) in (0, pytest.approx(1.0))


def test_an_alarm_begins_one_round_that_is_aimed_at_what_is_new(shifted: Campaign) -> None:
    (alarm,) = (event.round for event in shifted.events(Watched) if event.fired)
    aimed = [event for event in shifted.events(Planned) if event.kind == "drift"]
    assert [event.round for event in aimed] == [alarm + 1]
    (chosen,) = (event for event in shifted.events(Selected) if event.round == alarm + 1)
    asked = {bytes.fromhex(item) for item in chosen.items}
    for pool in shifted.fleet.pools.values():
        arms, ids = pool.column("arm"), pool.ids()
        ours = [place for place, item in enumerate(ids) if item in asked]
        new = len(ids) - (QUIET + 4 - alarm + 1) * COME  # what came with the alarm or later
        assert all(place >= new for place in ours if arms[place] == ARM_CHOSEN)


def test_what_was_labeled_and_learnt_counts_as_usual_then(shifted: Campaign) -> None:
    (alarm,) = (event.round for event in shifted.events(Watched) if event.fired)
    accepted = [event.round for event in shifted.events(Watched) if event.accepted]
    assert accepted == [alarm + 2]
    assert not shifted.scheduler.campaign.steering.drift.alarm


def test_every_look_can_be_made_again_to_the_bit(shifted: Campaign) -> None:
    events = shifted.scheduler.events
    for number in (3, QUIET + 1, QUIET + 2, QUIET + 3):
        made = reproduce(shifted.store, shifted.parts.task, WATCHING, events, number)
        steps = {each.step: each for each in made}
        assert {"drift", "selection", "model"} <= set(steps)
        assert [each for each in made if not each.same] == []
    # and to other bits where the counts were others
    first, second = shifted.events(Watched)[2:4]
    drift = DriftState(since=2, counts=first.counts, panel=first.panel)
    wrong = replace(second, counts=first.counts)
    recorded, again = looked_again(shifted.store, shifted.parts.task, WATCHING, drift, wrong)
    assert recorded != again


def test_where_it_stands_is_in_the_snapshot(shifted: Campaign) -> None:
    campaign = shifted.scheduler.campaign
    assert campaign.steering.drift.since == 2
    assert load_campaign(dump_campaign(campaign)) == campaign


@pytest.mark.slow  # two campaigns, one of them started at every turn
def test_a_coordinator_that_is_started_anew_at_every_turn_sees_and_does_the_same() -> None:
    streams = []
    for restarts in (False, True):
        campaign = Campaign(WATCHING)
        for number in range(1, QUIET + 4):
            come(campaign, number, shift=1.6 if number > QUIET else 0.0)
            if not restarts:
                campaign.run(1)
                continue
            while True:
                campaign.scheduler = campaign.started(rounds=number)
                if campaign.scheduler.finished:
                    break
                if campaign.scheduler.turn() is not None:
                    campaign.clock.sleep(1.0)
        kept = [(e.round, e.fired, e.panel, e.counts) for e in campaign.events(Watched)]
        planned = [(e.round, e.kind, e.watch, e.aims) for e in campaign.events(Planned)]
        streams.append((kept, planned))
        campaign.close()
    assert streams[0] == streams[1]
    assert any(kind == "drift" for _, kind, *_ in streams[0][1])


def test_nothing_is_asked_or_written_where_nobody_watches() -> None:
    campaign = Campaign()
    asked: list[SurveyRequest] = []
    replies: list[SurveyReply] = []
    handlers = {
        device: _heard(agent.handle, asked, replies)
        for device, agent in campaign.fleet.agents.items()
    }
    campaign.network = MemoryTransport(handlers)
    campaign.scheduler = campaign.started()
    campaign.run(2)
    assert asked
    assert all(request.watch is None and not request.fresh for request in asked)
    assert all(not len(reply.arrivals) for reply in replies)
    assert campaign.events(Watched) == []
    campaign.close()


def _heard(handle, asked, replies):  # type: ignore[no-untyped-def]  # a wire tap of two lists
    def answer(request: bytes) -> bytes:
        reply: bytes = handle(request)
        try:
            asked.append(decode(request, SurveyRequest))
            replies.append(decode(reply, SurveyReply))
        except Exception:
            return reply
        return reply

    return answer


def test_an_alarm_begins_no_round_of_its_own_where_that_is_not_wanted(shifted: Campaign) -> None:
    planner, campaign = shifted.scheduler._planner, shifted.scheduler.campaign
    drift = replace(campaign.steering.drift, alarm=campaign.last, aims=(0.0, 1.0))
    calling = replace(campaign, steering=replace(campaign.steering, drift=drift))
    assert drift.calls
    aimed = planner.plan(calling)
    assert (aimed.kind, aimed.aims) == ("drift", (0.0, 0.5))
    unwanted = replace(WATCHING, drift=DriftSettings(watch=True, rounds=False))
    planner._parts = replace(shifted.parts, settings=unwanted)
    try:
        assert (planner.plan(calling).kind, planner.plan(calling).aims) == ("ordinary", ())
    finally:
        planner._parts = shifted.parts


def test_what_comes_late_is_in_the_next_look_and_nothing_is_in_two() -> None:
    counts = np.zeros(LAYOUT.length, dtype=np.int64)
    for part in LAYOUT.parts.values():
        counts[part.start] = 10
    counts[0] = 10
    first = look(None, None, counts, DriftState(since=2), LAYOUT, WATCHING)
    late = look(first.panel, counts, 3 * counts, DriftState(since=2), LAYOUT, WATCHING)
    assert (first.items, late.items) == (10, 20)
    never = look(late.panel, 3 * counts, 3 * counts, DriftState(since=2), LAYOUT, WATCHING)
    assert never.items == 0
    assert never.panel.quiet == late.panel.quiet


def test_a_round_of_a_watch_that_is_over_is_not_looked_at(shifted: Campaign) -> None:
    drift = shifted.scheduler._steps._drift
    state = replace(shifted.scheduler.state, watch=1, looked=False)
    assert drift.head(state, shifted.scheduler.campaign) is None
    assert drift.head(replace(state, watch=2), shifted.scheduler.campaign) is not None
    assert drift.sums(replace(state, watch=0)) is None


def test_another_release_begins_a_watch_of_its_own(shifted: Campaign) -> None:
    planner, campaign = shifted.scheduler._planner, shifted.scheduler.campaign
    assert planner._watched_since(campaign, campaign.last + 1) == 2
    fewer = replace(shifted.parts.task, functions=shifted.parts.task.functions[:1])
    planner._parts = replace(shifted.parts, task=fewer)
    try:
        assert planner._watched_since(campaign, campaign.last + 1) == campaign.last + 1
    finally:
        planner._parts = shifted.parts


@pytest.mark.parametrize("noisy", [False, True])
def test_histograms_that_no_device_can_have_sent_are_not_counted(noisy: bool) -> None:
    sums = ArrivalSums(since=2, layout=LAYOUT, noisy=noisy)
    good = np.zeros(LAYOUT.length, dtype=np.int64)
    good[0] = 3
    for part in LAYOUT.parts.values():
        good[part.stop - 1] = 3
    assert sums.holds(good)
    assert sums.holds(2 * good)
    bent = good.copy()
    bent[LAYOUT.parts["confidence"].start] += 1
    assert sums.holds(bent) is noisy
    assert sums.holds(-good) is noisy
    assert not sums.holds(good[:-1])
    assert not sums.holds(good + (1 << 40))


def test_a_device_that_makes_histograms_up_moves_none_and_its_survey_still_counts() -> None:
    campaign = Campaign(WATCHING)
    campaign.run(1)
    sums = ArrivalSums(since=2, layout=LAYOUT)
    device = next(iter(campaign.fleet.pools))
    made_up = np.full(LAYOUT.length, 5, dtype=np.int64)
    reply = replace(
        survey(round_number=9), items=0, voted=0, votes=np.empty(0, dtype=np.int64),
        moments=np.empty(0, dtype=np.int64), arrivals=made_up,
    )  # fmt: skip
    counted, _ = campaign.parts.inbox.survey(9, {device: encode(reply)}, sums)
    assert counted == 1
    assert campaign.store.total(sums.name) is None
    assert campaign.parts.inbox.dropped["histograms that do not fit"] == 1
    campaign.close()


def test_what_is_kept_is_read_back_and_what_is_not_ours_is_refused() -> None:
    panel = Panel.over(Layout(classes=2, functions=1))
    for n in range(5):
        counts = np.zeros(panel.layout.length, dtype=np.int64)
        for part in panel.layout.parts.values():
            counts[part.start : part.start + 2] = (50 + n, 50)
        panel = panel.saw(counts, DriftRule())
    assert read_panel(write_panel(panel)) == panel
    assert write_panel(read_panel(write_panel(panel))) == write_panel(panel)
    assert read_counts(write_counts(counts)).tolist() == counts.tolist()
    for blob in (b"", b"{}", b"[]", write_panel(panel)[:-2], b'{"watches": [1]}'):
        with pytest.raises(DataError):
            read_panel(blob)
    with pytest.raises(DataError):
        read_counts(b"1234567")


@pytest.mark.parametrize(
    "wrong",
    [{"divergence": 0.0}, {"divergence": 0.7}, {"odds": 1.0}, {"noise_stddev": -1.0},
     {"share": 1.5}, {"alike": 1}],
)  # fmt: skip
def test_a_watch_that_always_or_never_rings_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        DriftSettings(**wrong)  # type: ignore[arg-type]  # numbers of either kind


def test_watching_is_off_unless_it_is_asked_for() -> None:
    assert not SETTINGS.drift.watch

"""A campaign's state by any history there may be, and a snapshot in place of one."""

from contextlib import closing
from dataclasses import replace
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds.campaign import (
    STREAM,
    CampaignState,
    advance_campaign,
    dump_campaign,
    load_campaign,
    load_state,
    replay_campaign,
)
from coordinator.rounds.events import (
    Abandoned,
    Asked,
    Evaluated,
    Event,
    Extended,
    Opened,
    Passed,
    Paused,
    Planned,
    Quarantined,
    Refused,
    Resolved,
    Reverted,
    Stopped,
    Trained,
    dump_event,
)
from coordinator.rounds.machine import HELD, OVER, Phase, RoundState, advance, replay
from coordinator.rounds.table import an_event_of_each_kind
from coordinator.store.campaign import Store, open_store
from fieldvote.errors import DataError
from tests.coordinator.rounds.campaign import NOON

ALL = tuple(an_event_of_each_kind())
PLAN = ALL[0]
COUNTS = st.lists(st.integers(0, 9), max_size=4).map(tuple)
EXAMPLES = 80
_ENDS = (Abandoned, Quarantined, Stopped, Paused)

_in_round = lru_cache(lambda number: tuple(replace(event, round=number) for event in ALL))


@lru_cache(maxsize=4096)
def moves_of(state: RoundState, number: int) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Return the events that change a state, and those of them by which its round goes on."""
    moves = tuple(event for event in _in_round(number) if advance(state, event) is not state)
    again = () if state.exchange is None else (Asked, Extended)
    return moves, tuple(event for event in moves if not isinstance(event, (*_ENDS, *again)))


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw events of a few rounds that mostly lead on, some to an end, and some nowhere."""
    history: list[Event] = []
    states: dict[int, RoundState] = {}
    for _ in range(draw(st.sampled_from((4, 20, 60)))):
        number = draw(st.sampled_from((1, 2, 1, 2, 3)))
        state = states.get(number, RoundState())
        moves, onwards = moves_of(state, number)
        # an end in every tenth step would let hardly a round come as far as to a head
        choices = {0: _in_round(number), 1: moves, 2: moves}.get(draw(st.integers(0, 39)), onwards)
        event = draw(st.sampled_from(choices or _in_round(number)))
        if isinstance(event, Evaluated):
            event = replace(event, held_out=draw(COUNTS))
        if isinstance(event, Resolved):
            event = replace(event, answers=draw(st.integers(0, 9)), base=draw(st.text(max_size=3)))
        if isinstance(event, Trained):
            event = replace(event, model=draw(st.sampled_from("abc")))
        history.append(event)
        states[number] = advance(state, event)
    return history


@settings(deadline=None, max_examples=EXAMPLES)
@given(histories())
def test_a_snapshot_comes_back_as_it_was(history: list[Event]) -> None:
    campaign = replay_campaign(history)
    assert load_campaign(dump_campaign(campaign)) == campaign
    assert dump_campaign(load_campaign(dump_campaign(campaign))) == dump_campaign(campaign)


@settings(deadline=None, max_examples=EXAMPLES)
@given(histories(), st.data())
def test_a_snapshot_and_what_came_after_it_are_the_whole_history(
    history: list[Event], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(history)))
    before = load_campaign(dump_campaign(replay_campaign(history[:cut])))
    assert replay_campaign(history[cut:], before) == replay_campaign(history)


def stored(store: Store, history: list[Event]) -> None:
    with store.transaction():
        for version, event in enumerate(history):
            store.append(STREAM, version, *dump_event(event))


@settings(deadline=None, max_examples=EXAMPLES // 2)
@given(histories().filter(bool), st.data())
def test_a_store_leads_to_the_same_state_with_any_snapshot_or_none(
    history: list[Event], data: st.DataObject
) -> None:
    wanted = (len(history), replay_campaign(history))
    with closing(open_store(None, now=lambda: NOON)) as store:
        assert load_state(store) == (0, CampaignState())
        stored(store, history)
        assert load_state(store) == wanted
        last = data.draw(st.integers(0, len(history) - 1))
        store.keep_snapshot(STREAM, last, dump_campaign(replay_campaign(history[: last + 1])))
        assert load_state(store) == wanted


@pytest.mark.parametrize(
    "snapshot", [b"", b"no json", b"[]", b"{}", b'{"rounds": [], "of": "another program"}']
)
def test_a_snapshot_of_another_program_is_passed_over_for_the_events(snapshot: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_campaign(snapshot)
    history = [PLAN, Abandoned(round=1, reason="why")]
    with closing(open_store(None, now=lambda: NOON)) as store:
        stored(store, history)
        store.keep_snapshot(STREAM, 1, snapshot)
        assert load_state(store) == (2, replay_campaign(history))


@settings(deadline=None, max_examples=EXAMPLES)
@given(histories())
def test_each_round_goes_its_own_way_and_rounds_are_numbered_without_a_gap(
    history: list[Event],
) -> None:
    campaign, taken = CampaignState(), list[Event]()
    for event in history:
        after = advance_campaign(campaign, event)
        if after is not campaign:
            taken.append(event)
            if isinstance(event, Planned):
                assert event.round == campaign.last + 1
        campaign = after
    assert list(campaign.rounds) == list(range(1, campaign.last + 1))
    for number, state in campaign.rounds.items():
        assert state == replay(taken, number)
    assert campaign.labels == sum(e.answers for e in taken if isinstance(e, Resolved))
    assert {state.number for state in campaign.open} == {
        number for number, state in campaign.rounds.items() if state.phase not in OVER
    }


@settings(deadline=None, max_examples=EXAMPLES)
@given(histories())
def test_the_round_that_has_the_model_in_hand_is_the_one_that_works_with_it(
    history: list[Event],
) -> None:
    campaign = replay_campaign(history)
    if not campaign.learning:
        return
    state = campaign.rounds[campaign.learning]
    where = state.held if state.phase in HELD else state.phase
    order = list(Phase)
    assert order.index(Phase.RESOLVING) <= order.index(where) <= order.index(Phase.ROLLING_OUT)


def until(phase: Phase, number: int, *, model: str, held_out: tuple[int, ...]) -> list[Event]:
    """Return a history on which all goes well until a round is there."""
    history: list[Event] = []
    state = RoundState()
    said = {
        Trained: {"model": model},
        Resolved: {"parent": "first" if number > 1 else ""},
        Evaluated: {"held_out": held_out},
    }
    order = list(Phase)
    while state.phase is not phase:
        for event in (replace(event, round=number, **said.get(type(event), {})) for event in ALL):
            after = advance(state, event)
            asked_again = state.exchange is not None and isinstance(event, Asked | Extended)
            goes_on = order.index(after.phase) <= order.index(Phase.DONE)
            if after is not state and goes_on and not asked_again:
                break
        history.append(event)
        state = after
        assert len(history) < 99
    return history


FIRST = [
    *until(Phase.GATE, 1, model="first", held_out=(5, 0, 0, 5)),
    Passed(round=1, reason="", roll_out=True),
]
OUT = [
    *until(Phase.DONE, 1, model="first", held_out=(5, 0, 0, 5)),
]


def test_a_head_becomes_the_campaigns_at_the_gate_and_the_fleets_when_it_is_out() -> None:
    judged = replay_campaign(FIRST[:-1])
    assert (judged.model, judged.scored, judged.judged) == ("", (), (5, 0, 0, 5))
    passed = replay_campaign(FIRST)
    assert (passed.model, passed.served, passed.scored) == ("first", "", (5, 0, 0, 5))
    out = replay_campaign(OUT)
    assert (out.model, out.served) == ("first", "first")


def test_a_refused_head_is_nobodys() -> None:
    second = until(Phase.GATE, 2, model="second", held_out=(1, 4, 4, 1))
    refused = replay_campaign([*OUT, *second, Refused(round=2, reason="")])
    assert (refused.model, refused.served, refused.scored) == ("first", "first", (5, 0, 0, 5))


@pytest.mark.parametrize("phase", [Phase.CANARY, Phase.ROLLING_OUT, Phase.DONE])
def test_a_head_that_is_taken_back_gives_its_place_to_the_one_before(phase: Phase) -> None:
    second = until(phase, 2, model="second", held_out=(5, 0, 0, 5))
    campaign = replay_campaign([*OUT, *second])
    assert campaign.model == "second"
    back = advance_campaign(campaign, Reverted(round=2, reason=""))
    assert (back.model, back.served, back.scored) == ("first", "first", ())


def test_only_so_many_rounds_that_are_over_are_remembered_and_every_open_one() -> None:
    history: list[Event] = [replace(PLAN, round=1)]
    for number in range(2, 102):
        history += [replace(PLAN, round=number), Abandoned(round=number, reason="")]
    campaign = replay_campaign(history)
    assert list(campaign.rounds) == [1, *range(70, 102)]
    assert campaign.last == 101
    assert [state.number for state in campaign.open] == [1]


def test_incidents_go_first_and_then_the_oldest() -> None:
    plans = [replace(PLAN, round=n, kind="incident" if n == 3 else "ordinary") for n in range(1, 5)]
    assert [state.number for state in replay_campaign(plans).open] == [3, 1, 2, 4]


def test_since_when_people_have_a_rounds_candidates_is_remembered_for_the_last_rounds() -> None:
    history: list[Event] = []
    for number in range(1, 41):
        history += until(Phase.COLLECTING, number, model="", held_out=())
        collected = replay(history, number)
        if collected.exchange is not None and collected.exchange.open:
            history.append(replace(_closed(), round=number))
        history.append(Opened(round=number, sealed=1, absent=0, until="", at=f"day {number}"))
    asked = replay_campaign(history).asked_at
    assert len(asked) == 32
    assert asked[40] == "day 40"


def _closed() -> Event:
    return next(e for e in ALL if type(e).__name__ == "Closed" and e.exchange == "collect")  # type: ignore[union-attr]  # a Closed has one

"""The round's machine, by every event on every state there is."""

import ast
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds import machine
from coordinator.rounds.events import (
    EVENTS,
    Abandoned,
    Asked,
    Closed,
    Event,
    Extended,
    Paused,
    Planned,
    Quarantined,
    Resumed,
    Reverted,
    Stopped,
    dump_event,
    load_event,
)
from coordinator.rounds.machine import HELD, OVER, Phase, RoundState, advance, replay, served
from coordinator.rounds.table import an_event_of_each_kind, reachable, ways
from fieldvote.errors import StoreError

ALL = tuple(an_event_of_each_kind())
GRAPH = reachable()
# the way of a round on which all goes well, written down a second time
STRAIGHT = (
    Phase.NONE, Phase.PLANNED, Phase.SURVEYING, Phase.SELECTED, Phase.COLLECTING, Phase.LABELING,
    Phase.RESOLVING, Phase.FITTING, Phase.SNAPSHOT, Phase.TRAINING, Phase.EVALUATING, Phase.GATE,
    Phase.CANARY, Phase.ROLLING_OUT, Phase.DONE,
)  # fmt: skip
ROUNDS = st.integers(0, 3)


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw events of any round, in any order, some of them again and again."""
    picked = draw(st.lists(st.sampled_from(ALL), max_size=60))
    return [replace(event, round=draw(ROUNDS)) for event in picked]


def test_every_phase_can_be_reached() -> None:
    assert {state.phase for state in GRAPH} == set(Phase)


def test_every_kind_of_event_is_tried_and_changes_something_somewhere() -> None:
    assert {type(event) for event in ALL} == set(EVENTS.values())
    of_the_campaign = {Stopped}
    changing = {type(event) for moves in GRAPH.values() for event, _ in moves}
    assert changing == set(EVENTS.values()) - of_the_campaign


def test_no_state_is_without_an_exit_and_every_one_leads_to_an_end() -> None:
    ends = {state for state in GRAPH if state.phase in OVER}
    known = set(ends)
    while True:
        more = {s for s, moves in GRAPH.items() if any(to in known for _, to in moves)} | known
        if more == known:
            break
        known = more
    assert known == set(GRAPH)
    assert all(GRAPH[state] for state in GRAPH if state.phase not in OVER)


def test_what_is_over_stays_over_but_for_a_head_that_is_taken_back() -> None:
    for state in GRAPH:
        if state.phase in OVER:
            left = {(type(event), to.phase) for event, to in GRAPH[state]}
            taken_back = {(Reverted, Phase.ROLLED_BACK)} if state.rolled_out else set()
            assert left == (taken_back if state.phase is Phase.DONE else set())


def test_a_round_on_which_all_goes_well_takes_the_straight_way() -> None:
    found = {(before, after) for before, _, after in ways()}
    assert set(pairwise(STRAIGHT)) <= found


def test_from_every_phase_that_works_a_round_can_be_held_and_goes_on_where_it_was() -> None:
    for state in GRAPH:
        if not state.active:
            continue
        for hold in (Paused(round=1, reason="why"), Quarantined(round=1, reason="why")):
            held = advance(state, hold)
            assert held.phase in HELD
            assert held.reason == "why"
            assert advance(held, Resumed(round=1)) == replace(state, reason="")


def test_a_round_whose_head_is_out_is_taken_back_and_never_given_up() -> None:
    for state in GRAPH:
        given_up = advance(state, Abandoned(round=1, reason=""))
        taken_back = advance(state, Reverted(round=1, reason=""))
        if served(state):
            assert given_up is state
            assert taken_back.phase is Phase.ROLLED_BACK
        else:
            assert taken_back is state


def test_nothing_goes_on_before_its_exchange_is_closed() -> None:
    leaves = (Extended, Closed, Paused, Quarantined, Abandoned, Reverted)
    for state, moves in GRAPH.items():
        if state.active and state.exchange is not None and state.exchange.open:
            assert {type(event) for event, _ in moves} <= set(leaves)


def test_an_exchange_ends_only_by_its_own_name_and_leg() -> None:
    asked = next(state for state in GRAPH if state.phase is Phase.SURVEYING)
    for event in (
        Closed(round=1, exchange="collect", leg=0, came=()),
        Closed(round=1, exchange="survey", leg=1, came=()),
        Closed(round=2, exchange="survey", leg=0, came=()),
    ):
        assert advance(asked, event) is asked


@settings(deadline=None)
@given(histories())
def test_no_history_raises_and_repeats_change_nothing(history: list[Event]) -> None:
    state = RoundState()
    for event in history:
        after = advance(state, event)
        if after is not state and not isinstance(event, Asked | Extended | Resumed):
            again = advance(after, event)
            assert again is after or isinstance(event, Paused | Quarantined)
        if not isinstance(event, Planned) and event.round != state.number:
            assert after is state
        state = after


@settings(deadline=None)
@given(histories(), ROUNDS)
def test_a_round_hears_only_of_itself(history: list[Event], number: int) -> None:
    ours = [event for event in history if event.round == number]
    assert replay(history, number) == replay(ours, number)


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_every_event_comes_back_from_the_store_as_it_was(event: Event) -> None:
    kind, body = dump_event(event)
    assert load_event(kind, body) == event
    assert dump_event(load_event(kind, body)) == (kind, body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Forgotten", "{}"),
        ("Labeled", "{}"),
        ("Labeled", "no json"),
        ("Labeled", '{"round": 1, "open": "one"}'),
        ("Labeled", '{"round": 1, "open": 1, "more": 2}'),
    ],
)
def test_an_event_that_cannot_be_read_is_a_store_error(kind: str, body: str) -> None:
    with pytest.raises(StoreError, match="the store holds"):
        load_event(kind, body)


def test_advance_is_one_exhaustive_match() -> None:
    tree = ast.parse(Path(machine.__file__).read_text("utf-8"))
    [function] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "advance"]
    [match] = [node for node in ast.walk(function) if isinstance(node, ast.Match)]
    last = ast.unparse(match.cases[-1])
    assert "assert_never" in last
    # a kind that is missing here would be a type error, and this list is how mypy knows
    assert all(name in ast.unparse(match.cases[-2].pattern) for name in EVENTS)

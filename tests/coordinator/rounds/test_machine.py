import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.rounds.machine import (
    Abandoned,
    Collected,
    Evaluated,
    Event,
    Fitted,
    Labeled,
    Phase,
    Planned,
    RoundState,
    Selected,
    Surveyed,
    Trained,
    advance,
    dump_event,
    load_event,
    replay,
)
from fieldvote.errors import StoreError

KINDS = (
    Planned, Surveyed, Selected, Collected, Labeled, Fitted, Trained, Evaluated, Abandoned,
)  # fmt: skip
ROUNDS = st.integers(0, 4)
COUNTS = st.integers(0, 10**6)
NUMBERS = st.lists(st.integers(0, 2**62), max_size=4).map(tuple)
TEXTS = st.text(max_size=12)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Planned, round=ROUNDS, devices=NUMBERS, budget=COUNTS, first=st.booleans()),
    st.builds(Surveyed, round=ROUNDS, replies=COUNTS, offers=COUNTS),
    st.builds(Selected, round=ROUNDS, items=st.lists(TEXTS, max_size=3).map(tuple)),
    st.builds(Collected, round=ROUNDS, sealed=COUNTS, refused=COUNTS),
    st.builds(Labeled, round=ROUNDS, answers=COUNTS, cost=st.floats(0, 1e9)),
    st.builds(Fitted, round=ROUNDS, delivered=COUNTS, functions=COUNTS),
    st.builds(Trained, round=ROUNDS, model=TEXTS, parent=TEXTS, exchanges=COUNTS),
    st.builds(Evaluated, round=ROUNDS, held_out=NUMBERS, random_arm=NUMBERS),
    st.builds(Abandoned, round=ROUNDS, reason=TEXTS),
)
STATES = st.builds(
    RoundState,
    number=ROUNDS,
    phase=st.sampled_from(Phase),
    devices=NUMBERS,
    budget=COUNTS,
    first=st.booleans(),
    model=TEXTS,
)
# what the docstring's drawing says, written down a second time
DRAWN: dict[tuple[Phase, type[Event]], Phase] = {
    (Phase.PLANNED, Surveyed): Phase.SURVEYED,
    (Phase.SURVEYED, Selected): Phase.SELECTED,
    (Phase.SELECTED, Collected): Phase.COLLECTED,
    (Phase.COLLECTED, Labeled): Phase.LABELED,
    (Phase.LABELED, Fitted): Phase.FITTED,
    (Phase.FITTED, Trained): Phase.TRAINED,
    (Phase.TRAINED, Evaluated): Phase.DONE,
    **{(phase, Planned): Phase.PLANNED for phase in (Phase.NONE, Phase.DONE, Phase.ABANDONED)},
    **{
        (phase, Abandoned): Phase.ABANDONED
        for phase in Phase
        if phase not in (Phase.NONE, Phase.DONE, Phase.ABANDONED)
    },
}
ONE_ROUND: tuple[Event, ...] = (
    Planned(round=1, devices=(4, 9), budget=2, first=True),
    Surveyed(round=1, replies=2, offers=2),
    Selected(round=1, items=("aa", "bb")),
    Collected(round=1, sealed=2, refused=0),
    Labeled(round=1, answers=2, cost=0.1),
    Fitted(round=1, delivered=2, functions=3),
    Trained(round=1, model="m1", parent="", exchanges=8),
    Evaluated(round=1, held_out=(1, 0, 0, 1), random_arm=(0, 0, 0, 0)),
)


@settings(deadline=None, max_examples=400)
@given(STATES, EVENTS)
def test_any_event_in_any_state_moves_along_the_drawing_or_changes_nothing(
    state: RoundState, event: Event
) -> None:
    after = advance(state, event)
    following = DRAWN.get((state.phase, type(event)))
    expected_round = state.number + 1 if isinstance(event, Planned) else state.number
    if following is None or event.round != expected_round:
        assert after is state
    else:
        assert after.phase is following
        assert after.number == event.round


@settings(deadline=None)
@given(STATES, EVENTS)
def test_only_a_plan_names_devices_and_only_training_names_a_model(
    state: RoundState, event: Event
) -> None:
    after = advance(state, event)
    if not isinstance(event, Planned):
        assert (after.devices, after.budget, after.first) == (
            state.devices,
            state.budget,
            state.first,
        )
    if not isinstance(event, Trained):
        assert after.model == state.model
    elif after is not state:
        assert after.model == event.model


@settings(deadline=None)
@given(st.integers(0, 8), EVENTS)
def test_events_of_another_round_change_nothing(steps: int, event: Event) -> None:
    state = replay(ONE_ROUND[:steps])
    own = state.number + 1 if isinstance(event, Planned) else state.number
    stranger = replace(event, round=own + 1 + event.round)
    assert advance(state, stranger) is state
    assert advance(state, replace(event, round=own - 1)) is state


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=12))
def test_replaying_a_history_is_advancing_through_it(events: list[Event]) -> None:
    state = RoundState()
    for event in events:
        state = advance(state, event)
    assert replay(events) == state


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), max_size=30))
def test_late_and_repeated_events_between_the_right_ones_are_boring(noise: list[int]) -> None:
    history = list(ONE_ROUND)
    for place in noise:
        # any event that has happened already may come in again at any later time
        history.insert(len(history) - min(place, len(history) - 8), history[min(place, 7)])
    assert replay(history) == replay(ONE_ROUND)


@settings(deadline=None, max_examples=200)
@given(EVENTS)
def test_what_is_dumped_is_loaded_again(event: Event) -> None:
    kind, body = dump_event(event)
    assert load_event(kind, body) == event
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))


def test_a_round_goes_through_every_phase_in_order_and_the_next_may_begin() -> None:
    phases = [replay(ONE_ROUND[:steps]).phase for steps in range(9)]
    assert phases == [phase for phase in Phase if phase is not Phase.ABANDONED]
    again = advance(replay(ONE_ROUND), Planned(round=2, devices=(1,), budget=3, first=False))
    assert (again.number, again.phase, again.model) == (2, Phase.PLANNED, "m1")


def test_an_abandoned_round_keeps_its_model_and_makes_room_for_the_next() -> None:
    state = advance(replay(ONE_ROUND[:7]), Abandoned(round=1, reason="enough"))
    assert (state.phase, state.model) == (Phase.ABANDONED, "m1")
    after = advance(state, Planned(round=2, devices=(), budget=0, first=False))
    assert after.phase is Phase.PLANNED


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Celebrated", "{}"),
        ("", "{}"),
        ("Surveyed", "{"),
        ("Surveyed", "[]"),
        ("Surveyed", '{"round":1}'),
        ("Surveyed", '{"round":1,"replies":"two","offers":0}'),
        ("Surveyed", '{"round":1,"replies":2,"offers":0,"mood":"fine"}'),
    ],
)
def test_a_stored_event_we_do_not_know_is_a_store_error(kind: str, body: str) -> None:
    with pytest.raises(StoreError, match="the store holds"):
        load_event(kind, body)


def test_every_kind_of_event_is_dumped_under_its_own_name() -> None:
    assert [dump_event(event)[0] for event in ONE_ROUND] == [k.__name__ for k in KINDS[:-1]]

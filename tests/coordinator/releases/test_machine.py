"""The machine of a release: total, and only what belongs there moves it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.releases.events import (
    EVENTS,
    Approved,
    Promoted,
    Proposed,
    ReleaseEvent,
    RolledBack,
    Tried,
    dump_event,
    load_event,
)
from coordinator.releases.machine import OVER, Phase, ReleaseState, advance, replay
from coordinator.rounds.events import Asked, Closed, Extended


def one_of_each(number: int = 1) -> list[ReleaseEvent]:
    """Return an event of every kind."""
    return [
        Proposed(
            round=number,
            task="t",
            parent="p",
            bundle="b",
            parent_bundle="c",
            version=2,
            share=0.5,
        ),
        Asked(
            round=number,
            exchange="trial",
            leg=0,
            devices=(1, 2),
            goal=2,
            minimum=1,
            window_s=1.0,
            until="",
        ),
        Extended(round=number, exchange="trial", leg=0, came=1, until="later"),
        Closed(round=number, exchange="trial", leg=0, came=(1,)),
        Tried(round=number, report="r", breaches=("too much",), doubts=("too few",)),
        Approved(round=number, by="rule", reason="fine"),
        Promoted(round=number, after=3),
        RolledBack(round=number, by="person", reason="no"),
    ]


def test_a_release_goes_its_way() -> None:
    states = [ReleaseState()]
    for event in one_of_each():
        states.append(advance(states[-1], event))
    assert [state.phase.name for state in states] == [
        "NONE", "PROPOSED", "TRYING", "TRYING", "TRYING", "TRIED", "APPROVED", "PROMOTED",
        "PROMOTED",
    ]  # fmt: skip
    assert states[5].reason == "too much; too few"
    assert states[7].after == 3


def test_a_release_that_brings_nothing_new_is_judged_without_a_trial() -> None:
    proposed, *_, tried, _, _, _ = one_of_each()
    assert advance(advance(ReleaseState(), proposed), tried).phase is Phase.TRIED


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 15), max_size=20))
def test_no_order_of_events_breaks_it_and_what_is_over_stays_over(order: list[int]) -> None:
    events = one_of_each(1) + one_of_each(2)
    states: dict[int, ReleaseState] = {}
    for place in order:
        event = events[place]
        before = states.get(event.round, ReleaseState())
        after = advance(before, event)
        if before.phase in OVER:
            assert after is before
        if after.number:
            states[event.round] = after
        assert after.number in (0, event.round)
    assert replay(events[place] for place in order) == states


def test_an_event_of_another_release_or_exchange_changes_nothing() -> None:
    proposed, asked, *others = one_of_each()
    trying = advance(advance(ReleaseState(), proposed), asked)
    for event in one_of_each(2):
        assert advance(trying, event) is trying
    survey = Closed(round=1, exchange="survey", leg=0, came=())
    assert advance(trying, survey) is trying
    assert advance(trying, others[2]) is trying  # tried before its exchange is closed


def test_every_event_survives_the_store() -> None:
    for event in one_of_each():
        assert load_event(*dump_event(event)) == event
    assert {type(event).__name__ for event in one_of_each()} == set(EVENTS)

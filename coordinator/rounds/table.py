"""Every way from phase to phase, found by trying each event on each state that can be reached."""

from collections.abc import Iterator
from typing import get_args

from coordinator.rounds.events import (
    Abandoned,
    Agreed,
    Asked,
    Closed,
    Compared,
    Evaluated,
    Event,
    ExchangeName,
    Extended,
    Fitted,
    Labeled,
    Opened,
    Passed,
    Paused,
    Planned,
    Quarantined,
    Recast,
    Refused,
    Resolved,
    Resumed,
    Reverted,
    RolledOut,
    Selected,
    Snapshotted,
    Stopped,
    Trained,
    Tried,
    Watched,
)
from coordinator.rounds.machine import Phase, RoundState, advance

Way = tuple[Phase, str, Phase]


def an_event_of_each_kind(number: int = 1) -> Iterator[Event]:
    """Yield one event of every kind, and of every exchange, about a round."""
    yield Planned(round=number, kind="ordinary", devices=(1,), budget=1, first=True, at="")
    names: tuple[ExchangeName, ...] = get_args(ExchangeName)
    for name in names:
        yield Asked(
            round=number, exchange=name, leg=0, devices=(1,), goal=1, minimum=0, window_s=1.0,
            until="",
        )  # fmt: skip
        yield Extended(round=number, exchange=name, leg=0, came=0, until="")
        yield Closed(round=number, exchange=name, leg=0, came=(1,))
    yield Watched(round=number, counts="c", panel="p", items=0)
    yield Selected(round=number, replies=1, considered="", items=(), most=1)
    yield Opened(round=number, sealed=0, absent=0, until="", at="")
    yield Labeled(round=number, open=0)
    yield Resolved(round=number, answers=0, cost=0.0, base="b", parent="")
    yield Fitted(round=number, delivered=0, functions=0)
    yield Snapshotted(round=number, inputs="i")
    yield Agreed(round=number, label_model="l", exchanges=1)
    yield Recast(round=number, base="b", inputs="i")
    yield Trained(round=number, model="m", parent="", exchanges=0)
    yield Compared(
        round=number, labels=1, better=0, worse=0, items=1, per_thousand=0.0, low=0.0, high=0.0
    )
    yield Evaluated(round=number, held_out=(), random_arm=())
    yield Passed(round=number, reason="", roll_out=True)
    yield Passed(round=number, reason="", roll_out=False)
    yield Refused(round=number, reason="")
    yield Tried(round=number, reason="")
    yield RolledOut(round=number, devices=1)
    yield Reverted(round=number, reason="")
    yield Paused(round=number, reason="")
    yield Quarantined(round=number, reason="")
    yield Resumed(round=number)
    yield Abandoned(round=number, reason="")
    yield Stopped(round=number, reason="")


def reachable() -> dict[RoundState, list[tuple[Event, RoundState]]]:
    """Return every state these events lead to, with the events that change it and to what."""
    events = tuple(an_event_of_each_kind())
    found: dict[RoundState, list[tuple[Event, RoundState]]] = {}
    waiting = [RoundState()]
    while waiting:
        state = waiting.pop()
        if state in found:
            continue
        moves = [(event, advance(state, event)) for event in events]
        # an exchange may be asked any number of times; twice shows all that a third would
        found[state] = [(e, after) for e, after in moves if after is not state and _is_news(after)]
        waiting += [after for _, after in found[state]]
    return found


def ways() -> list[Way]:
    """Return every way from one phase to another, in the order of phases."""
    order = list(Phase)
    found = {
        (state.phase, type(event).__name__, after.phase)
        for state, moves in reachable().items()
        for event, after in moves
        if after.phase is not state.phase
    }
    return sorted(found, key=lambda way: (order.index(way[0]), order.index(way[2]), way[1]))


def _is_news(state: RoundState) -> bool:
    """Return whether a state shows anything that was not seen before."""
    return state.exchange is None or state.exchange.attempt <= 2

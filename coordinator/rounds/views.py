"""What people see of rounds: a line each, or one on a screen, and what it waits for."""

import json
from collections.abc import Sequence
from datetime import datetime

from coordinator.rounds.calibrating import calibrations
from coordinator.rounds.calibration_view import calibration_rows, errors_told, scores_told
from coordinator.rounds.campaign import STREAM, CampaignState, advance_campaign
from coordinator.rounds.depth_view import taught_of
from coordinator.rounds.events import Evaluated, Resolved, Selected, load_event
from coordinator.rounds.gate import right_of, told
from coordinator.rounds.machine import HELD, Phase, RoundState
from coordinator.rounds.steering_view import line_of, rows_of
from coordinator.store.campaign import Store
from coordinator.store.events import Happened
from fieldvote.errors import InputError
from fieldvote.records import DeviceId

Row = dict[str, str | int | float]
_SHOWN = 12  # of a digest
_DEVICE_EXCHANGES = frozenset({"survey", "collect", "answers", "roll_out"})


def list_rounds(store: Store) -> list[Row]:
    """Return every round in a line, oldest first."""
    campaign, rows = CampaignState(), dict[int, Row]()
    for happened in store.history(STREAM):
        event = load_event(happened.kind, happened.body)
        campaign = advance_campaign(campaign, event)
        state = campaign.rounds[event.round]
        row = rows.setdefault(
            event.round,
            {"round": event.round, "kind": state.kind, "began": _minute(happened.at), "labels": 0},
        )
        row["phase"], row["model"] = state.phase.value, state.model[:_SHOWN]
        match event:
            case Resolved(labels=labels):
                row["labels"] = labels
            case Evaluated(held_out=counts):
                if sum(counts):
                    right, items = right_of(counts)
                    row["held_out"] = f"{right} of {items}"
                if found := calibrations(event):
                    row["temperature"] = found[0].temperature
                    row["uncertainty"] = round(found[0].entropy, 3)
            case _:
                row |= line_of(event)
    return list(rows.values())


def show_round(
    store: Store, number: int | None = None, *, classes: Sequence[str] | None = None
) -> Row:
    """Return all that matters of one round, the newest without a number.

    Args:
        store: Of the campaign.
        number: Which round.
        classes: Their names, to tell where heads err; not given, that is left out.

    Raises:
        InputError: there is no such round.
    """
    campaign, since, history = CampaignState(), "", store.history(STREAM)
    number = _newest(history) if number is None else number
    found, fates, steered = RoundState(), tuple[int, ...](), Row()
    evaluated, sure, scores = list[Evaluated](), Row(), ""
    for happened in history:
        event = load_event(happened.kind, happened.body)
        campaign = advance_campaign(campaign, event)
        if isinstance(event, Evaluated) and event.round <= number:
            evaluated.append(event)
        if event.round == number:
            after = campaign.rounds[number]
            since = happened.at if _place(after) != _place(found) else since
            found = after
            match event:
                case Evaluated():
                    fates, sure = event.fates, calibration_rows(event)
                case Selected():
                    scores = scores_told(store, event)
            steered |= rows_of(event)
    if found.phase is Phase.NONE:
        raise InputError(f"there is no round {number}; 'fieldvote rounds list' names them")
    row: Row = {
        "round": number,
        "kind": found.kind,
        "phase": found.phase.value,
        "since": _minute(since),
        "waits_for": _waits_for(store, found),
        "until": _minute(_until(found)),
        "reason": found.reason,
        "devices": len(found.devices),
        "budget": found.budget,
        "items": found.items,
        "model": found.model[:_SHOWN],
        "parent": found.parent[:_SHOWN],
        "scores": scores,
        **sure,
        "errors": errors_told(evaluated, classes or ()),
        "retention": told(fates),
        **taught_of(store, found),
        **steered,
    }
    return {name: value for name, value in row.items() if value != ""}


def _newest(history: list[Happened]) -> int:
    """Return the highest round number in a history, 0 in an empty one."""
    return max((json.loads(happened.body)["round"] for happened in history), default=0)


def _place(state: RoundState) -> tuple[Phase, str, int, int]:
    """Return what must change for a wait to be another one."""
    exchange = state.exchange
    if exchange is None:
        return state.phase, "", 0, 0
    return state.phase, exchange.name, exchange.leg, exchange.attempt


def _waits_for(store: Store, state: RoundState) -> str:
    """Return what a round waits for, in words."""
    exchange = state.exchange
    if state.over:
        return "nothing"
    if state.phase in HELD:
        return f"a person: fieldvote rounds resume {state.number}, or abort"
    if state.phase is Phase.LABELING:
        asked, open_ = store.candidates(state.number)
        return f"people: {asked - open_} of {asked} candidates are answered"
    if state.phase is Phase.RESOLVING and state.until:
        return "an expert: fieldvote labels answer --expert"
    if exchange is None or not exchange.open:
        return "the coordinator's next step"
    asked_again = f", asked {exchange.attempt} times" if exchange.attempt > 1 else ""
    who = f"{len(exchange.devices)} devices to answer ({exchange.name}{asked_again})"
    if exchange.name not in _DEVICE_EXCHANGES:
        return who
    missing = store.expected(state.number, exchange.name)
    came = len({DeviceId(device) for device in exchange.devices} - set(missing))
    return (
        f"devices: {came} of {len(exchange.devices)} have answered ({exchange.name}{asked_again})"
    )


def _until(state: RoundState) -> str:
    """Return when a round goes on by itself."""
    if state.phase in (Phase.LABELING, Phase.RESOLVING):
        return state.until
    exchange = state.exchange
    return exchange.until if state.active and exchange is not None and exchange.open else ""


def _minute(at: str) -> str:
    """Return a time as people read it, to the second and in UTC."""
    return datetime.fromisoformat(at).isoformat(sep=" ", timespec="seconds") if at else ""

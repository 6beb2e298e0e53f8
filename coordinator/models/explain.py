"""What people read of a trace: which function made the model change, and what without it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coordinator.models.trace import ANSWERS, Trace
from coordinator.rounds.campaign import STREAM, CampaignState, advance_campaign
from coordinator.rounds.events import Evaluated, Trained, load_event
from coordinator.rounds.gate import right_of
from coordinator.rounds.machine import Phase, RoundState
from coordinator.store.campaign import Store
from fieldvote.errors import InputError, nearest

Row = dict[str, str | int | float]

FEWEST = 10
"""With fewer judged answers nothing is said of what would be without a function."""
_MATTERS = 0.01  # of the loss; less is beneath what the estimate can see
_SHOWN = 12  # of a digest

DOUBT = (
    "an estimate from one linear step: the order is nearly always that of real retraining, the size"
    " may be off by two thirds of the largest, and a function that moved the model far is judged"
    " too harshly; whether others would then be trusted otherwise is left out"
)
"""What every number about a model without a function has to be read with."""

_OUTCOMES = {
    Phase.REJECTED: "refused",
    Phase.ROLLED_BACK: "rolled back",
    Phase.ABANDONED: "given up",
    Phase.DONE: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Who taught a head.

    Attributes:
        about: Which head, what taught it, and what it was judged by.
        rows: A line per function, and one for people's answers.
        doubt: What the numbers have to be read with.
    """

    about: Row
    rows: tuple[Row, ...]
    doubt: str


def list_versions(store: Store) -> list[Row]:
    """Return every head on the shelf in a line, oldest first."""
    campaign, rows = CampaignState(), dict[int, Row]()
    for kind, body in store.events(STREAM):
        event = load_event(kind, body)
        campaign = advance_campaign(campaign, event)
        match event:
            case Trained(round=number, model=model, parent=parent):
                rows[number] = {
                    "model": model[:_SHOWN],
                    "round": number,
                    "parent": parent[:_SHOWN],
                    "score": "",
                    "traced": "no",
                    "outcome": "",
                }
            case Evaluated(round=number, held_out=counts, trace=trace) if number in rows:
                right, items = right_of(counts)
                rows[number]["score"] = f"{right} of {items}" if items else ""
                rows[number]["traced"] = "yes" if trace else "no"
            case _:
                pass
        state = campaign.rounds[event.round]
        if event.round in rows:
            rows[event.round]["outcome"] = _OUTCOMES.get(state.phase, state.phase.value)
    for row in rows.values():
        if row["model"] == campaign.served[:_SHOWN] and row["round"] == campaign.served_since:
            row["outcome"] = "served"
        elif row["model"] == campaign.model[:_SHOWN] and not row["outcome"]:
            row["outcome"] = "newest"
    return list(rows.values())


def traced_round(store: Store, *, number: int | None = None, model: str = "") -> RoundState:
    """Return the round whose head is asked about: by number, by digest, or the newest traced.

    Raises:
        InputError: there is no such round or head, more than one, or nobody asked who taught it.
    """
    rounds = _rounds(store)
    if number is not None:
        found = [rounds[number]] if number in rounds else []
    elif model:
        found = [state for state in rounds.values() if state.model.startswith(model)]
    else:
        found = [state for state in rounds.values() if state.trace][-1:]
    if number is None and not model and not found:
        raise InputError(
            "no head was traced yet: devices are asked where votes teach, so set"
            " campaign.vote_weight above 0 and leave campaign.influence.enabled on; where the"
            " policy hides records, or the network itself is trained, nobody is asked"
        )
    if not found:
        what = f"round {number}" if number is not None else f"model '{model[:64]}'"
        raise InputError(f"no {what}; 'fieldvote models list' names those there are")
    if len({state.model for state in found}) > 1:
        raise InputError(f"model '{model[:64]}' begins several digests; write more of it")
    if not found[-1].trace:
        raise InputError(
            f"nobody asked who taught the head of round {found[-1].number}: no vote did, or it was"
            " trained before devices could be asked"
        )
    return found[-1]


def explain(trace: Trace, number: int) -> Explained:
    """Return which functions taught a head, those it would be better without first; answers last.

    Args:
        trace: Of the head.
        number: The round it is of.

    Raises:
        InputError: nobody was asked.
    """
    if not trace.behaviours:
        raise InputError(f"nobody asked who taught the head of round {number}: no vote did")
    changes, effects = trace.changes.sum(axis=1), trace.effects
    pulled = max(float(np.abs(changes).sum()), np.finfo(np.float64).tiny)
    answered = max(int(trace.answered.sum()), 1)
    without = effects.sum(axis=1)
    rows = []
    functions = np.argsort(without[:-1], kind="stable").tolist()
    for place in (*functions, len(functions)):
        name, version = _named(trace, place)
        row: Row = {
            "function": name,
            "version": version,
            "change_percent": round(100 * float(changes[place]) / pulled, 1),
            "without_it": round(float(without[place]) / answered, 5),
        }
        each = np.maximum(trace.answered, 1)
        by_behaviour = zip(trace.behaviours, (effects[place] / each).tolist(), strict=True)
        if len(trace.behaviours) > 1:
            row |= {f"without_it: {name}": round(value, 5) for name, value in by_behaviour}
        row["finding"] = finding(float(without[place]), trace)
        rows.append(row)
    return Explained(about=_about(trace, number), rows=tuple(rows), doubt=DOUBT)


def without_function(trace: Trace, number: int, wanted: str) -> Explained:
    """Return what a head's loss would be without one function, class by class.

    Args:
        trace: Of the head.
        number: The round it is of.
        wanted: A function's name, or NAME@VERSION.

    Raises:
        InputError: nobody was asked, or the head was taught by no such function.
    """
    place = place_of(trace.functions, wanted)
    whole = explain(trace, number)
    name, version = _named(trace, place)
    effects = trace.effects[place]
    rows: list[Row] = [
        _changed(behaviour, int(answers), float(loss), float(effect))
        for behaviour, answers, loss, effect in zip(
            trace.behaviours, trace.answered, trace.loss_nats, effects, strict=True
        )
    ]
    if len(rows) > 1:
        total = (int(trace.answered.sum()), float(trace.loss_nats.sum()), float(effects.sum()))
        rows.append(_changed("all", *total))
    about = {
        **whole.about,
        "without": f"{name}@{version}",
        "finding": finding(float(effects.sum()), trace),
    }
    return Explained(about=about, rows=tuple(rows), doubt=DOUBT)


def place_of(functions: Sequence[str], wanted: str) -> int:
    """Return the place of a function by its name, or by NAME@VERSION.

    Raises:
        InputError: there is none, or the version is another.

    >>> place_of(("a@1f", "b@2c"), "b"), place_of(("a@1f", "b@2c"), "a@1f")
    (1, 0)
    """
    name, _, version = wanted.partition("@")
    names = [each.partition("@")[0] for each in functions]
    if name not in names:
        raise InputError(f"no function '{name[:64]}' taught it; {nearest(name, names)}")
    place = names.index(name)
    there = functions[place].partition("@")[2]
    if version and not there.startswith(version):
        raise InputError(
            f"function '{name}' taught it as version {there}, not {version[:64]}; another round's"
            " head may have been taught by that: 'fieldvote models list'"
        )
    return place


def finding(without_nats: float, trace: Trace) -> str:
    """Return what an effect means, in words."""
    if int(trace.answered.sum()) < FEWEST:
        return f"under {FEWEST} judged answers: nothing can be said"
    if abs(without_nats) < _MATTERS * float(trace.loss_nats.sum()):
        return "hardly matters"
    return "missed" if without_nats > 0 else "better gone"


def _changed(name: str, answers: int, loss: float, effect: float) -> Row:
    """Return one line: the loss per answer now, and without the function."""
    n = max(answers, 1)
    return {
        "class": name,
        "answers": answers,
        "loss": round(loss / n, 5),
        "without_it": round((loss + effect) / n, 5),
        "difference": round(effect / n, 5),
    }


def _about(trace: Trace, number: int) -> Row:
    """Return which head a trace is of, and what it rests on."""
    answers = int(trace.answered.sum())
    return {
        "round": number,
        "model": trace.model[:_SHOWN],
        "trained_from": trace.base[:_SHOWN],
        "items_that_taught": trace.items,
        "judged_answers": answers,
        "loss": round(float(trace.loss_nats.sum()) / max(answers, 1), 5),
    }


def _named(trace: Trace, place: int) -> tuple[str, str]:
    """Return name and version of a row."""
    if place == len(trace.functions):
        return ANSWERS, ""
    name, _, version = trace.functions[place].partition("@")
    return name, version


def _rounds(store: Store) -> dict[int, RoundState]:
    """Return every round that trained a head, by number; the campaign remembers the last only."""
    campaign, found = CampaignState(), dict[int, RoundState]()
    for kind, body in store.events(STREAM):
        event = load_event(kind, body)
        campaign = advance_campaign(campaign, event)
        state = campaign.rounds[event.round]
        if state.model:
            found[event.round] = state
    return found

"""What people see of how a campaign steers itself: alarms, comparisons, strategies, its end."""

from collections.abc import Callable

from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.choosing import ARMS
from coordinator.rounds.discovery import suggestions
from coordinator.rounds.events import Compared, Event, Planned, Stopped, Watched
from coordinator.store.campaign import Store

Row = dict[str, str | int | float]


def line_of(event: Event) -> Row:
    """Return what an event adds to its round's line in a list; nothing for most."""
    match event:
        case Watched(fired=fired) if fired:
            return {"drift": "alarm"}
        case Watched(alarmed=alarmed):
            return {"drift": "on"} if alarmed else {}
        case Compared():
            return {"gain": f"{event.per_thousand:.2f}"}
        case Stopped():
            return {"ended": "the campaign"}
        case _:
            return {}


def rows_of(event: Event) -> Row:
    """Return what an event adds to what is shown of its round."""
    match event:
        case Planned():
            return {"strategy": event.strategy} if event.strategy else {}
        case Watched():
            row: Row = {"new_items": event.items}
            if event.fired:
                row["drift"] = f"alarm: {event.reason}"
            elif event.alarmed:
                row["drift"] = f"still on: {', '.join(event.alarmed)}"
            elif event.accepted:
                row["drift"] = "what was new is taken as usual now"
            return row
        case Compared():
            return {"gain_per_1000_labels": gain_told(event)}
        case Stopped():
            return {"campaign_ended": event.reason}
        case _:
            return {}


def gain_told(event: Compared) -> str:
    """Return a comparison in words.

    >>> gain_told(Compared(round=3, labels=20, better=9, worse=5, items=100, per_thousand=2.0,
    ...     low=-1.5, high=5.5))
    '2.00 (-1.50 to 5.50) more accuracy than random picks; 20 labels each, 100 items'
    """
    if not event.items:
        return "not known: no answers judge"
    return (
        f"{event.per_thousand:.2f} ({event.low:.2f} to {event.high:.2f}) more accuracy than random"
        f" picks; {event.labels} labels each, {event.items} items"
    )


def steering_rows(campaign: CampaignState) -> Row:
    """Return what a campaign's status says of how it steers itself; nothing where it does not."""
    steering, rows = campaign.steering, Row()
    drift = steering.drift
    if drift.since:
        rows["drift"] = "quiet"
    if drift.alarm:
        answer = f"round {drift.answer} is aimed at it" if drift.answer else "no round is aimed yet"
        rows["drift"] = f"alarm in round {drift.alarm}: {drift.about}; {answer}"
    if steering.gain.round:
        gain = steering.gain
        rows["gain_per_1000_labels"] = (
            f"{gain.per_thousand:.2f} ({gain.low:.2f} to {gain.high:.2f}), round {gain.round}"
        )
    if steering.plays:
        tried = [(name, sum(p.strategy == name for p in steering.plays)) for name in ARMS]
        rows["strategies"] = ", ".join(f"{name} {count}" for name, count in tried if count)
    if steering.stopped:
        rows["ended"] = steering.stopped
    return rows


def suggestion_rows(store: Store, least: int, classes: Callable[[], tuple[str, ...]]) -> Row:
    """Return what may be a class of its own, the largest group in words; nothing for none.

    Args:
        store: Of the campaign.
        least: So many items must look alike.
        classes: Returns the names of the task's classes; called where there is something to say.
    """
    found = suggestions(store, least=least)
    if not found:
        return {}
    more = f" ({len(found) - 1} more such groups)" if len(found) > 1 else ""
    return {"new_class": found[0].told(classes()) + more}

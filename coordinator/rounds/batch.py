"""How many items a round may ask for: what people can answer in time, and what they will cost."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from statistics import median

from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store

_LONGEST_S = 600.0  # a longer pause between two answers was spent on something else
_FEW = 5  # measured answers; fewer tell too little
_NEWEST = 500  # answers that are looked at


def answer_seconds(
    answers: Iterable[tuple[str, str]], *, newest: int = _NEWEST
) -> tuple[float, ...]:
    """Return how long answers lasted, where that is known: from one person's answer to the next.

    Who answers is shown the next item at once, so a pause of a few minutes is the time that the
    later answer took. The first of a session, and whatever came after a longer pause, is left out.

    Args:
        answers: Who gave each and when, in any order.
        newest: Of how many at most.

    >>> answer_seconds([("ann", "2026-01-01T12:00:00"), ("ann", "2026-01-01T12:00:09"),
    ...     ("bob", "2026-01-01T12:00:05"), ("ann", "2026-01-01T15:00:00")])
    (9.0,)
    """
    lately = sorted((at, who) for who, at in answers if at)[-newest:]
    people = dict[str, list[datetime]]()
    for at, who in lately:
        people.setdefault(who, []).append(datetime.fromisoformat(at))
    pauses = [
        (later - earlier).total_seconds()
        for times in people.values()
        for earlier, later in pairwise(times)
    ]
    return tuple(pause for pause in pauses if 0 < pause <= _LONGEST_S)


def seconds_per_answer(measured: Sequence[float], settings: CampaignSettings) -> float:
    """Return what an answer lasts: the median of those measured, else as the settings say.

    >>> seconds_per_answer([8.0, 9.0, 10.0, 12.0, 400.0], CampaignSettings(name="a"))
    10.0
    """
    if len(measured) < _FEW:
        return settings.capacity.minutes_per_answer * 60.0
    return float(median(measured))


def answers_per_hour(
    answers: Iterable[tuple[str, str]], settings: CampaignSettings
) -> float | None:
    """Return how many answers an hour everybody together gives; None where that is not known.

    Args:
        answers: Who gave each and when, in any order.
        settings: May say it.
    """
    if settings.capacity.answers_per_hour is not None:
        return settings.capacity.answers_per_hour
    said = list(answers)
    measured = answer_seconds(said)
    if len(measured) < _FEW:
        return None
    lately = sorted((at, who) for who, at in said if at)[-_NEWEST:]
    return 3600.0 / float(median(measured)) * len({who for _, who in lately})


def in_time(store: Store, settings: CampaignSettings) -> int | None:
    """Return how many items people can answer in a round's time; None where nothing limits that.

    What waits for them already comes first.
    """
    hours = settings.capacity.hours
    if hours is None:
        return None
    rate = answers_per_hour(store.answer_times(), settings)
    if rate is None:
        return None
    return max(int(rate * hours / settings.labeling.needed) - len(store.queue()), 1)

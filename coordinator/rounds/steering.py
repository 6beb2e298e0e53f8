"""What a campaign steers by: its watch over new items, what strategies have brought, when it ends.

A fold over the campaign's events, like the rest of its state. Nothing here decides: what was
decided is in the events.
"""

from dataclasses import dataclass, field, replace
from math import log

from coordinator.rounds.events import (
    Abandoned,
    Compared,
    Evaluated,
    Event,
    Planned,
    Resolved,
    Stopped,
    Watched,
)
from coordinator.rounds.gate import right_of
from coordinator.rounds.machine import RoundState
from coordinator.settings import CampaignSettings

AUTO, FLEET = "auto", "fleet"
_REMEMBERED = 64  # plays
_PER_LABELS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftState:
    """Where the watch over new items stands.

    Attributes:
        since: The round it began with; 0 where nobody watches.
        head: Digest of the head by which new items are counted.
        counts: Digest of what was counted by the last look.
        panel: Digest of what is known of each histogram.
        alarm: The round that raised the alarm that is on; 0 for none.
        about: That alarm in a sentence.
        aims: The classes that are predicted more since.
        answer: The round that was aimed at it; 0 for none yet.
        answered: Whether that round is over.
    """

    since: int = 0
    head: str = ""
    counts: str = ""
    panel: str = ""
    alarm: int = 0
    about: str = ""
    aims: tuple[float, ...] = ()
    answer: int = 0
    answered: bool = False

    @property
    def calls(self) -> bool:
        """Whether an alarm is on that no round was aimed at yet."""
        return bool(self.alarm) and not self.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A round that chose by one of several strategies, and what it brought.

    Attributes:
        round: Which.
        strategy: By which.
        labels: How many labels it came to.
        reward: By how much they brought the log of the error down, per 100 labels.
        known: Whether that is known.
    """

    round: int
    strategy: str
    labels: int = 0
    reward: float = 0.0
    known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GainState:
    """What choosing has brought over picking at random, when it was last compared.

    Attributes:
        round: In which round; 0 for never.
        labels: How many labels each head was trained on.
        per_thousand: Difference of accuracy for each 1,000 labels.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    round: int = 0
    labels: int = 0
    per_thousand: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What a campaign steers by.

    Attributes:
        drift: Its watch over new items.
        plays: Rounds by strategy; those whose reward is known first, in the order it came.
        gain: The newest comparison with random picks.
        stopped: Why no round begins any more; empty while they do.
    """

    drift: DriftState = field(default_factory=DriftState)
    plays: tuple[Play, ...] = ()
    gain: GainState = field(default_factory=GainState)
    stopped: str = ""


def steered(
    steering: Steering, event: Event, state: RoundState, *, model: str, scored: tuple[int, ...]
) -> Steering:
    """Return what a campaign steers by after an event of one of its rounds.

    Args:
        steering: Before it.
        event: What happened.
        state: The round after it.
        model: Digest of the campaign's newest head before it.
        scored: Confusion counts of that head.
    """
    match event:
        case Planned():
            steering = _planned(steering, event, model)
        case Watched():
            steering = replace(steering, drift=_watched(steering.drift, event))
        case Resolved(labels=labels):
            steering = _with_play(steering, event.round, labels=labels)
        case Evaluated(held_out=counts):
            steering = _rewarded(steering, event.round, scored, counts)
        case Compared() if event.items:
            gain = GainState(
                round=event.round,
                labels=event.labels,
                per_thousand=event.per_thousand,
                low=event.low,
                high=event.high,
            )
            steering = replace(steering, gain=gain)
        case Stopped(reason=reason):
            steering = replace(steering, stopped=reason)
        case Abandoned():
            steering = _without_play(steering, event.round)
        case _:
            pass
    drift = steering.drift
    if drift.answer and drift.answer == state.number and state.over and not drift.answered:
        steering = replace(steering, drift=replace(drift, answered=True))
    return steering


def strategy_of(state: RoundState, settings: CampaignSettings) -> str:
    """Return how a round chooses.

    >>> strategy_of(RoundState(strategy="margin"), CampaignSettings(name="a", strategy="auto"))
    'margin'
    """
    if settings.strategy != AUTO:
        return settings.strategy
    return state.strategy or FLEET


def _planned(steering: Steering, event: Planned, model: str) -> Steering:
    """Return what follows from a round that begins: somebody wants it, whatever had ended it."""
    drift, plays = steering.drift, steering.plays
    if event.watch == event.round:
        drift = DriftState(since=event.round, head=model)
    if event.kind == "drift":
        drift = replace(drift, answer=event.round, answered=False)
    if event.strategy:
        plays = (*plays, Play(round=event.round, strategy=event.strategy))[-_REMEMBERED:]
    return replace(steering, drift=drift, plays=plays, stopped="")


def _watched(drift: DriftState, event: Watched) -> DriftState:
    """Return the watch after a look."""
    drift = replace(drift, counts=event.counts, panel=event.panel)
    if event.accepted or not event.alarmed:
        drift = replace(drift, alarm=0, about="", aims=(), answer=0, answered=False)
    if event.fired:
        about, aims = event.reason, event.aims
        drift = replace(drift, alarm=event.round, about=about, aims=aims, answer=0, answered=False)
    return drift


def _rewarded(
    steering: Steering, number: int, before: tuple[int, ...], after: tuple[int, ...]
) -> Steering:
    """Return the plays with what a round's labels brought, where two heads can be compared."""
    play = next((play for play in steering.plays if play.round == number), None)
    if play is None or play.known:
        return steering
    if not sum(before) or not sum(after) or not play.labels:
        return _without_play(steering, number)
    reward = (_log_error(before) - _log_error(after)) * _PER_LABELS / play.labels
    known = [other for other in steering.plays if other.known]
    waiting = [other for other in steering.plays if not other.known and other.round != number]
    play = replace(play, reward=round(reward, 9), known=True)
    return replace(steering, plays=(*known, play, *waiting))


def _log_error(counts: tuple[int, ...]) -> float:
    """Return the log of the share that is wrong, one wrong and one right answer added."""
    right, items = right_of(counts)
    return log((items - right + 1) / (items + 2))


def _with_play(steering: Steering, number: int, *, labels: int) -> Steering:
    plays = (replace(p, labels=labels) if p.round == number else p for p in steering.plays)
    return replace(steering, plays=tuple(plays))


def _without_play(steering: Steering, number: int) -> Steering:
    plays = (play for play in steering.plays if play.round != number or play.known)
    return replace(steering, plays=tuple(plays))

"""A campaign: its rounds, some of them at the same time, and what they have come to so far.

A fold over the campaign's stream, like a round's: pure and total, so a crash loses nothing and a
snapshot of it may stand in for the events before.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace

from coordinator.rounds.events import (
    Evaluated,
    Event,
    Opened,
    Planned,
    Recast,
    Resolved,
    Reverted,
    RoundKind,
    Stopped,
    load_event,
)
from coordinator.rounds.machine import Phase, RoundState, advance
from coordinator.rounds.steering import Steering, steered
from coordinator.store.campaign import Store
from fieldvote.errors import DataError, SettingsError
from fieldvote.settings import parse_settings

STREAM = "rounds"
"""What the store calls the events of a campaign."""

_REMEMBERED = 32  # rounds that are over; whoever wants more reads the stream

_RANKS: Mapping[RoundKind, int] = {"incident": 0, "drift": 1, "ordinary": 2}

_HOLDING = frozenset(
    {
        Phase.FITTING, Phase.SNAPSHOT, Phase.TRAINING, Phase.EVALUATING, Phase.GATE, Phase.CANARY,
        Phase.ROLLING_OUT,
    }
)  # fmt: skip
"""Phases only one round may be in: each model has one parent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignState:
    """Where a campaign stands.

    Attributes:
        rounds: Rounds by number: all that are not over, and the last of those that are.
        last: Highest number given.
        planned_at: When the newest round began.
        asked_at: Since when a round's candidates are with people, for the last rounds.
        model: Digest of the newest head that no gate refused; new rounds start from it.
        served: Digest of the head the fleet serves; empty before the first roll-out.
        served_since: The round that rolled it out.
        served_serial: Its head's place in the order of heads.
        serial: The highest place in the order of heads that was given.
        scored: Confusion counts of `model` on held-out devices.
        judged: The same of the head that is judged now.
        fates: What became of what the head before that one knew; empty where it was not counted.
        labels: How many labels were resolved.
        steering: Its watch over new items, what strategies have brought, when it ends.
        vote_weight: What all votes together weigh, alone in here; empty while none was chosen.
    """

    rounds: Mapping[int, RoundState] = field(default_factory=dict)
    last: int = 0
    planned_at: str = ""
    asked_at: Mapping[int, str] = field(default_factory=dict)
    model: str = ""
    served: str = ""
    served_since: int = 0
    served_serial: int = 0
    serial: int = 0
    scored: tuple[int, ...] = ()
    judged: tuple[int, ...] = ()
    labels: int = 0
    fates: tuple[int, ...] = ()
    steering: Steering = field(default_factory=Steering)
    vote_weight: tuple[float, ...] = ()

    def next_serial(self, *, taken_back: bool = False) -> int:
        """Return the next place in the order of heads: even for a new one, odd for one before it.

        >>> CampaignState(serial=3).next_serial(), CampaignState(serial=4).next_serial()
        (4, 6)
        >>> CampaignState(serial=3).next_serial(taken_back=True)
        5
        """
        place = self.serial + 1
        return place + (place % 2 != taken_back)

    @property
    def newest(self) -> RoundState:
        """The round that began last; one that has not begun where there is none."""
        return self.rounds.get(self.last, RoundState())

    @property
    def open(self) -> list[RoundState]:
        """Rounds that are not over: incidents first, then what is new, then the oldest first."""
        rounds = [state for state in self.rounds.values() if not state.over]
        return sorted(rounds, key=lambda state: (_RANKS[state.kind], state.number))

    @property
    def learning(self) -> int:
        """The round that has the model in hand, or is the next to; 0 for none.

        A round that is held keeps it.
        """
        places = [(s.held if s.held is not Phase.NONE else s.phase, s.number) for s in self.open]
        for wanted in (_HOLDING, {Phase.RESOLVING}):
            for place, number in places:
                if place in wanted:
                    return number
        return 0


def advance_campaign(campaign: CampaignState, event: Event) -> CampaignState:
    """Return the campaign after an event; the same one if the event changes nothing."""
    before = campaign.rounds.get(event.round, RoundState())
    if isinstance(event, Planned) and event.round != campaign.last + 1:
        return campaign
    after = advance(before, event)
    steering = steered(
        campaign.steering, event, after, model=campaign.model, scored=campaign.scored
    )
    if isinstance(event, Stopped):
        ends = event.round == campaign.last and not campaign.steering.stopped
        return replace(campaign, steering=steering) if ends else campaign
    if after is before:
        return campaign
    moved = replace(
        campaign, rounds=_kept({**campaign.rounds, after.number: after}), steering=steering
    )
    match event:
        case Planned():
            moved = replace(moved, last=event.round, planned_at=event.at)
        case Opened():
            asked = {**moved.asked_at, event.round: event.at}
            moved = replace(moved, asked_at=dict(sorted(asked.items())[-_REMEMBERED:]))
        case Resolved():
            moved = replace(moved, labels=moved.labels + event.answers)
        case Evaluated():
            moved = replace(moved, judged=event.held_out, fates=event.fates)
        case Recast(vote_weight=(_,)):
            moved = replace(moved, vote_weight=event.vote_weight)
        case Reverted():
            moved = replace(moved, serial=max(moved.serial, event.serial))
        case _:
            pass
    return moved if after.phase is before.phase else _moved_on(moved, before, after)


def _moved_on(campaign: CampaignState, before: RoundState, after: RoundState) -> CampaignState:
    """Return the campaign with what follows from a round's change of phase."""
    if before.phase is Phase.GATE and after.phase in (Phase.CANARY, Phase.DONE):
        campaign = replace(
            campaign,
            model=after.model,
            scored=campaign.judged,
            serial=max(campaign.serial, after.serial),
        )
    if before.phase is Phase.ROLLING_OUT and after.phase is Phase.DONE:
        campaign = replace(
            campaign, served=after.model, served_since=after.number, served_serial=after.serial
        )
    if after.phase is Phase.ROLLED_BACK and campaign.model == after.model:
        campaign = replace(campaign, model=after.parent, scored=())
    if after.phase is Phase.ROLLED_BACK and campaign.served == after.model:
        before_it = [n for n, state in campaign.rounds.items() if state.model == after.parent]
        campaign = replace(
            campaign,
            served=after.parent,
            served_since=max(before_it, default=0) if after.parent else 0,
            served_serial=campaign.serial,
        )
    return campaign


def _kept(rounds: Mapping[int, RoundState]) -> dict[int, RoundState]:
    """Return the rounds without the oldest of those that are over."""
    over = sorted(number for number, state in rounds.items() if state.over)
    dropped = set(over[: max(len(over) - _REMEMBERED, 0)])
    return {number: state for number, state in rounds.items() if number not in dropped}


def replay_campaign(
    events: Iterable[Event], campaign: CampaignState = CampaignState()
) -> CampaignState:
    """Return the campaign that a history leads to, from a snapshot of what came before it."""
    for event in events:
        campaign = advance_campaign(campaign, event)
    return campaign


def dump_campaign(campaign: CampaignState) -> bytes:
    """Return a snapshot of a campaign."""
    whole = asdict(campaign) | {
        "rounds": [
            # what a round has not begun yet is left out, as a settings table has no nothing
            {name: value for name, value in asdict(state).items() if value is not None}
            for state in campaign.rounds.values()
        ],
        "asked_at": [{"round": number, "at": at} for number, at in campaign.asked_at.items()],
    }
    return json.dumps(whole, separators=(",", ":"), default=lambda phase: phase.value).encode()


def load_campaign(snapshot: bytes) -> CampaignState:
    """Undo dump_campaign.

    Raises:
        DataError: these bytes are no snapshot of this program's; the events say the same.
    """
    try:
        flat = parse_settings(json.loads(snapshot), _Flat, "snapshot")
    except (ValueError, RecursionError, SettingsError) as err:
        raise DataError(f"a snapshot of the campaign cannot be read: {err}") from err
    return CampaignState(
        rounds={state.number: state for state in flat.rounds},
        last=flat.last,
        planned_at=flat.planned_at,
        asked_at={asked.round: asked.at for asked in flat.asked_at},
        model=flat.model,
        served=flat.served,
        served_since=flat.served_since,
        served_serial=flat.served_serial,
        serial=flat.serial,
        scored=flat.scored,
        judged=flat.judged,
        labels=flat.labels,
        fates=flat.fates,
        steering=flat.steering,
        vote_weight=flat.vote_weight,
    )


def keep_snapshot(store: Store, version: int, campaign: CampaignState) -> None:
    """Keep where a campaign stands after its event of this number."""
    with store.transaction():
        store.keep_snapshot(STREAM, version, dump_campaign(campaign))


def load_state(store: Store) -> tuple[int, CampaignState]:
    """Return how many events a campaign has, and where they lead.

    A snapshot stands in for the events before it; one that cannot be read is passed over.
    """
    version, campaign = 0, CampaignState()
    try:
        kept = store.snapshot(STREAM)
        if kept is not None:
            version, campaign = kept[0] + 1, load_campaign(kept[1])
    except DataError:
        pass  # the events say the same
    rows = store.events(STREAM, after=version - 1)
    return version + len(rows), replay_campaign((load_event(*row) for row in rows), campaign)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AskedAt:
    round: int
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flat:
    """A campaign's state as JSON has it."""

    rounds: tuple[RoundState, ...]
    last: int
    planned_at: str
    asked_at: tuple[_AskedAt, ...]
    model: str
    served: str
    served_since: int
    served_serial: int
    serial: int
    scored: tuple[int, ...]
    judged: tuple[int, ...]
    labels: int
    fates: tuple[int, ...] = ()
    steering: Steering = field(default_factory=Steering)
    vote_weight: tuple[float, ...] = ()

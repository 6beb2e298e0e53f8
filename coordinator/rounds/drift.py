"""The watch over new items: what devices are asked, and the look at what came, once a round.

What all rounds since the watch began have counted is one sum, so what comes late is in a later
look. A look compares what is new in that sum with the rounds before, keeps what it learnt as an
artifact, and is told by one event, in the transaction that selects.

Under a policy that hides records a survey asks for no histograms. They are a noised sum of all
devices then, asked for before the round's label model is fitted, and a look knows their noise.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from coordinator.arrivals import ArrivalSums
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Event, Watched
from coordinator.rounds.machine import RoundState
from coordinator.rounds.parts import Parts
from coordinator.rounds.steering import DriftState
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.codec import IntVector
from fieldvote.errors import DataError, SettingsError
from fieldvote.heads import HeadModel
from fieldvote.settings import parse_settings
from fieldvote.task import Task
from strategies.arrivals import Layout
from strategies.drift import DriftRule, Watch
from strategies.drift_panel import TOGETHER, Panel

_TOLD = 3  # histograms that a sentence names


@dataclass(frozen=True, slots=True, kw_only=True)
class CountNoise:
    """The noise in what a round has counted.

    Attributes:
        steps: Parts of one in which everything is counted.
        stddev: Of the noise on each number, in those.
    """

    steps: int = 1
    stddev: float = 0.0


EXACT = CountNoise()


class DriftWatch:
    """One campaign's watch over new items."""

    def __init__(self, parts: Parts, record: Callable[[Event], None]) -> None:
        """Keep the parts; record appends an event inside the current transaction."""
        self._parts = parts
        self._record = record
        self._store = parts.store

    def asked(self, state: RoundState, campaign: CampaignState) -> HeadModel | None:
        """Return the head by which a survey counts new items; None where none does."""
        return None if self._parts.task.policy.privacy.on else self.head(state, campaign)

    def head(self, state: RoundState, campaign: CampaignState) -> HeadModel | None:
        """Return the head a round's devices count new items by; None where nobody watches.

        A watch that was begun anew since the round was planned is not its business.
        """
        drift = campaign.steering.drift
        if not state.watch or state.watch != drift.since or not drift.head:
            return None
        return self._parts.shelf.get(drift.head)

    def noised(self, state: RoundState, campaign: CampaignState) -> HeadModel | None:
        """Return the head by which noised histograms are counted; None where none are looked at.

        What another release's functions were counted by is no part of this sum: the next round
        begins a watch of its own.
        """
        sums = self.sums(state)
        if sums is None or state.looked:
            return None
        found = self._store.total(sums.name)
        fits = found is None or len(found) == sums.layout.length
        return self.head(state, campaign) if fits else None

    def fresh(self, state: RoundState, campaign: CampaignState) -> int:
        """Return since which round items are what a round is about; 0 where it is about all."""
        return campaign.steering.drift.alarm if state.kind == "drift" else 0

    def sums(self, state: RoundState) -> ArrivalSums | None:
        """Return where a round's histograms are added up; None where nobody watches."""
        if not state.watch:
            return None
        noisy = self._parts.settings.drift.noise_stddev > 0
        return ArrivalSums(since=state.watch, layout=layout_of(self._parts.task), noisy=noisy)

    def look(self, state: RoundState, campaign: CampaignState, noise: CountNoise = EXACT) -> None:
        """Compare what is new with the rounds before; the caller holds the transaction."""
        drift, sums = campaign.steering.drift, self.sums(state)
        if sums is None or state.watch != drift.since or state.looked:
            return
        found = self._store.total(sums.name)
        total = np.zeros(sums.layout.length, dtype=np.int64) if found is None else found
        if len(total) != sums.layout.length:
            return  # of another release's functions: the next round begins a watch of its own
        before = read_panel(self._store.artifact(drift.panel)) if drift.panel else None
        counted = read_counts(self._store.artifact(drift.counts)) if drift.counts else None
        seen = look(before, counted, total, drift, sums.layout, self._parts.settings, noise)
        self._record(
            Watched(
                round=state.number,
                counts=self._store.keep_artifact(write_counts(total)),
                panel=self._store.keep_artifact(write_panel(seen.panel)),
                items=seen.items,
                fired=seen.panel.fired,
                alarmed=seen.panel.alarmed,
                accepted=seen.accepted,
                reason=told(seen.panel, self._parts.task) if seen.panel.fired else "",
                aims=seen.panel.grown() if seen.panel.fired else (),
                steps=noise.steps,
                noise=noise.stddev,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look came to.

    Attributes:
        panel: What is known of each histogram now.
        items: How many items were new.
        accepted: Whether what the last alarm was about counts as usual from here on.
    """

    panel: Panel
    items: int
    accepted: bool


def look(
    before: Panel | None,
    counted: IntVector | None,
    total: IntVector,
    drift: DriftState,
    layout: Layout,
    settings: CampaignSettings,
    noise: CountNoise = EXACT,
) -> Look:
    """Return what a look at a sum comes to; a function of what is kept and nothing else.

    Args:
        before: What was known of each histogram; None at the first look.
        counted: What the sum was at the last look; None at the first.
        total: What it is now.
        drift: Where the watch stands.
        layout: Where each histogram stands.
        settings: When to raise an alarm.
        noise: In these sums.
    """
    panel = Panel.over(layout) if before is None else before
    accepted = drift.answered and bool(panel.alarmed)
    if accepted:
        # people have labeled what was new, and a head was trained on it: it is what is usual now
        panel = panel.accepted()
    counts = (total if counted is None else total - counted) / noise.steps
    rule = DriftRule(
        divergence=settings.drift.divergence,
        odds=settings.drift.odds,
        noise_stddev=noise.stddev / noise.steps or settings.drift.noise_stddev,
    )
    return Look(panel=panel.saw(counts, rule), items=max(round(counts[0]), 0), accepted=accepted)


def looked_again(
    store: Store, task: Task, settings: CampaignSettings, drift: DriftState, event: Watched
) -> tuple[str, str]:
    """Make a look again from what is kept; return what was recorded and what came of it now.

    Args:
        store: Holds the counts and the panel before.
        task: Names the histograms.
        settings: When to raise an alarm.
        drift: Where the watch stood before the look.
        event: The look.
    """
    before = read_panel(store.artifact(drift.panel)) if drift.panel else None
    counted = read_counts(store.artifact(drift.counts)) if drift.counts else None
    total = read_counts(store.artifact(event.counts))
    noise = CountNoise(steps=event.steps, stddev=event.noise)
    seen = look(before, counted, total, drift, layout_of(task), settings, noise)
    again = sha256(write_panel(seen.panel)).hexdigest()
    said = ("; ".join(event.fired) or "quiet", "; ".join(seen.panel.fired) or "quiet")
    return f"{event.panel[:12]}, {said[0]}", f"{again[:12]}, {said[1]}"


def may_watch(task: Task) -> bool:
    """Return whether a task's policy lets histograms of new items leave, exact or noised."""
    privacy = task.policy.privacy
    return not privacy.on or privacy.split.watch > 0


def layout_of(task: Task) -> Layout:
    """Return where the histograms of a task stand."""
    return Layout(classes=len(task.classes), functions=len(task.functions))


def told(panel: Panel, task: Task) -> str:
    """Return an alarm in a sentence: what moved, the farthest first, and towards which classes."""
    far = sorted(panel.watches.items(), key=lambda pair: -pair[1].divergence)
    moved = ", ".join(
        f"{_named(name, task)} by {watch.divergence:.3f}" for name, watch in far[:_TOLD]
    )
    together = "" if panel.fired != (TOGETHER,) else ", each a little"
    grown = [
        (share, name) for share, name in zip(panel.grown(), task.classes, strict=True) if share
    ]
    more = f"; more is taken for {max(grown)[1]}" if grown else ""
    return f"new items differ{together}: {moved} nats{more}"


def _named(histogram: str, task: Task) -> str:
    """Return a histogram as people know it."""
    kind, _, place = histogram.partition(" ")
    if kind == "function":
        return f"how often {task.functions[int(place)].id} fires"
    if kind == "direction":
        return f"feature {histogram}"
    return histogram


def write_counts(vector: IntVector) -> bytes:
    """Return counts as they are kept."""
    return vector.astype("<i8").tobytes()


def read_counts(blob: bytes) -> NDArray[np.int64]:
    """Undo write_counts.

    Raises:
        DataError: these are not whole numbers of eight bytes.
    """
    if len(blob) % 8:
        raise DataError(f"{len(blob)} bytes that are no counts")
    return np.frombuffer(blob, dtype="<i8").astype(np.int64)


def write_panel(panel: Panel) -> bytes:
    """Return what is known of histograms as it is kept."""
    whole = asdict(panel) | {
        "watches": [{"name": name, **asdict(watch)} for name, watch in panel.watches.items()]
    }
    return json.dumps(whole, separators=(",", ":"), sort_keys=True).encode()


def read_panel(blob: bytes) -> Panel:
    """Undo write_panel.

    Raises:
        DataError: these bytes are no panel of this program's.
    """
    try:
        whole = json.loads(blob)
        watches = {
            each.pop("name"): parse_settings(each, Watch, "a watch") for each in whole["watches"]
        }
        flat = parse_settings(whole | {"watches": []}, _Flat, "a panel")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SettingsError) as err:
        raise DataError(f"what is known of new items cannot be read: {err}") from err
    return Panel(
        layout=flat.layout,
        watches=watches,
        quiet=flat.quiet,
        since=flat.since,
        held=flat.held,
        doubt=flat.doubt,
        means=flat.means,
        together=flat.together,
        fired=flat.fired,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flat:
    """A panel as JSON has it, without its watches."""

    layout: Layout
    watches: tuple[str, ...]
    quiet: tuple[float, ...]
    since: tuple[float, ...]
    held: tuple[float, ...]
    doubt: float
    means: tuple[float, ...]
    together: bool
    fired: tuple[str, ...]

"""Rebuilding a round from its events and artifacts: the same bytes, or where they part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from coordinator.labels.consensus import Verdict, judge
from coordinator.models.shelf import Shelf, digest_of
from coordinator.models.totals import (
    Snapshot,
    environment,
    load_settings_text,
    read_parameters,
    write_parameters,
)
from coordinator.models.training import Trained as Solved
from coordinator.rounds.agreement import fit_again, fit_of
from coordinator.rounds.campaign import CampaignState, advance_campaign
from coordinator.rounds.events import (
    Agreed,
    Closed,
    Evaluated,
    Event,
    Passed,
    Refused,
    Resolved,
    Selected,
    Snapshotted,
    Trained,
)
from coordinator.rounds.gate import is_clearly_worse
from coordinator.rounds.judging import read_sums
from coordinator.rounds.learning import begin
from coordinator.rounds.selection import grant, unpack_offers
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.errors import InputError
from fieldvote.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """One step of a round, made again.

    Attributes:
        step: Which.
        recorded: What the round's events say.
        rebuilt: What came of it now.
    """

    step: str
    recorded: str
    rebuilt: str

    @property
    def same(self) -> bool:
        """Whether both are the same to the bit."""
        return self.recorded == self.rebuilt


def reproduce(
    store: Store, task: Task, settings: CampaignSettings, events: Sequence[Event], number: int
) -> list[Rebuilt]:
    """Make every decision and every model of a round again.

    Args:
        store: Holds the artifacts the events name.
        task: The task of the campaign.
        settings: Used for steps before the round kept its own.
        events: The campaign's stream.
        number: Which round.

    Raises:
        InputError: there is no such round.
        DataError: an artifact is missing, or is not what its name says.
    """
    ours = [event for event in events if event.round == number]
    if not ours:
        raise InputError(f"there is no round {number}")
    for event in ours:
        if isinstance(event, Snapshotted):
            kept = Snapshot.from_bytes(store.artifact(event.inputs))
            settings = load_settings_text(kept.settings)
    return list(_steps(store, task, settings, events, number))


def _steps(
    store: Store,
    task: Task,
    settings: CampaignSettings,
    events: Sequence[Event],
    number: int,
) -> Iterator[Rebuilt]:
    """Walk through the campaign, and make again what belongs to the round."""
    campaign = CampaignState()
    base, inputs, label_model = "", "", ""
    legs: dict[str, list[str]] = {}
    for event in events:
        before, campaign = campaign, advance_campaign(campaign, event)
        if event.round != number:
            continue
        first = campaign.rounds[number].first
        match event:
            case Selected():
                yield _selection(store, settings, event, first=first)
            case Resolved():
                base = event.base
                yield _labels(store, settings, number)
            case Snapshotted():
                inputs = event.inputs
                yield from _inputs(store, task, inputs)
            case Agreed():
                label_model = event.label_model
                yield _agreement(store, settings, task, event, inputs, legs.get("votes", []))
            case Closed(sums=sums) if sums:
                legs.setdefault(event.exchange, []).append(sums)
            case Trained():
                yield _training(
                    store, settings, task, event, (base, inputs, label_model), legs.get("train", [])
                )
            case Evaluated():
                yield _evaluation(store, event, legs["evaluate"][-1])
            case Passed() | Refused():
                worse = is_clearly_worse(before.scored, before.judged, doubt=settings.rollout.doubt)
                yield Rebuilt(
                    step="gate",
                    recorded=type(event).__name__.lower(),
                    rebuilt="refused" if worse else "passed",
                )
            case _:
                pass


def _labels(store: Store, settings: CampaignSettings, number: int) -> Rebuilt:
    """Judge again what people said of every item whose label first counted in this round."""
    recorded, rebuilt = sha256(), sha256()
    for kept in store.kept_labels():
        if kept.counted == number:
            label = kept.label
            recorded.update(b"%s %d %s\n" % (label.item, label.label, label.method.encode()))
            said = judge([answer for answer, _ in kept.answers], settings.labeling)
            again = (said.label, said.method) if isinstance(said, Verdict) else (-1, said.name)
            rebuilt.update(b"%s %d %s\n" % (label.item, again[0], again[1].encode()))
    return Rebuilt(step="labels", recorded=recorded.hexdigest(), rebuilt=rebuilt.hexdigest())


def _selection(
    store: Store, settings: CampaignSettings, event: Selected, *, first: bool
) -> Rebuilt:
    """Choose again from the offers that were considered."""
    offers = unpack_offers(store.artifact(event.considered))
    chosen = grant(offers, settings, number=event.round, most=event.most, first=first)
    return Rebuilt(
        step="selection",
        recorded=_items(event.items),
        rebuilt=_items([offer.item.hex() for offer in chosen]),
    )


def _inputs(store: Store, task: Task, digest: str) -> Iterator[Rebuilt]:
    """Look whether task and programs are those the sums were kept under."""
    kept = Snapshot.from_bytes(store.artifact(digest))
    yield Rebuilt(step="task", recorded=kept.task[:12], rebuilt=task.digest[:12])
    yield Rebuilt(step="environment", recorded=kept.environment, rebuilt=environment())


def _agreement(
    store: Store,
    settings: CampaignSettings,
    task: Task,
    event: Agreed,
    inputs: str,
    legs: Sequence[str],
) -> Rebuilt:
    """Fit the label model again, to the kept sums and what devices said of their votes."""
    fit = fit_of(task, Snapshot.from_bytes(store.artifact(inputs)), settings)
    sums = [read_sums(store.artifact(digest)).held_out for digest in legs]
    again = fit_again(fit, sums)
    rebuilt = "unfinished: an exchange is missing"
    if again is not None:
        rebuilt = sha256(write_parameters(again)).hexdigest()[:12]
    return Rebuilt(step="label model", recorded=event.label_model[:12], rebuilt=rebuilt)


def _training(
    store: Store,
    settings: CampaignSettings,
    task: Task,
    event: Trained,
    start: tuple[str, str, str],
    legs: Sequence[str],
) -> Rebuilt:
    """Solve the head again from the kept sums of every leg."""
    base = Shelf(store).get(start[0])
    snapshot = Snapshot.from_bytes(store.artifact(start[1]))
    label_model = read_parameters(store.artifact(start[2]))
    work = begin(event.round, base, snapshot, settings, len(task.functions), label_model)
    for digest in legs:
        work.send(read_sums(store.artifact(digest)).held_out)
    solved = work.asked
    if not event.exchanges:
        solved = Solved(model=base, exchanges=0)
    rebuilt = "unfinished: a leg is missing"
    if isinstance(solved, Solved):
        rebuilt = digest_of(replace(solved.model, parent=event.parent))[:12]
    return Rebuilt(step="model", recorded=event.model[:12], rebuilt=rebuilt)


def _evaluation(store: Store, event: Evaluated, digest: str) -> Rebuilt:
    """Count again from the kept sums."""
    sums = read_sums(store.artifact(digest))
    return Rebuilt(
        step="evaluation",
        recorded=_vector(np.array(event.held_out + event.random_arm)),
        rebuilt=_vector(np.concatenate([sums.held_out, sums.random_arm])),
    )


def _items(items: Sequence[str]) -> str:
    """Return how many items, and a digest of which and in which order."""
    return f"{len(items)} items, {_digest(' '.join(items).encode())}"


def _vector(vector: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    """Return a digest of an array's bits."""
    return f"{vector.size} numbers, {_digest(np.ascontiguousarray(vector).tobytes())}"


def _digest(blob: bytes) -> str:
    return sha256(blob).hexdigest()[:12]

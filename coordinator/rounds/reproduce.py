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
from coordinator.rounds.agreement import fit_of
from coordinator.rounds.allocation import wishes_of
from coordinator.rounds.calibrating import evaluated
from coordinator.rounds.campaign import CampaignState, advance_campaign
from coordinator.rounds.drift import looked_again
from coordinator.rounds.events import (
    Agreed,
    Closed,
    Compared,
    Evaluated,
    Event,
    Passed,
    Recast,
    Refused,
    Resolved,
    Selected,
    Snapshotted,
    Trained,
    Watched,
)
from coordinator.rounds.gain import compared_again
from coordinator.rounds.gate import is_clearly_worse, verdict_of
from coordinator.rounds.governing import Governing, govern_round, write_rule
from coordinator.rounds.groups import steps_of
from coordinator.rounds.influence import found_again, in_words
from coordinator.rounds.judging import LegSums, read_sums
from coordinator.rounds.keeping import Kept, kept_in
from coordinator.rounds.learning import begin
from coordinator.rounds.machine import RoundState
from coordinator.rounds.private_sums import label_model_of_noised, next_leg
from coordinator.rounds.recipe_choice import recast_again
from coordinator.rounds.selection import grant, unpack_offers
from coordinator.rounds.steering import strategy_of
from coordinator.settings import CampaignSettings
from coordinator.store.campaign import Store
from fieldvote.conversation import replay
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
        state = campaign.rounds[number]
        match event:
            case Watched():
                drift = before.steering.drift
                recorded, again = looked_again(store, task, settings, drift, event)
                yield Rebuilt(step="drift", recorded=recorded, rebuilt=again)
            case Selected():
                yield _selection(store, settings, event, state)
            case Resolved():
                base = event.base
                yield _labels(store, settings, number)
            case Snapshotted():
                inputs = event.inputs
                yield from _inputs(store, task, inputs)
            case Agreed():
                label_model = event.label_model
                told = legs.get("votes", [])
                fitted, governed = told[: event.exchanges], told[event.exchanges :]
                yield _agreement(store, settings, task, event, inputs, fitted)
                if event.teaching:
                    trained = bool(campaign.rounds[number].parent)
                    kept = Snapshot.from_bytes(store.artifact(inputs))
                    talk = govern_round(task, kept, settings, trained=trained)
                    yield _rule(store, event, talk, governed)
            case Recast():
                told = legs.get("recast", [])
                yield _recast(store, settings, event, (base, inputs), told)
                base, inputs = event.base, event.inputs
            case Closed(sums=sums) if sums:
                legs.setdefault(event.exchange, []).append(sums)
            case Trained():
                start = (base, inputs, label_model)
                keeps = kept_in(store, task, settings, before.rounds[number], before)
                summed = legs.get("train", [])
                yield _training(store, settings, task, event, start, summed, keeps)
            case Compared():
                yield _gain(store, settings, event, base, legs.get("compare", []))
            case Evaluated():
                if event.trace or event.fates:
                    told = legs.get("influence", [])
                    found = found_again(store, task, settings, before, number, told)
                    said = (event.trace, event.fates)
                    yield Rebuilt(
                        step="influence", recorded=in_words(*said), rebuilt=in_words(*found)
                    )
                yield _evaluation(event, read_sums(store.artifact(legs["evaluate"][-1])), task)
            case Passed() | Refused():
                verdict = verdict_of(
                    before.scored,
                    before.judged,
                    before.fates,
                    settings.retention,
                    task.classes,
                    worse=is_clearly_worse(
                        before.scored, before.judged, doubt=settings.rollout.doubt
                    ),
                )
                yield Rebuilt(
                    step="gate",
                    recorded=type(event).__name__.lower(),
                    rebuilt="refused" if verdict.refused else "passed",
                )
            case _:
                pass


def _gain(
    store: Store, settings: CampaignSettings, event: Compared, base: str, legs: Sequence[str]
) -> Rebuilt:
    """Compare chosen labels with random ones again, from the kept sums of every leg."""
    sums = [read_sums(store.artifact(digest)).held_out for digest in legs]
    again = compared_again(store, settings, event, Shelf(store).get(base), sums)
    rebuilt = "unfinished: a leg is missing" if again is None else _gained(again)
    return Rebuilt(step="gain", recorded=_gained(event), rebuilt=rebuilt)


def _gained(event: Compared) -> str:
    """Return what a comparison came to."""
    return f"{event.per_thousand} ({event.low} to {event.high}), {event.better}:{event.worse}"


def _labels(store: Store, settings: CampaignSettings, number: int) -> Rebuilt:
    """Judge again what people said of every item whose label first counted in this round."""
    recorded, rebuilt = sha256(), sha256()
    for kept in [each for each in store.kept_labels() if each.counted == number]:
        label = kept.label
        recorded.update(b"%s %d %s\n" % (label.item, label.label, label.method.encode()))
        said = judge([answer for answer, _ in kept.answers], settings.labeling)
        again = (said.label, said.method) if isinstance(said, Verdict) else (-1, said.name)
        rebuilt.update(b"%s %d %s\n" % (label.item, again[0], again[1].encode()))
    both = [each.hexdigest()[:12] for each in (recorded, rebuilt)]
    return Rebuilt(step="labels", recorded=both[0], rebuilt=both[1])


def _selection(
    store: Store, settings: CampaignSettings, event: Selected, state: RoundState
) -> Rebuilt:
    """Choose again from the offers that were considered."""
    offers = unpack_offers(store.artifact(event.considered))
    pending = unpack_offers(store.artifact(event.pending)) if event.pending else []
    chosen = grant(
        offers,
        replace(settings, strategy=strategy_of(state, settings)),
        number=event.round,
        most=event.most,
        first=state.first,
        wishes=replace(wishes_of(state, settings), pending=tuple(pending)),
    )
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
    kept = Snapshot.from_bytes(store.artifact(inputs))
    if task.policy.privacy.on:
        told = [read_sums(store.artifact(digest)) for digest in legs]
        noised = label_model_of_noised(task, kept, event.round - 1, told)
        rebuilt = sha256(write_parameters(noised)).hexdigest()[:12]
        return Rebuilt(step="label model", recorded=event.label_model[:12], rebuilt=rebuilt)
    fit = fit_of(task, kept, settings, event.round)
    sums = [read_sums(store.artifact(digest)).held_out for digest in legs]
    again = replay(fit, sums)
    rebuilt = "unfinished: an exchange is missing"
    if again is not None:
        rebuilt = sha256(write_parameters(again.result)).hexdigest()[:12]
    return Rebuilt(step="label model", recorded=event.label_model[:12], rebuilt=rebuilt)


def _rule(store: Store, event: Agreed, talk: Governing, legs: Sequence[str]) -> Rebuilt:
    """Make the rule of what may teach how deep again, from what devices said of their lessons."""
    again = replay(talk, [read_sums(store.artifact(digest)).held_out for digest in legs])
    rebuilt = "unfinished: an exchange is missing"
    if again is not None and again.result is not None:
        rebuilt = sha256(write_rule(again.result)).hexdigest()[:12]
    return Rebuilt(step="teaching rule", recorded=event.teaching[:12], rebuilt=rebuilt)


def _recast(
    store: Store,
    settings: CampaignSettings,
    event: Recast,
    start: tuple[str, str],
    legs: Sequence[str],
) -> Rebuilt:
    """Choose the inputs again from the kept sums, and what is trained on them."""
    base = Shelf(store).get(start[0])
    snapshot = Snapshot.from_bytes(store.artifact(start[1]))
    told = [read_sums(store.artifact(digest)).held_out for digest in legs]
    model, kept = recast_again(event, base, snapshot, settings, told)
    digests = (digest_of(model), sha256(kept.to_bytes()).hexdigest())
    return Rebuilt(
        step="inputs",
        recorded=f"{event.base[:12]}, {event.inputs[:12]}",
        rebuilt=f"{digests[0][:12]}, {digests[1][:12]}",
    )


def _training(
    store: Store,
    settings: CampaignSettings,
    task: Task,
    event: Trained,
    start: tuple[str, str, str],
    legs: Sequence[str],
    kept: Kept | None,
) -> Rebuilt:
    """Solve the head again from the kept sums of every leg."""
    base = Shelf(store).get(start[0])
    snapshot = Snapshot.from_bytes(store.artifact(start[1]))
    if task.policy.privacy.on:
        told = [read_sums(store.artifact(digest)) for digest in legs]
        return _rebuilt_head(event, next_leg(task, base, snapshot, event.round - 1, told))
    label_model = read_parameters(store.artifact(start[2]))
    functions = len(task.functions)
    work = begin(event.round, base, snapshot, settings, functions, label_model, kept=kept)
    if not event.exchanges:
        return _rebuilt_head(event, Solved(model=base, exchanges=0))
    for whole in steps_of([read_sums(store.artifact(leg)).held_out for leg in legs], settings):
        if work.solving.over:
            return _rebuilt_head(event, None)
        work.solving.tell(whole)
    return _rebuilt_head(event, work.solving.result if work.solving.over else None)


def _rebuilt_head(event: Trained, solved: object) -> Rebuilt:
    """Compare what came of a round's legs with the head it put on the shelf."""
    rebuilt = "unfinished: a leg is missing"
    if isinstance(solved, Solved):
        rebuilt = digest_of(replace(solved.model, parent=event.parent))[:12]
    return Rebuilt(step="model", recorded=event.model[:12], rebuilt=rebuilt)


def _evaluation(event: Evaluated, sums: LegSums, task: Task) -> Rebuilt:
    """Count and calibrate again from the kept sums."""
    recorded, rebuilt = (
        f"{_vector(np.array(e.held_out + e.random_arm + e.calibration))}, {e.temperature}"
        for e in (event, evaluated(event.round, sums, len(task.classes)))
    )
    return Rebuilt(step="evaluation", recorded=recorded, rebuilt=rebuilt)


def _items(items: Sequence[str]) -> str:
    """Return how many items, and a digest of which and in which order."""
    return f"{len(items)} items, {_digest(' '.join(items).encode())}"


def _vector(vector: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    """Return a digest of an array's bits."""
    return f"{vector.size} numbers, {_digest(np.ascontiguousarray(vector).tobytes())}"


def _digest(blob: bytes) -> str:
    return sha256(blob).hexdigest()[:12]

"""A round made again from its record; and a record that was changed is caught."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from coordinator.models import totals
from coordinator.models.totals import Snapshot, read_parameters
from coordinator.rounds.campaign import STREAM
from coordinator.rounds.events import (
    Agreed,
    Closed,
    Evaluated,
    Event,
    Passed,
    Refused,
    Selected,
    Snapshotted,
    Trained,
    dump_event,
    load_event,
)
from coordinator.rounds.judging import dump_sums, read_sums
from coordinator.rounds.reproduce import Rebuilt, reproduce
from coordinator.store.campaign import open_store
from coordinator.store.schema import annotation
from fieldvote.errors import DataError, InputError, StoreError
from fieldvote.task import Task
from tests.coordinator.rounds.campaign import NOON, SETTINGS, TASK, Campaign, settings_with
from tests.doubles.tasks import tabular_files, task_of

STEPS = ("selection", "labels", "task", "environment", "label model", "model", "evaluation", "gate")
Change = Callable[[Event], Event]


@pytest.fixture(scope="module", params=["summed", "averaged"])
def campaign(request: pytest.FixtureRequest) -> Iterator[Campaign]:
    """Yield a campaign of three rounds, with late replies; nobody changes it."""
    with closing(Campaign(settings_with(learner=request.param, exchanges=2))) as made:
        made.run(3)
        yield made


def made_again(
    campaign: Campaign, number: int, *, task: Task = TASK, change: Change = lambda event: event
) -> list[Rebuilt]:
    events = [change(event) for event in campaign.scheduler.events]
    return reproduce(campaign.store, task, SETTINGS, events, number)


def wrong(made: list[Rebuilt]) -> list[str]:
    """Return the steps that are not the same."""
    return [step.step for step in made if not step.same]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_step_of_a_whole_campaign_is_the_same_to_the_bit(
    campaign: Campaign, number: int
) -> None:
    made = made_again(campaign, number)
    assert tuple(step.step for step in made) == STEPS
    assert wrong(made) == []


def test_a_round_is_made_again_by_the_settings_it_had_and_not_by_those_of_today(
    campaign: Campaign,
) -> None:
    today = settings_with(strategy="random", l2=99.0, exchanges=7, vote_weight=0.0, seed=77)
    events = campaign.scheduler.events
    assert wrong(reproduce(campaign.store, TASK, today, events, 2)) == []


def forged(kind: type[Event], **said: object) -> Change:
    """Return what makes events of one kind in round 2 say something else."""

    def change(event: Event) -> Event:
        ours = isinstance(event, kind) and event.round == 2
        return replace(event, **said) if ours else event  # type: ignore[arg-type]  # a table

    return change


def flipped(event: Event) -> Event:
    """Refuse what passed."""
    if isinstance(event, Passed) and event.round == 2:
        return Refused(round=2, reason=event.reason)
    return event


def with_one_flipped_bit(campaign: Campaign, digest: str) -> str:
    """Return the digest of what is kept under another one, changed in its last number."""
    vector = read_parameters(campaign.store.artifact(digest)).copy()
    vector[-1] = np.nextafter(vector[-1], 9.0)
    return campaign.store.keep_artifact(vector.tobytes())


FORGERIES: dict[str, tuple[Change, list[str]]] = {
    "other items": (forged(Selected, items=("00" * 16,)), ["selection"]),
    "fewer items": (forged(Selected, most=1), ["selection"]),
    "another model": (forged(Trained, model="f" * 64), ["model"]),
    "another parent": (forged(Trained, parent="f" * 64), ["model"]),
    "better counts": (forged(Evaluated, held_out=(10, 0, 0, 0)), ["evaluation"]),
    "another verdict": (flipped, ["gate"]),
}


@pytest.mark.parametrize(("change", "steps"), FORGERIES.values(), ids=FORGERIES)
def test_an_event_that_says_something_else_is_caught_at_its_step(
    campaign: Campaign, change: Change, steps: list[str]
) -> None:
    assert wrong(made_again(campaign, 2, change=change)) == steps


def test_a_label_that_its_answers_do_not_come_to_is_caught() -> None:
    with closing(Campaign(SETTINGS)) as made:
        made.run(1)
        assert wrong(made_again(made, 1)) == []
        with made.store.transaction():
            made.store.database.change(update(annotation).values(label=1 - annotation.c.label))
        assert wrong(made_again(made, 1)) == ["labels"]


def test_another_label_model_than_the_round_s_is_caught(campaign: Campaign) -> None:
    [event] = [e for e in campaign.events(Agreed) if e.round == 2]
    assert event.exchanges > 0
    forgery = forged(Agreed, label_model=with_one_flipped_bit(campaign, event.label_model))
    assert "label model" in wrong(made_again(campaign, 2, change=forgery))


def test_an_exchange_about_votes_that_says_something_else_is_caught(campaign: Campaign) -> None:
    legs = [e for e in campaign.events(Closed) if e.round == 2 and e.exchange == "votes"]
    sums = read_sums(campaign.store.artifact(legs[0].sums))
    other = replace(sums, held_out=np.arange(len(sums.held_out)) << 20)
    digest = campaign.store.keep_artifact(dump_sums(other))

    def change(event: Event) -> Event:
        return replace(event, sums=digest) if event == legs[0] else event

    assert "label model" in wrong(made_again(campaign, 2, change=change))


def test_another_task_than_the_rounds_is_caught(campaign: Campaign) -> None:
    other = replace(TASK, digest="0" * 64)
    assert wrong(made_again(campaign, 2, task=other)) == ["task"]
    assert task_of(tabular_files()).digest != TASK.digest


def test_another_program_than_the_rounds_is_caught(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.rounds.reproduce.environment", lambda: "numpy 9")
    assert wrong(made_again(campaign, 2)) == ["environment"]
    assert "numpy" in totals.environment()


SNAPSHOTS: dict[str, Callable[[Snapshot], Snapshot]] = {
    "votes": lambda kept: replace(kept, votes=kept.votes * 0),
    "anchors": lambda kept: replace(kept, anchors=kept.anchors[::-1].copy()),
}


@pytest.mark.parametrize("change", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_a_snapshot_under_a_name_of_its_own_that_says_something_else_is_caught(
    campaign: Campaign, change: Callable[[Snapshot], Snapshot]
) -> None:
    [event] = [e for e in campaign.events(Snapshotted) if e.round == 2]
    spoiled = change(Snapshot.from_bytes(campaign.store.artifact(event.inputs)))
    inputs = campaign.store.keep_artifact(spoiled.to_bytes())
    assert "label model" in wrong(
        made_again(campaign, 2, change=forged(Snapshotted, inputs=inputs))
    )


def test_a_leg_that_is_missing_or_says_something_else_gives_no_model_or_another(
    campaign: Campaign,
) -> None:
    events = list(campaign.scheduler.events)
    legs = [
        place
        for place, event in enumerate(events)
        if event.round == 2 and getattr(event, "exchange", "") == "train" and _sums(event)
    ]
    without = [event for place, event in enumerate(events) if place != legs[-1]]
    made = {s.step: s for s in reproduce(campaign.store, TASK, SETTINGS, without, 2)}
    assert made["model"].rebuilt == "unfinished: a leg is missing"
    swapped = list(events)
    swapped[legs[1]] = replace(swapped[legs[1]], sums=_sums(events[legs[0]]))  # type: ignore[call-arg]  # a Closed
    assert "model" in wrong(reproduce(campaign.store, TASK, SETTINGS, swapped, 2))


def _sums(event: Event) -> str:
    return getattr(event, "sums", "")


def test_a_round_that_is_not_there_is_said_so(campaign: Campaign) -> None:
    with pytest.raises(InputError, match="no round 9"):
        made_again(campaign, 9)


def test_a_round_under_way_is_made_again_as_far_as_it_went() -> None:
    with closing(Campaign()) as made:
        made.run(1)
        events = made.scheduler.events
        for cut in range(1, len(events) + 1):
            again = reproduce(made.store, TASK, SETTINGS, events[:cut], 1)
            assert wrong(again) == []
            assert tuple(step.step for step in again) == STEPS[: len(again)]
        assert len(again) == len(STEPS)


def test_an_artifact_of_which_one_bit_was_flipped_on_the_disk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(open_store(path, now=lambda: NOON)) as store:
        copy_of_a_round(store)
        events = [load_event(*row) for row in store.events(STREAM)]
        assert wrong(reproduce(store, TASK, SETTINGS, events, 1)) == []
        used = {
            value
            for _, body in store.events(STREAM)
            for value in json.loads(body).values()
            if value in store.artifacts() and '"canary"' not in body  # which is not made again
        }
        assert len(used) >= 6
        for digest in sorted(used):
            blob = store.artifact(digest)
            _put(path, digest, bytes([blob[0] ^ 1]) + blob[1:])
            if digest != _model(events):  # what came of it is never read, only made again
                with pytest.raises(DataError, match="was changed on the disk"):
                    reproduce(store, TASK, SETTINGS, events, 1)
            _put(path, digest, blob)


def test_no_flipped_byte_of_what_was_decided_goes_unseen(tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "store.sqlite", now=lambda: NOON)) as store:
        copy_of_a_round(store)
        rows = store.events(STREAM)
        decided = {"Selected": ("items", "considered", "most"), "Trained": ("model",),
                   "Evaluated": ("held_out", "random_arm")}  # fmt: skip
        seen = 0
        for place, (kind, body) in enumerate(rows):
            for name in decided.get(kind, ()):
                at = body.index(f'"{name}":') + len(name) + 3
                at += 2 if body[at] in '["' and kind == "Selected" else body[at] in '["'
                spoiled = body[:at] + ("1" if body[at] != "1" else "2") + body[at + 1 :]
                assert spoiled != body
                try:
                    events = [
                        load_event(k, spoiled if p == place else b) for p, (k, b) in enumerate(rows)
                    ]
                    assert wrong(reproduce(store, TASK, SETTINGS, events, 1)), (kind, name)
                except (StoreError, DataError):
                    pass  # it cannot be read at all
                seen += 1
        assert seen == 6


def copy_of_a_round(store: object) -> None:
    """Fill a store with the events and artifacts of one round."""
    from coordinator.store.campaign import Store

    assert isinstance(store, Store)
    with closing(Campaign(settings_with(exchanges=2))) as made:
        made.run(1)
        with store.transaction():
            for digest in made.store.artifacts():
                store.keep_artifact(made.store.artifact(digest))
            for version, event in enumerate(made.scheduler.events):
                store.append(STREAM, version, *dump_event(event))


def _model(events: list[Event]) -> str:
    return next(event.model for event in events if isinstance(event, Trained))


def _put(path: Path, digest: str, blob: bytes) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE artifact SET blob = ? WHERE digest = ?", [blob, digest])

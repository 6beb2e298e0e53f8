"""Fleets whose items few people have answered and weak functions vote on: one made, two real."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from edge.items import model_inputs, row_payload, text_payload
from edge.labeling import Items, compile_functions
from edge.learning.views import second_view_of
from fieldvote.rng import stream
from fieldvote.task import TabularInput, TextInput
from simulations.population import populate
from simulations.scenario import Scenario

DEVICES, EACH, ANSWERED = 20, 75, 50
_FUNCTIONS = 10
_TEXT_WIDTH = 512
_LENGTH = 4.0

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fleet:
    """Training devices and what they are judged by.

    Attributes:
        inputs: What a model sees. Shape (n, d), float32.
        second: The same of the items' second views. Shape (n, d), float32.
        truth: Shape (n,).
        votes: Shape (n, m), int8.
        device: Of each training item; -1 for those that thresholds are made from, -2 for those
            that scores are. Shape (n,).
        answered: Which training items people answered, drawn by lot. Shape (n,), bool.
        classes: k.
    """

    inputs: NDArray[np.float32]
    second: NDArray[np.float32]
    truth: Labels
    votes: NDArray[np.int8]
    device: Labels
    answered: NDArray[np.bool_]
    classes: int


def made(seed: int) -> Fleet:
    """Twelve clusters, three to a class, so that no plane divides them."""
    rng = stream(seed, "made")
    centres = rng.normal(size=(12, 12)) * 1.1
    centre = rng.integers(12, size=5000)
    rows, truth = centres[centre] + rng.normal(size=(5000, 12)), centre % 4
    device = _dealt(len(rows), seed)
    votes = _weak_votes(rows, truth, np.flatnonzero(device >= 0), seed, seen=3)
    return _of_rows(rows, truth, votes, device, seed)


def movements(seed: int) -> Fleet:
    """People with a phone at the waist, each a device; others are judged."""
    data = populate(Scenario.load("har"), seed).dataset
    rows, truth = np.asarray(data.features, dtype=np.float64), data.labels
    rows = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-6)
    rng = stream(seed, "people")
    people = rng.permutation(data.devices)
    device = np.full(len(rows), -3)
    for place, person in enumerate(people):
        items = np.flatnonzero(data.device == person)
        if place < DEVICES:
            device[rng.choice(items, EACH, replace=False)] = place
        else:
            device[items] = -1 if place % 2 else -2
    kept = device > -3
    rows, truth, device = rows[kept], truth[kept], device[kept]
    votes = _weak_votes(rows, truth, np.flatnonzero(device >= 0), seed, seen=4)
    return _of_rows(rows, truth, votes, device, seed)


def messages(seed: int) -> Fleet:
    """Text messages and the functions that come with them."""
    population = populate(Scenario.load("sms"), seed)
    texts, truth = population.dataset.texts, population.dataset.labels
    assert texts is not None  # messages are texts
    device = _dealt(len(texts), seed)
    task = population.shared.task
    functions = compile_functions(task.functions, task.input, task.classes)
    votes = functions.vote(Items(texts=texts))
    of = TextInput(width=_TEXT_WIDTH)
    payloads = [text_payload(text) for text in texts]
    return _fleet(payloads, of, truth, votes, device, seed)


FLEETS: Mapping[str, Callable[[int], Fleet]] = {
    "made": made,
    "har": movements,
    "sms": messages,
}


def _of_rows(
    rows: Matrix, truth: Labels, votes: NDArray[np.int8], device: Labels, seed: int
) -> Fleet:
    """Return rows as a fleet."""
    of = TabularInput(fields=tuple(f"f{i}" for i in range(rows.shape[1])))
    return _fleet([row_payload(row) for row in rows], of, truth, votes, device, seed)


def _fleet(
    payloads: list[bytes],
    of: TextInput | TabularInput,
    truth: Labels,
    votes: NDArray[np.int8],
    device: Labels,
    seed: int,
) -> Fleet:
    """Return items as a fleet, with their second views."""
    view = second_view_of(of, payloads)
    seen = [view(p, stream(seed, "second view", i)) for i, p in enumerate(payloads)]
    answered = np.zeros(len(truth), dtype=np.bool_)
    rng = stream(seed, "answers")
    answered[rng.choice(np.flatnonzero(device >= 0), ANSWERED, replace=False)] = True
    inputs = model_inputs(payloads, of)
    # of one length, so that one rate fits every network
    scale = np.float32(_LENGTH / np.sqrt((inputs[device >= 0] ** 2).sum(axis=1).mean()))
    return Fleet(
        inputs=inputs * scale,
        second=model_inputs(seen, of) * scale,
        truth=truth.astype(np.int64),
        votes=votes.astype(np.int8),
        device=device.astype(np.int64),
        answered=answered,
        classes=int(truth.max()) + 1,
    )


def _dealt(items: int, seed: int) -> Labels:
    """Deal items to devices; the rest, in halves, makes thresholds and scores."""
    device = np.where(np.arange(items) % 2, -1, -2)
    dealt = stream(seed, "dealt").permutation(items)[: DEVICES * EACH]
    device[dealt] = np.arange(len(dealt)) % DEVICES
    return device


def _weak_votes(
    rows: Matrix, truth: Labels, known: NDArray[np.intp], seed: int, *, seen: int
) -> NDArray[np.int8]:
    """Ten functions that see a few features, know eight items per class, and err together."""
    rng, columns = stream(seed, "functions"), []
    for _ in range(_FUNCTIONS):
        fields = rows[:, rng.choice(rows.shape[1], seen, replace=False)]
        shown = [rng.choice(known[truth[known] == c], 8) for c in range(int(truth.max()) + 1)]
        means = np.stack([fields[items].mean(axis=0) for items in shown])
        apart = ((fields[:, None] - means) ** 2).sum(axis=2)
        nearest = np.sort(apart, axis=1)
        margin = nearest[:, 1] - nearest[:, 0]
        columns.append(np.where(margin < np.median(margin), -1, apart.argmin(axis=1)))
    return np.stack(columns, axis=1).astype(np.int8)

"""Who takes part in a rehearsal: the data, cut into devices, and the task they have installed.

It follows from a scenario and a seed alone, so that every process of an engine that has several
makes the same one for itself.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.items import row_payload, text_payload
from edge.labeling import CompiledFunctions, compile_functions
from edge.redaction import redaction_of
from edge.scorer import Scorer, network_of
from fieldvote.errors import InputError
from fieldvote.records import DeviceId
from fieldvote.rng import keyed_entropy, stream
from fieldvote.task import Task
from privacy.pii import Redactor, Vocabulary
from simulations.arrivals import Supply, arrival_rounds, shifted
from simulations.dataset import Dataset, fill_missing, training_medians
from simulations.datasets import DATASETS, load_dataset, load_npz
from simulations.known_inputs import KnownInputs
from simulations.partition import hold_out, sample_devices
from simulations.scenario import Scenario
from simulations.tasks import build_task

_FIRST_NODE = 1000  # device i of the data set is this node plus i


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the devices of one rehearsal share, as phones of one make share a program.

    Attributes:
        task: The task they have installed.
        scorer: Its model, loaded once.
        functions: Its labeling functions, compiled once.
        redactor: Its redaction.
        vocabulary: The words that may leave.
        model_inputs: What its model is fed, kept for texts that come again.
    """

    task: Task
    scorer: Scorer
    functions: CompiledFunctions
    redactor: Redactor
    vocabulary: Vocabulary
    model_inputs: KnownInputs = field(default_factory=KnownInputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """All devices of a rehearsal, none of them set up yet.

    Attributes:
        scenario: What it was made from.
        seed: The other half of that.
        dataset: All items, missing values filled.
        held_out: Which devices only evaluate. Shape (c,).
        shared: What every device runs.
        comes: In which round each item comes to its device, 0 for the start. Shape (n,).
    """

    scenario: Scenario
    seed: int
    dataset: Dataset
    held_out: NDArray[np.bool_]
    shared: Shared
    comes: NDArray[np.int64]

    def item_ids(self, number: int) -> list[bytes]:
        """Return the random ids of a device's items."""
        naming = keyed_entropy(self.seed, "item ids", number)
        return [naming(16) for _ in range(int((self.dataset.device == number).sum()))]

    def supply(self, number: int) -> Supply:
        """Return what comes to a device, and when."""
        rows = np.flatnonzero(self.dataset.device == number)
        order = np.argsort(self.comes[rows], kind="stable")
        ids, payloads = self.item_ids(number), payloads_of(self.dataset, rows[order])
        gold = self.dataset.labels[rows[order]].tolist() if self.held_out[number] else None
        return Supply(
            ids=tuple(ids[place] for place in order),
            payloads=tuple(payloads),
            gold=None if gold is None else tuple(gold),
            rounds=tuple(self.comes[rows[order]].tolist()),
        )

    def truth(self) -> dict[bytes, int]:
        """Return the true class of every item by id, which only a rehearsal knows."""
        truth: dict[bytes, int] = {}
        for number in range(self.dataset.devices):
            labels = self.dataset.labels[self.dataset.device == number]
            truth.update(zip(self.item_ids(number), labels.tolist(), strict=True))
        return truth


def populate(scenario: Scenario, seed: int) -> Population:
    """Load the data, hold devices out, build or load the task, and set up what devices share.

    Raises:
        InputError: the scenario does not fit its data.
        MissingDataError: the data are neither here nor reachable.
    """
    dataset = load_data(scenario, seed)
    held_out = hold_out(dataset.devices, stream(seed, "hold out"), scenario.held_out)
    trains = ~held_out[dataset.device]
    if dataset.features is not None:
        medians = training_medians(dataset.features, trains)
        dataset = replace(dataset, features=fill_missing(dataset.features, medians))
    task = (
        Task.load(Path(scenario.task)) if scenario.task else build_task(dataset, trains, scenario)
    )
    _check_fits(task, dataset)
    names = (task.names.input, task.names.probabilities, task.names.embedding)
    redactor, vocabulary = redaction_of(task)
    shared = Shared(
        task=task,
        scorer=Scorer(task.model, names=names, where=task.names.file, network=network_of(task)),
        functions=compile_functions(task.functions, task.input, task.classes),
        redactor=redactor,
        vocabulary=vocabulary,
    )
    comes = arrival_rounds(dataset, scenario.arrivals, seed)
    return Population(
        scenario=scenario,
        seed=seed,
        dataset=shifted(dataset, comes, scenario.arrivals, seed),
        held_out=held_out,
        shared=shared,
        comes=comes,
    )


def load_data(scenario: Scenario, seed: int) -> Dataset:
    """Return the scenario's data, with as many devices as it asks for."""
    if scenario.data in DATASETS:
        dataset = load_dataset(scenario.data, seed)
    else:
        dataset = load_npz(Path(scenario.data))
    if scenario.devices is None:
        return dataset
    return sample_devices(dataset, scenario.devices, stream(seed, "sample devices"))


def device_id(number: int) -> DeviceId:
    """Return what device number i of the data is called in messages."""
    return DeviceId(_FIRST_NODE + number)


def payloads_of(dataset: Dataset, rows: NDArray[np.int64]) -> list[bytes]:
    """Return items of a data set as pools keep them."""
    if dataset.texts is not None:
        return [text_payload(dataset.texts[row]) for row in rows]
    assert dataset.features is not None  # noqa: S101  # a data set has one of the two
    return [row_payload(dataset.features[row]) for row in rows]


def _check_fits(task: Task, dataset: Dataset) -> None:
    """Refuse a task folder that is about other classes or fields than the data."""
    # a file of anyone's own numbers its classes; the task knows what they are called
    named = not all(name.lstrip("-").isdigit() for name in dataset.classes)
    if len(task.classes) != len(dataset.classes) or (named and task.classes != dataset.classes):
        raise InputError(
            f"the task's classes {list(task.classes)} are not the data's {list(dataset.classes)}"
        )
    fields = task.input.field_names
    if (fields is None) != (dataset.texts is not None) or (fields or ()) != dataset.feature_names:
        raise InputError("the task's [input] is not what the data hold: compare the two")

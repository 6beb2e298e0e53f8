"""A task for a data set: what an engineer would write, made from the training devices alone."""

import json
import math
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from coordinator.models.backbone import identity_backbone
from coordinator.models.compiling import compiled_files
from coordinator.models.networks import perceptron, picture_network
from fieldvote.cohort_policy import CohortPolicy
from fieldvote.errors import InputError
from fieldvote.privacy_policy import PrivacySettings
from fieldvote.task import Task
from simulations.dataset import Dataset
from simulations.scenario import Scenario

# Cut-offs are quantiles of the unlabeled training pools; which quantile is the engineer's guess.
_HAR_RULES = (
    # id, class, field, above quantile, below quantile
    ("lies_flat", "laying", "tGravityAcc-mean()-X", None, 0.15),
    ("moves_hard", "downstairs", "tBodyAccMag-std()", 0.9, None),
    ("stands_still", "standing", "tBodyAccJerkMag-mean()", None, 0.15),
    ("turns_while_climbing", "upstairs", "tBodyGyroMag-mean()", 0.88, None),
    ("walks_evenly", "walking", "tBodyAccJerkMag-mean()", 0.7, 0.85),
)


def build_task(dataset: Dataset, trains: NDArray[np.bool_], scenario: Scenario) -> Task:
    """Return the task of a rehearsal, checked as any task folder is.

    Args:
        dataset: What is rehearsed on.
        trains: Which items are on training devices; nothing is measured on the others. Shape (n,).
        scenario: What the task should be.
    """
    return Task.parse(task_files(dataset, trains, scenario), f"task of {scenario.name}")


def task_files(dataset: Dataset, trains: NDArray[np.bool_], scenario: Scenario) -> dict[str, bytes]:
    """Return the files of such a task by name."""
    if dataset.texts is not None:
        given = f'kind = "text"\nwidth = {scenario.text_width}\n'
    else:
        given = f'kind = "tabular"\nfields = {_toml(list(dataset.feature_names))}\n'
    deep = scenario.learner == "deep"
    files = {
        "task.toml": (
            f"name = {_toml(scenario.name)}\nclasses = {_toml(list(dataset.classes))}\n"
            f"[input]\n{given}{scenario.network.toml() if deep else ''}"
        ).encode(),
        "functions.toml": _functions(dataset, trains, scenario),
        "policy.toml": _policy(dataset, scenario).encode(),
        "model.onnx": _model(dataset, trains, scenario),
    }
    if deep:
        blank = dict.fromkeys(scenario.network.training().files, b"")
        files |= compiled_files({**files, **blank}, f"task of {scenario.name}")
    return files


def _model(dataset: Dataset, trains: NDArray[np.bool_], scenario: Scenario) -> bytes:
    """Return a model that is as good as none, or a network whose weights are drawn."""
    classes, network = len(dataset.classes), scenario.network
    width = scenario.text_width if dataset.features is None else len(dataset.feature_names)
    if scenario.learner != "deep":
        return identity_backbone(width, classes)
    mean, scale = np.zeros(width), np.ones(width)
    if dataset.features is not None:
        # as an engineer would know from the sensors' data sheet, or from a trial
        mean = np.nanmean(dataset.features[trains], axis=0)
        spread = np.nanstd(dataset.features[trains], axis=0)
        scale = np.where(spread > 0, spread, 1.0)
    if network.kind == "perceptron":
        return perceptron(hidden=network.hidden, classes=classes, mean=mean, scale=scale)
    side = math.isqrt(width)
    if side * side != width or dataset.features is None:
        raise InputError(f"network.kind: {width} features are no square picture")
    brightest = float(np.nanmax(np.abs(dataset.features[trains]))) or 1.0
    return picture_network(side=side, channels=network.hidden, classes=classes, scale=brightest)


def _functions(dataset: Dataset, trains: NDArray[np.bool_], scenario: Scenario) -> bytes:
    """Return the scenario's functions, or threshold rules where the data has the fields."""
    if scenario.functions or dataset.features is None:
        return scenario.functions_file()
    if scenario.name != "har":
        return b""
    return "\n".join(
        _threshold(dataset, dataset.features[trains], *rule)
        for rule in _HAR_RULES
        if rule[1] in dataset.classes and rule[2] in dataset.feature_names
    ).encode()


def _threshold(
    dataset: Dataset,
    rows: NDArray[np.float64],
    name: str,
    label: str,
    field: str,
    above: float | None,
    below: float | None,
) -> str:
    """Return one threshold function as TOML."""
    column = rows[:, dataset.feature_names.index(field)]
    bounds = [
        f"{key} = {float(np.nanquantile(column, share)):.6f}"
        for key, share in (("above", above), ("below", below))
        if share is not None
    ]
    return "\n".join(
        [
            "[[function]]",
            f'id = "{name}"',
            'kind = "threshold"',
            f"class = {_toml(label)}",
            f"field = {_toml(field)}",
            'owner = "rehearsal"',
            *bounds,
            "",
        ]
    )


def _policy(dataset: Dataset, scenario: Scenario) -> str:
    """Return what may leave: the named fields, and limits wide enough for one campaign."""
    lines = ["[limits]", "candidates = 5000", "size_bytes = 2000000000", "offers = 4096", ""]
    if dataset.features is not None:
        kept = scenario.keep_fields or dataset.feature_names
        decimals = scenario.keep_decimals
        lines += ["[candidates.keep]", *(f"{_toml(name)} = {decimals}" for name in kept), ""]
    lines += ["[rounds]", f"random_share = {scenario.random_share}", f"price = {scenario.price}"]
    lines += ["", *_privacy(scenario.privacy)]
    if scenario.cohort != CohortPolicy():
        said = asdict(scenario.cohort).items()
        lines += ["", "[cohort]", *(f"{name} = {json.dumps(value)}" for name, value in said)]
    return "\n".join(lines) + "\n"


def _privacy(privacy: PrivacySettings) -> list[str]:
    """Return the noise in sums as the policy says it; nothing where there is none."""
    if not privacy.on:
        return []
    said = asdict(privacy)
    split = said.pop("split")
    return [
        "[privacy]",
        *(f"{name} = {json.dumps(value)}" for name, value in said.items()),
        "[privacy.split]",
        *(f"{name} = {json.dumps(value)}" for name, value in split.items()),
    ]


def _toml(value: str | list[str]) -> str:
    """Return text as TOML: as JSON, but for what TOML will not have escaped, or not have raw."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

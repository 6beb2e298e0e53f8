"""A task for a data set: what an engineer would write, made from the training devices alone."""

import json

import numpy as np
from numpy.typing import NDArray

from coordinator.models.backbone import identity_backbone
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
    classes = len(dataset.classes)
    if dataset.texts is not None:
        model = identity_backbone(scenario.text_width, classes)
        given = f'kind = "text"\nwidth = {scenario.text_width}\n'
    else:
        model = identity_backbone(len(dataset.feature_names), classes)
        given = f'kind = "tabular"\nfields = {_toml(list(dataset.feature_names))}\n'
    return {
        "task.toml": (
            f"name = {_toml(scenario.name)}\nclasses = {_toml(list(dataset.classes))}\n"
            f"[input]\n{given}"
        ).encode(),
        "functions.toml": _functions(dataset, trains, scenario),
        "policy.toml": _policy(dataset, scenario).encode(),
        "model.onnx": model,
    }


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
    return "\n".join(lines) + "\n"


def _toml(value: str | list[str]) -> str:
    """Return text as TOML: as JSON, but for what TOML will not have escaped, or not have raw."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

"""Why this device labels an item as it does: its own votes, under the newest label model."""

from pathlib import Path

import numpy as np

from edge.items import items_of, model_inputs
from edge.labeling import compile_functions
from edge.pool import Pool
from edge.scorer import scorer_of
from edge.serving_head import label_model_of
from edge.status import look
from edge.turns import in_turn
from fieldvote.errors import InputError, UnavailableError
from strategies.labeling.explanation import Row, explain, to_rows


def explain_item(config: Path, name: str) -> list[Row]:
    """Return a line for the class balance, one per vote on an item, and what comes of them.

    Args:
        config: The device's settings.
        name: The item's id in hexadecimal, or how it begins.

    Raises:
        InputError: no item, or more than one, is called so.
        UnavailableError: no label model has come to this device yet.
    """
    settings, task, pool = look(config)
    try:
        with in_turn(Path(settings.folder)):  # else an item may be let go in between
            place = _find(pool, name)
            payloads, answer = [pool.payload(place)], int(pool.column("answer")[place])
        model = label_model_of(pool, task)
        if model is None:
            raise UnavailableError(
                "no label model has come to this device yet: its campaign does not train on votes,"
                " or has not trained; ask 'fieldvote labels explain' where the coordinator runs"
            )
        pins = dict(settings.python_functions)
        functions = compile_functions(task.functions, task.input, task.classes, pins=pins)
        scores = scorer_of(task, pool).score(model_inputs(payloads, task.input))
        votes = functions.vote(
            items_of(payloads, task.input, scores.probabilities.astype(np.float64))
        )[0]
    finally:
        pool.close()
    named = [(function.id, function.version) for function in task.functions]
    rows = to_rows(explain(model, votes), functions=named, classes=task.classes)
    if answer >= 0:
        rows.append({"function": "a person said", "votes": task.classes[answer]})
    return rows


def _find(pool: Pool, name: str) -> int:
    """Return the place of the one item whose id begins so."""
    found = [place for place, item in enumerate(pool.ids()) if item.hex().startswith(name)]
    if len(found) != 1 or not name:
        raise InputError(f"{len(found)} items of this device have an id that begins with '{name}'")
    return found[0]

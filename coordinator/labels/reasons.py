"""Why a label model says what it says of an item's votes: which functions, versions, weights."""

from collections.abc import Sequence

import numpy as np

from coordinator.models.totals import label_model_of
from coordinator.rounds.campaign import load_state
from coordinator.store.campaign import Store
from fieldvote.errors import InputError
from fieldvote.task import Task
from strategies.labeling.explanation import Row, explain, to_rows


def explain_votes(store: Store, task: Task, said: Sequence[str]) -> list[Row]:
    """Return a line for the class balance, one per vote, and one for what comes of them.

    Args:
        store: Of the campaign; its newest label model is asked.
        task: What the campaign is about.
        said: FUNCTION=CLASS, one per vote; the others abstain.

    Raises:
        InputError: a function or class the task does not have, or one function twice.
    """
    votes = np.full(len(task.functions), -1, dtype=np.int8)
    place = {function.id: number for number, function in enumerate(task.functions)}
    for word in said:
        name, _, label = word.partition("=")
        if name not in place:
            raise InputError(f"no function '{name}'; this task has {', '.join(place)}")
        if label not in task.classes:
            raise InputError(f"no class '{label}'; this task has {', '.join(task.classes)}")
        if votes[place[name]] >= 0:
            raise InputError(f"'{name}' votes twice")
        votes[place[name]] = task.classes.index(label)
    model = label_model_of(store, task, kept=load_state(store)[1].newest.label_model)
    named = [(function.id, function.version) for function in task.functions]
    return to_rows(explain(model, votes), functions=named, classes=task.classes)

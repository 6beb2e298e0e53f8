"""What a task's model is fed for the texts of a rehearsal, made once for all of its campaigns.

A campaign, its random twin and the yardsticks read the same items. What a text is as numbers hangs
on nothing but the text, so it is kept by it; what a row is hangs on the rows around it where one
is missing, so rows are made anew.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.items import TaskInput, model_inputs
from fieldvote.task import TextInput


class KnownInputs:
    """Model inputs of the texts seen so far; it lives as long as the population that has them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._rows: dict[bytes, NDArray[np.float32]] = {}

    def __call__(self, payloads: Sequence[bytes], task_input: TaskInput) -> NDArray[np.float32]:
        """Return what edge.items.model_inputs does, as a new array. Shape (n, width)."""
        if not isinstance(task_input, TextInput):
            return model_inputs(payloads, task_input)
        new = list(dict.fromkeys(each for each in payloads if each not in self._rows))
        self._rows.update(zip(new, model_inputs(new, task_input), strict=True))
        found = np.empty((len(payloads), task_input.width), dtype=np.float32)
        for place, payload in enumerate(payloads):
            found[place] = self._rows[payload]
        return found

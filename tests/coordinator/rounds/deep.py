"""The small task with a network of its own in the model's place, and how it is trained."""

from functools import lru_cache

import numpy as np

from coordinator.models.compiling import compiled_files
from coordinator.models.networks import perceptron
from edge.scorer import Scorer, network_of
from fieldvote.task import Task

_SCORERS: dict[str, Scorer] = {}


def network_scorer(task: Task) -> Scorer:
    """Return what scores and trains by a task's network; loaded once."""
    if task.digest not in _SCORERS:
        names = (task.names.input, task.names.probabilities, task.names.embedding)
        _SCORERS[task.digest] = Scorer(task.model, names=names, network=network_of(task))
    return _SCORERS[task.digest]


@lru_cache(maxsize=4)
def deep_files(training: str = 'gate = "embedding"', hidden: int = 4) -> dict[str, bytes]:
    """Return the files of a task over a, b and c whose network is trained."""
    files = {
        "task.toml": (
            'name = "small"\nclasses = ["low", "high"]\n[input]\nkind = "tabular"\n'
            f'fields = ["a", "b", "c"]\n[training]\n{training}\n'
        ).encode(),
        "functions.toml": (
            b'[[function]]\nid = "a_is_high"\nkind = "threshold"\nclass = "high"\n'
            b'field = "a"\nowner = "test"\nabove = 0.7\n'
            b'[[function]]\nid = "b_is_low"\nkind = "threshold"\nclass = "low"\n'
            b'field = "b"\nowner = "test"\nbelow = -0.7\n'
        ),
        "policy.toml": b"[candidates.keep]\na = 2\nb = 2\n",
        "model.onnx": perceptron(hidden=(hidden,), classes=2, mean=np.zeros(3), scale=np.ones(3)),
        "train_step.onnx": b"",
        "scoring.onnx": b"",
    }
    return {**files, **compiled_files(files, "deep task")}


@lru_cache(maxsize=4)
def deep_task(training: str = 'gate = "embedding"', hidden: int = 4) -> Task:
    """Return that task."""
    return Task.parse(deep_files(training, hidden), "deep task")

"""Parsers of what trains a network: its graphs, its weights, and how far they moved."""

from dataclasses import replace

import numpy as np

from edge.model_guard.steps import form_of
from edge.model_guard.weights import values_of, with_weights
from strategies.aggregation.deep_update import DeepUpdate, deep_update, is_deep_update
from tests.coordinator.rounds.deep import deep_task
from tests.fuzz.harness import Parser
from tests.fuzz.samples import vectors, whole_numbers

_TRAINED = ("head.weight", "head.bias")


def _graph(blob: bytes) -> None:
    """Read as one of the two graphs; the first byte says which."""
    step = blob[:1] == b"s"
    task = deep_task()
    form_of(replace(task, step=blob[1:]) if step else replace(task, scoring=blob[1:]))


def _weights(blob: bytes) -> None:
    with_weights(deep_task().step, blob, _TRAINED)
    values_of(blob, _TRAINED)


def _move(blob: bytes) -> None:
    vector = whole_numbers(blob)
    is_deep_update(vector, size=3, clip=1.0)
    DeepUpdate.from_vector(vector)


STEPS = (
    Parser("train steps", _graph,
           lambda: [b"s" + deep_task().step, b"c" + deep_task().scoring],
           ("edge.model_guard.steps:form_of",), share=6),
    Parser("weights of models", _weights, lambda: [deep_task().model],
           ("edge.model_guard.weights:with_weights", "edge.model_guard.weights:values_of",
            "edge.model_guard.model_file:read_tensor"), share=6),
    Parser("deep updates", _move,
           lambda: vectors(deep_update(np.arange(3), np.arange(3) + 9, weight=2, clip=1.0)
                           .to_vector()),
           ("strategies.aggregation.deep_update:DeepUpdate.from_vector",)),
)  # fmt: skip

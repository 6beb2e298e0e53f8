"""The same bits whatever kernel BLAS picks: checked by making it pick others."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
from hashlib import sha256
import numpy as np
from strategies.aggregation.head import Head, predict
from strategies.aggregation.summed_head import gradient_sums, head_sums
from strategies.representation import Moments, Representation
from tests.strategies.aggregation.problems import problem

given = problem(1, items=700, width=90, classes=5)
head = Head.from_values(np.random.default_rng(1).normal(size=(90, 5)))
rows = np.random.default_rng(2).normal(size=(300, 70))
made = Representation.from_moments(Moments.from_embeddings(rows), fourier=120, recentre=1.0)
results = (
    head_sums(given.inputs, given.weight, seed=1).to_vector(),
    gradient_sums(given.inputs, given.targets, given.weight, head).to_vector(),
    predict(given.inputs, head),
    made.inputs(rows, made.centre(rows)),
)

print(sha256(b"".join(result.tobytes() for result in results)).hexdigest())
"""


def digest(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def usual() -> str:
    return digest({})


@pytest.mark.parametrize(
    "environment",
    [
        {"OPENBLAS_CORETYPE": "Prescott"},
        {"OPENBLAS_CORETYPE": "Sandybridge"},
        {"OPENBLAS_NUM_THREADS": "2"},
        {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX"},
    ],
    ids=lambda environment: "-".join(environment.values()),
)
def test_another_kernel_gives_the_same_bits(environment: dict[str, str], usual: str):
    assert digest(environment) == usual

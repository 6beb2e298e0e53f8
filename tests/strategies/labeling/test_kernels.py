"""Compiled kernels give the bits of the numpy ones."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import MissingExtraError
from strategies.labeling import LabelModel, VoteSummary
from strategies.labeling.expected_counts import expected_counts
from strategies.labeling.incidence import Incidence
from strategies.labeling.kernels import NUMPY, Kernels, compiled
from tests.strategies.labeling.made_votes import any_votes


@pytest.fixture(scope="module")
def numba() -> Kernels:
    pytest.importorskip("numba", reason="numba is not installed: pip install 'fieldvote[dev]'")
    return compiled()


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 400),
    functions=st.integers(0, 9),
    classes=st.integers(2, 9),
    silence=st.sampled_from([0.0, 0.5, 0.97]),
    size=st.sampled_from([None, 0, 1, 2]),
)
def test_compiled_kernels_equal_the_numpy_ones_bit_for_bit(
    numba: Kernels,
    seed: int,
    items: int,
    functions: int,
    classes: int,
    silence: float,
    size: int | None,
) -> None:
    rng = np.random.default_rng(seed)
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    votes[rng.random(votes.shape) < silence] = -1
    summary = VoteSummary.from_votes(votes, classes=classes)
    assert VoteSummary.from_votes(votes, classes=classes, kernels=numba) == summary
    model = LabelModel.fit(summary)
    laid = Incidence.of(votes, classes, pattern_functions=size if functions else 0)
    counts, twins = (expected_counts(model, laid, kernels=used) for used in (NUMPY, numba))
    assert counts.to_vector().tobytes() == twins.to_vector().tobytes()
    damping = float(rng.random())
    one, other = (
        used.probabilities(model.evidence, laid, prior=model.prior, damping=damping)
        for used in (NUMPY, numba)
    )
    assert one.tobytes() == other.tobytes()


def test_many_items_are_equal_too(numba: Kernels) -> None:
    votes = any_votes(np.random.default_rng(1), items=40_000, functions=24, classes=3)
    votes[:10_000] = -1
    summary = VoteSummary.from_votes(votes, classes=3)
    assert VoteSummary.from_votes(votes, classes=3, kernels=numba) == summary
    model = LabelModel.fit(summary)
    counts, twins = (expected_counts(model, votes, kernels=used) for used in (NUMPY, numba))
    assert counts.to_vector().tobytes() == twins.to_vector().tobytes()


def test_without_numba_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    compiled.cache_clear()
    with pytest.raises(MissingExtraError, match=r"fieldvote\[coordinator\]"):
        compiled()


def test_a_device_does_not_load_numba() -> None:
    import subprocess

    program = (
        "import sys, numpy as np; from strategies.labeling import LabelModel, VoteSummary\n"
        "s = VoteSummary.from_votes(np.zeros((4, 3), dtype=np.int8), classes=2)\n"
        "LabelModel.fit(s).predict(np.zeros((4, 3), dtype=np.int8))\n"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0

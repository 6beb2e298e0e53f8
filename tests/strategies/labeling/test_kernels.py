"""Compiled kernels give the bits of the numpy ones."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import MissingExtraError
from strategies.labeling import LabelModel, VoteSummary
from strategies.labeling.expected_counts import expected_counts
from strategies.labeling.incidence import Incidence
from strategies.labeling.kernels import NUMPY, Kernels, compiled
from strategies.labeling.leave_one_out import leave_one_out
from tests.strategies.labeling.made_votes import any_votes


@pytest.fixture(scope="module")
def numba() -> Kernels:
    pytest.importorskip("numba", reason="numba is not installed: pip install 'fieldvote[dev]'")
    return compiled()


def numba_lay_out(votes: NDArray[np.int8], classes: int, size: int | None) -> Incidence:
    from strategies.labeling import numba_tokens

    return numba_tokens.lay_out(votes, classes, pattern_functions=size)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(0, 400),
    functions=st.integers(0, 12),
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
    functions_each = size if functions else 0
    for used in (NUMPY, numba):
        laid = Incidence.of(votes, classes, pattern_functions=functions_each)
        twin = numba_lay_out(votes, classes, functions_each)
        assert twin.counts.tolist() == laid.counts.tolist()
        # either kernels read what either laid out
        counts, twins = (expected_counts(model, each, kernels=used) for each in (laid, twin))
        assert counts.to_vector().tobytes() == twins.to_vector().tobytes()
    counts, twins = (expected_counts(model, laid, kernels=used) for used in (NUMPY, numba))
    assert counts.to_vector().tobytes() == twins.to_vector().tobytes()
    values = rng.integers(0, 1 << 32, functions * classes).astype(np.float64)
    sums, others = (used.row_sums(values, laid) for used in (NUMPY, numba))
    assert sums.tobytes() == others.tobytes()
    damped = replace(model, damping=float(rng.random()))
    one, other = (damped.predict(votes, kernels=used) for used in (NUMPY, numba))
    assert one.tobytes() == other.tobytes()
    copies = np.zeros((functions, functions), dtype=np.bool_)
    losses, twin_losses = (
        leave_one_out(model, each, copies=copies, one_in=2, kernels=used)
        for each, used in ((votes, NUMPY), (laid, numba))
    )
    assert losses.to_vector().tobytes() == twin_losses.to_vector().tobytes()


def test_many_items_are_equal_too(numba: Kernels) -> None:
    votes = any_votes(np.random.default_rng(1), items=40_000, functions=24, classes=3)
    votes[:10_000] = -1
    summary = VoteSummary.from_votes(votes, classes=3)
    assert VoteSummary.from_votes(votes, classes=3, kernels=numba) == summary
    model = LabelModel.fit(summary)
    counts, twins = (expected_counts(model, votes, kernels=used) for used in (NUMPY, numba))
    assert counts.to_vector().tobytes() == twins.to_vector().tobytes()


def test_more_votes_than_sixteen_bits_number_are_equal_too(numba: Kernels) -> None:
    votes = any_votes(np.random.default_rng(2), items=5, functions=5_000, classes=14)
    model = replace(
        LabelModel.fit(VoteSummary.from_votes(votes[:, :2], classes=14)),
        accuracies=np.full(5_000, 0.7),
        weights=np.ones(5_000),
    )
    counts, twins = (expected_counts(model, votes, kernels=used) for used in (NUMPY, numba))
    assert counts.right.sum() > 0
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

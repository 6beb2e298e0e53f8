"""Gradients beside torch's own, in the peers' venv."""

from pathlib import Path

import pytest

from tests.coordinator.compiler.networks import NETWORKS
from tests.coordinator.compiler.torch_peer import errors, torch_at_hand

NAMES = tuple(name for name in NETWORKS if name != "large_mlp")  # which is mlp, but larger


@pytest.mark.slow
def test_gradients_are_torch_s_to_one_part_in_a_hundred_thousand(tmp_path: Path) -> None:
    if not torch_at_hand():
        pytest.skip("torch is not importable from .venv-peers: make bench-peers")
    found = errors(NAMES, tmp_path)
    assert set(found) == set(NAMES)
    assert {name: error for name, error in found.items() if error > 1e-5} == {}

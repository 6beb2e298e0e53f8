"""Asking torch, in the peers' venv, how far compiled gradients are from its own."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from coordinator.compiler import compile_step
from tests.coordinator.compiler.networks import NETWORKS
from tests.coordinator.compiler.running import run

PEER_PYTHON = Path(__file__).parents[3] / ".venv-peers" / "bin" / "python"
CHECK = Path(__file__).with_name("torch_check.py")


def torch_at_hand() -> bool:
    """Say whether torch can be asked."""
    asked = [str(PEER_PYTHON), "-c", "import torch"]
    return PEER_PYTHON.exists() and not subprocess.run(asked, capture_output=True).returncode


def errors(names: tuple[str, ...], folder: Path, *, block: int = 0) -> dict[str, float]:
    """Return the largest error of any parameter's gradient, in shares of torch's, by network."""
    for name in names:
        network = NETWORKS[name]()
        step = compile_step(network.model, emit="gradients", block=block)
        feed = network.batch(4)
        made = run(step, feed)
        tensors = onnx.load_from_string(network.model).graph.initializer
        np.savez(
            folder / f"{name}.npz",
            loss=made["loss"],
            **feed,
            **{f"w/{tensor.name}": numpy_helper.to_array(tensor) for tensor in tensors},
            **{f"g/{key}": made[f"grad:{key}"] for key in step.parameters},
        )
    done = subprocess.run(
        [str(PEER_PYTHON), str(CHECK), str(folder), *names],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found

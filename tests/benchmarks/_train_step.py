"""What the benchmark of train steps runs in processes of their own; it prints one JSON object.

    python _train_step.py times FOLDER SECONDS NAME VARIANT...
    python _train_step.py memory FOLDER NAME VARIANT

A variant is `torch`, or a step in the folder. `FIELDVOTE_SITE` is where ONNX Runtime is, for a
Python that does not have it.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "coordinator" / "compiler")]
sys.path.append(os.environ.get("FIELDVOTE_SITE", ""))
STEPS = 12
TURN_S = 0.02


def ours(folder: Path, name: str, variant: str) -> Callable[[], object]:
    """Return one step of ours."""
    from edge.learning.step_runner import StepRunner

    start = dict(np.load(folder / f"{name}.start.npz"))
    batch = dict(np.load(folder / f"{name}.batch.npz"))
    about = json.loads((folder / f"{name}.{variant}.json").read_text())
    graph = (folder / f"{name}.{variant}.onnx").read_bytes()
    if about["forward"]:
        return forward(graph, {**start, "x": batch["x"]})
    runner = StepRunner(graph, start, rows_at_once=about["rows_at_once"])
    if about["gate"]:
        gate = np.zeros(len(batch["x"]), np.float32)
        gate[: round(about["deep"] * len(gate))] = 1
        batch[f"gate:{about['gate']}"] = gate
    return lambda: runner.step(batch, rate=1e-4)


def forward(graph: bytes, feed: dict[str, np.ndarray]) -> Callable[[], object]:
    """Return the forward pass alone, with weights that are fed."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["logits"], feed)


def torch_step(folder: Path, name: str) -> Callable[[], object]:
    """Return one step of torch, eager."""
    import torch
    from torch_twins import TWINS, soft_cross_entropy

    torch.set_num_threads(1)
    weights = dict(np.load(folder / f"{name}.start.npz"))
    batch = {k: torch.tensor(v) for k, v in np.load(folder / f"{name}.batch.npz").items()}
    twin = TWINS[name]().train()
    twin.load_state_dict({key: torch.tensor(array) for key, array in weights.items()})
    optimizer = torch.optim.SGD(twin.parameters(), lr=1e-4)

    def step() -> float:
        optimizer.zero_grad()
        loss = soft_cross_entropy(twin(batch["x"]), batch["target"], batch["weight"])
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def times(folder: Path, seconds: float, name: str, variants: list[str]) -> dict[str, float]:
    """Return the median milliseconds of processor time of each variant, taking turns.

    A turn is some steps of one variant, as training is many steps of one kind: a single small step
    would find the caches full of its neighbour's data.
    """
    steps = {
        variant: torch_step(folder, name) if variant == "torch" else ours(folder, name, variant)
        for variant in variants
    }
    turn = {variant: steps_in(step, TURN_S) for variant, step in steps.items()}
    taken: dict[str, list[float]] = {variant: [] for variant in variants}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(taken[variants[0]]) < 5:
        for variant, step in steps.items():
            begun = time.process_time()
            for _ in range(turn[variant]):
                step()
            taken[variant].append(1e3 * (time.process_time() - begun) / turn[variant])
    return {variant: float(np.median(spent)) for variant, spent in taken.items()}


def steps_in(step: Callable[[], object], seconds: float) -> int:
    """Return how many steps fit into some seconds, after a few to load and grow."""
    for _ in range(3):
        step()
    begun = time.process_time()
    step()
    return max(1, round(seconds / max(time.process_time() - begun, 1e-6)))


def peak_mb(folder: Path, name: str, variant: str) -> dict[str, float]:
    """Return the largest resident set after some steps."""
    step = torch_step(folder, name) if variant == "torch" else ours(folder, name, variant)
    for _ in range(STEPS):
        step()
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return {"mb": int(line.split()[1]) / 1024}


if __name__ == "__main__":
    kind, where, *rest = sys.argv[1:]
    if kind == "times":
        print(json.dumps(times(Path(where), float(rest[0]), rest[1], rest[2:])))
    else:
        print(json.dumps(peak_mb(Path(where), *rest)))

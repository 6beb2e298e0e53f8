"""A train step on plain ONNX Runtime beside torch eager: time, memory, gates, and the first step.

    python tests/benchmarks/train_step.py [--peers] [--quick] [--json]

With --peers, torch takes a step, then each of our graphs, in turns in one process of the venv
`.venv-peers`, one thread each; times are medians of processor time, so neighbours do not count.
Memory is the largest resident set of a process that does nothing else. The device chooses among our
graphs by itself, so the fastest counts; a batch may be taken in parts where memory is asked for.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
from _table import Options, Row, run

from coordinator.compiler import compile_step
from tests.coordinator.compiler.networks import NETWORKS, Network
from tests.coordinator.compiler.torch_peer import PEER_PYTHON, errors, torch_at_hand

ROOT = Path(__file__).resolve().parents[2]
CHILD = Path(__file__).with_name("_train_step.py")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
#: Batch, share of torch's time to stay under, samples in a part where memory counts.
SETTINGS: dict[str, tuple[int, float, int | None]] = {
    "mlp": (32, 0.42, None),
    "large_mlp": (64, 0.68, None),
    "transformer": (16, 0.85, 8),
    "lenet": (32, 0.95, 8),
    "mobilenet": (8, 0.75, 1),
}
MOST_MEMORY, MOST_BACKWARD, MOST_FIRST_S, MOST_ERROR = 0.3, 0.35, 0.4, 1e-5
GATED = ("small_mobilenet", "lenet")
FIRST = """
import sys
import numpy as np
from edge.learning.step_runner import StepRunner
graph = open(sys.argv[1] + ".standard.onnx", "rb").read()
runner = StepRunner(graph, dict(np.load(sys.argv[1] + ".start.npz")))
runner.step(dict(np.load(sys.argv[1] + ".batch.npz")), rate=0.1)
"""


def child(peers: bool, *arguments: str) -> dict[str, float]:
    """Run the child, in the peers' Python if torch takes part; return what it measured."""
    site = str(Path(onnx.__file__).parents[1])
    done = subprocess.run(
        [str(PEER_PYTHON) if peers else sys.executable, str(CHILD), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **ONE_THREAD, "FIELDVOTE_SITE": site if peers else ""},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def prepare(folder: Path, name: str, network: Network, batch: int) -> list[str]:
    """Write a network's steps into the folder; return the names of those that train all at once."""
    rows = SETTINGS[name][2] if name in SETTINGS else None
    variants: dict[str, dict[str, object]] = {"standard": {}}
    if any(step in network.model for step in (b"Conv",)):
        variants |= {"blocked": {"block": 16}}
    plain = list(variants)
    if rows is not None:
        variants["parts"] = {**variants.get("blocked", {}), "accumulate": True}
    if name in GATED:
        gated = {**variants.get("blocked", {}), "gates": (network.gate,)}
        variants |= {"deep.25": gated, "deep1": gated}
    for variant, arguments in variants.items():
        step = compile_step(network.model, **arguments)
        (folder / f"{name}.{variant}.onnx").write_bytes(step.graph)
        about = {
            "forward": False,
            "rows_at_once": rows if variant == "parts" else None,
            "gate": network.gate if variant.startswith("deep") else None,
            "deep": float(variant.removeprefix("deep")) if variant.startswith("deep") else None,
        }
        (folder / f"{name}.{variant}.json").write_text(json.dumps(about))
    np.savez(folder / f"{name}.start.npz", **step.parameters)
    np.savez(folder / f"{name}.batch.npz", **network.batch(batch))
    return plain


def speed_rows(options: Options, folder: Path) -> list[Row]:
    """Time of a step, and memory, by network."""
    rows = []
    for name, (batch, most, parts) in SETTINGS.items():
        plain = prepare(folder, name, NETWORKS[name](), batch)
        variants = [*plain, "parts"] if parts else plain
        torch = ["torch"] * options.peers
        seconds = "1" if options.quick else "12"
        spent = child(options.peers, "times", str(folder), seconds, name, *torch, *variants)
        best = min(plain, key=lambda variant, spent=spent: spent[variant])
        lean = "parts" if parts else best
        peer, what = spent.get("torch"), f"step, {name}, batch {batch}"
        rows.append(beside(f"{what}, {best}", spent[best], "ms", peer, most))
        if parts:
            rows.append(beside(f"{what}, {parts} at once", spent["parts"], "ms", peer, None))
        ours = child(False, "memory", str(folder), name, lean)["mb"]
        theirs = child(True, "memory", str(folder), name, "torch")["mb"] if options.peers else None
        rows.append(beside(f"memory, {name}, {lean}", ours, "MB", theirs, MOST_MEMORY))
    return rows


def beside(what: str, ours: float, unit: str, peer: float | None, most: float | None) -> Row:
    """Return a row beside torch's figure."""
    return Row(
        what=what,
        ours=ours,
        unit=unit,
        peer=peer,
        peer_name=None if peer is None else "torch",
        ratio=None if peer is None else peer / ours,
        target=None if most is None else f"<= {most} of it",
        met=None if peer is None or most is None else ours <= most * peer,
    )


def gate_rows(options: Options, folder: Path) -> list[Row]:
    """What the backward pass costs when a quarter of the batch may teach all layers."""
    rows = []
    for name in GATED:
        network = NETWORKS[name]()
        plain = prepare(folder, name, network, 32)[-1]
        proto = onnx.load_from_string((folder / f"{name}.{plain}.onnx").read_bytes())
        _write_forward(folder, name, proto)
        seconds = "1" if options.quick else "10"
        variants = ("forward", "deep.25", "deep1")
        spent = child(False, "times", str(folder), seconds, name, *variants)
        share = (spent["deep.25"] - spent["forward"]) / (spent["deep1"] - spent["forward"])
        rows.append(
            Row(
                what=f"backward at 25 % deep, {name}",
                ours=share,
                unit="of full",
                target=f"<= {MOST_BACKWARD}",
                met=share <= MOST_BACKWARD,
            )
        )
    return rows


def _write_forward(folder: Path, name: str, proto: onnx.ModelProto) -> None:
    """Write the step's forward pass alone: everything its logits are made from."""
    graph = proto.graph
    live, kept = {"logits"}, []
    for node in reversed(graph.node):
        if live.intersection(node.output):
            kept.append(node)
            live.update(node.input)
    del graph.node[:], graph.output[:]
    graph.node.extend(reversed(kept))
    graph.output.append(onnx.helper.make_tensor_value_info("logits", 1, None))
    fed = [value for value in graph.input if value.name in live]
    del graph.input[:]
    graph.input.extend(fed)
    (folder / f"{name}.forward.onnx").write_bytes(proto.SerializeToString())
    (folder / f"{name}.forward.json").write_text(json.dumps({"forward": True}))


def first_row(options: Options, folder: Path) -> Row:
    """Seconds from the start of a process to the end of its first step."""
    asked = [sys.executable, "-c", FIRST, str(folder / "mlp")]
    taken = []
    for _ in range(2 if options.quick else 7):
        begun = time.monotonic()
        subprocess.run(asked, check=True, cwd=ROOT, env={**os.environ, **ONE_THREAD})
        taken.append(time.monotonic() - begun)
    return Row(
        what="first step after start, mlp",
        ours=min(taken),
        unit="s",
        target=f"<= {MOST_FIRST_S}",
        met=min(taken) <= MOST_FIRST_S,
    )


def error_row(folder: Path) -> Row:
    """The largest error of a gradient, over all networks that the tests have."""
    found = errors(tuple(NETWORKS), folder)
    worst = max(found, key=lambda name: found[name])
    return Row(
        what=f"gradient error, worst of {len(found)} networks, {worst}",
        ours=found[worst],
        unit="of torch",
        peer_name="torch",
        target=f"<= {MOST_ERROR}",
        met=found[worst] <= MOST_ERROR,
    )


def asked_torch(options: Options) -> Options:
    """Return the options without peers where torch cannot be asked, and say so on stderr."""
    if not options.peers or torch_at_hand():
        return options
    print("torch is not importable from .venv-peers: peer columns stay empty", file=sys.stderr)
    return Options(peers=False, quick=options.quick)


def measure(options: Options) -> list[Row]:
    """Return all rows."""
    usable = asked_torch(options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [
            *speed_rows(usable, folder),
            *gate_rows(usable, folder),
            first_row(usable, folder),
            *([error_row(folder)] if usable.peers else []),
        ]


if __name__ == "__main__":
    sys.exit(run("train_step", "Train steps on ONNX Runtime beside torch eager.", measure))

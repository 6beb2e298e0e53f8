"""What a program does not load when it starts: a device is small, and a command answers at once.

No times here: what is loaded is the same on every machine, and it is what time and memory go by.
"""

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

# of Flower, of a coordinator, and of the command line
FOREIGN = ("flwr", "onnx", "numba", "sqlalchemy", "fastapi", "matplotlib", "sklearn", "ray")
# what answers questions that few devices are asked, and what only a coordinator calculates
SELDOM = (
    "cryptography.x509",  # where a device is enrolled
    "edge.comparing",
    "edge.credential",
    "edge.influence",
    "edge.private",  # where the policy hides records
    "edge.recasting",
    "edge.secure_means",
    "edge.shadow",
    "edge.summing",  # where the policy asks for sums under masks
    "importlib.metadata",  # where a function is written in Python
    "importlib.resources",
    "privacy.secagg",
    "strategies.acquisition.fleet",
    "strategies.governance.influence",
    "strategies.labeling.exchanges",
    "strategies.labeling.one_shot",
)
COMMANDS = [
    entry.module
    for group in ("fieldvote.verbs", "fieldvote.commands")
    for entry in entry_points(group=group)
]
STARTS = {
    "an agent": (("edge.agent", "edge.teaching"), (*FOREIGN, *SELDOM, "onnxruntime", "typer")),
    "an agent in its fleet": (("edge.service", "edge.flower.node"), FOREIGN),
    "the status of a device": (
        ("edge.status",),
        (*FOREIGN, "onnxruntime", "edge.agent", "edge.labeling", "privacy.pii"),
    ),
    "a look at a campaign": (
        ("coordinator.service",),
        (
            "flwr",
            "onnx",
            "numba",
            "coordinator.compiler",
            "coordinator.keys.online",
            "coordinator.rounds.private_budget",
            "coordinator.rounds.reproduce",
        ),
    ),
    "the help of any command": (
        ("fieldvote.cli", *COMMANDS),
        (*FOREIGN, "numpy", "cryptography", "onnxruntime"),
    ),
}


@pytest.mark.parametrize("what", STARTS)
def test_a_start_loads_nothing_it_does_not_need(what: str) -> None:
    modules, needless = STARTS[what]
    code = f"import sys, {', '.join(sorted(modules))}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(needless) & set(done.stdout.split()) == set()

"""A model may crash, hang or eat memory: the child does not come back, and the device says why."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from coordinator.models.backbone import identity_backbone
from edge.model_guard.first_run import RunLimits, run_apart
from edge.model_guard.golden import Golden, golden_inputs, golden_of
from edge.model_guard.rules import Wanted, check_model
from edge.scorer import Scorer
from fieldvote.errors import TaskError, UnavailableError
from tests.doubles.models import CLASSES, NAMES, WIDTH, made, model_of, node, written

COPY = node("Identity", "input", "embedding")
SMALL = RunLimits(memory_bytes=64 * 2**20, cpu_s=1, wall_s=60)


def first_run(
    model: bytes, *, golden: Golden | None = None, limits: RunLimits | None = None
) -> None:
    """Run what the rules let through: these faults show only in a run."""
    check_model(model, Wanted.backbone(NAMES, WIDTH, CLASSES), where="net.onnx")
    run_apart(
        model,
        names=NAMES,
        width=WIDTH,
        classes=CLASSES,
        golden=golden,
        where="net.onnx",
        limits=limits,
    )


def golden(model: bytes) -> Golden:
    inputs = golden_inputs(WIDTH)
    return golden_of(inputs, Scorer(model, names=NAMES).score(inputs))


def slow() -> bytes:
    """Return a model that multiplies large matrices for minutes."""
    side = 3072
    steps = [node("MatMul", f"m{number} m0", f"m{number + 1}") for number in range(400)]
    # out of the input, so that nothing of it can be computed while it loads
    start = [
        node("ReduceMax", "input", "one", keepdims=0),
        node("Expand", "one shape", "m0"),
        node("ReduceMax", "m400", "last", keepdims=0),
        node("Add", "input last", "embedding"),
    ]
    return made(*start[:2], *steps, *start[2:], shape=np.array([side, side]))


def test_a_model_that_does_what_models_do_passes() -> None:
    model = written(model_of())
    first_run(model)
    first_run(model, golden=golden(model))
    first_run(identity_backbone(WIDTH, CLASSES))


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(TaskError, match=r"^net\.onnx gives numbers that are not finite"):
        first_run(made(node("Log", "input", "embedding")))


def test_a_model_that_gives_one_row_for_all_is_refused() -> None:
    nodes = node("ReduceMean", "input", "embedding", axes=[0], keepdims=1)
    with pytest.raises(TaskError, match="one row of the right width per item"):
        first_run(made(nodes))


def test_probabilities_that_are_none_are_refused() -> None:
    model = model_of()
    model.graph.node[-1].op_type = "Relu"
    model.graph.node[-1].ClearField("attribute")
    with pytest.raises(TaskError, match="do not sum to 1"):
        first_run(written(model))


def test_a_model_that_does_not_fit_its_own_shapes_is_refused() -> None:
    with pytest.raises(TaskError, match=r"cannot|can load|does not run"):
        first_run(made(node("MatMul", "input wrong", "embedding"), wrong=np.ones((9, 9), "f4")))


def test_a_changed_weight_does_not_give_the_golden_outputs() -> None:
    model = model_of()
    kept = golden(written(model))
    weight = bytearray(model.graph.initializer[0].raw_data)
    weight[-1] ^= 0x01  # the top of one exponent
    model.graph.initializer[0].raw_data = bytes(weight)
    with pytest.raises(TaskError, match="golden outputs it was signed with"):
        first_run(written(model), golden=kept)


def test_a_memory_hog_is_stopped_by_its_limit() -> None:
    hog = made(
        node("Tile", "input many", "wide"),
        node("ReduceSum", "wide axes", "one", keepdims=1),
        node("Add", "input one", "embedding"),
        many=np.array([1, 1 << 16]),
        axes=np.array([1]),
    )
    with pytest.raises(TaskError, match=r"more memory .* than a first run may have"):
        first_run(hog, limits=SMALL)


def test_a_run_that_takes_too_much_processor_time_is_stopped() -> None:
    limits = RunLimits(cpu_s=1, wall_s=60)
    with pytest.raises(TaskError, match="computes longer on a batch of items"):
        first_run(slow(), limits=limits)


def test_a_run_without_end_is_killed() -> None:
    began = time.monotonic()
    with pytest.raises(TaskError, match=r"does not end its first run within 1\.5 s"):
        first_run(slow(), limits=RunLimits(wall_s=1.5))
    assert time.monotonic() - began < 20


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.model_guard.first_run._CHILD", "tests.doubles.hostile_child")


def taken_over(what: bytes, third: str = "embedding", wall_s: float = 60.0) -> None:
    run_apart(
        b"model" + what,
        names=(*NAMES[:2], third),
        width=WIDTH,
        classes=CLASSES,
        where="net.onnx",
        limits=RunLimits(wall_s=wall_s),
    )


@pytest.mark.usefixtures("hostile")
def test_a_crash_of_the_child_is_a_refusal() -> None:
    with pytest.raises(TaskError, match=r"^net\.onnx crashes in its first run \(SIGABRT\)"):
        taken_over(b"AB")
    with pytest.raises(TaskError, match=r"crashes in its first run \(status 77\)"):
        taken_over(b"EX")


@pytest.mark.usefixtures("hostile")
def test_what_a_child_says_is_not_read() -> None:
    taken_over(b"FL")


@pytest.mark.usefixtures("hostile")
def test_what_a_child_starts_is_killed_with_it(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    with pytest.raises(TaskError, match="does not end"):
        taken_over(b"FK", str(said), wall_s=2.0)
    pid = int(said.read_text())
    for _ in range(200):
        if not _runs(pid):
            return
        time.sleep(0.05)
    pytest.fail("the grandchild goes on")


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_no_process_now_is_told_from_a_bad_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", os.devnull)
    with pytest.raises(UnavailableError, match="no process for a first run"):
        first_run(written(model_of()))


def test_the_child_opens_and_writes_nothing(tmp_path: Path) -> None:
    """The limits hold: what the child would do after them fails."""
    code = (
        "import os\n"
        "from edge.model_guard.child import confine\n"
        "confine(1 << 28, 5)\n"
        "failed = 0\n"
        "try:\n    open('/etc/hostname')\nexcept OSError:\n    failed += 1\n"
        "try:\n    os.write(2, b'x' * 10)\nexcept OSError:\n    failed += 1\n"
        "try:\n    bytearray(1 << 30)\nexcept MemoryError:\n    failed += 1\n"
        "os._exit(failed)\n"
    )
    with (tmp_path / "out").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=out,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            check=False,
        )
    assert done.returncode == 3
    assert (tmp_path / "out").read_bytes() == b""

"""A hostile model in a bundle its very owner signed: refused by name, and the old one serves on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, load_from_string

from edge.model_guard.first_run import RunLimits
from edge.scorer import scorer_of
from fieldvote.task import Task
from tests.doubles.models import node
from tests.doubles.owner import OWNER
from tests.doubles.phones import NEW, OLD, Phone
from tests.doubles.tasks import task_of

Change = Callable[[ModelProto], object]


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Phone]:
    made = Phone(tmp_path)
    yield made
    made.pool.close()


def changed(change: Change) -> bytes:
    """Return the new task's model after somebody has had a hand in it."""
    model = load_from_string(NEW["model.onnx"])
    change(model)
    return bytes(model.SerializeToString())


def external(model: ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "../state/pool.sqlite"


def bomb(model: ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("big", TensorProto.INT64, [2], [1 << 30] * 2))
    model.graph.node.insert(0, node("Expand", "input big", "huge"))


def not_a_number(model: ModelProto) -> None:
    model.graph.node[0].op_type = "Log"


def hog(model: ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("many", TensorProto.INT64, [2], [1, 1 << 16]))
    model.graph.node.insert(0, node("Tile", "input many", "wide"))


HOSTILE: dict[str, tuple[bytes, str]] = {
    "external data": (changed(external), "another file"),
    "a bomb": (changed(bomb), "Expand"),
    "its own operators": (
        changed(lambda m: setattr(m.graph.node[0], "domain", "com.microsoft")), "com.microsoft"
    ),
    "a claim of 200 MB": (
        changed(lambda m: m.graph.initializer[0].dims.__setitem__(0, 25_000_000)), "holds"
    ),
    "no numbers": (changed(not_a_number), "not finite"),
    "a hog": (changed(hog), "more memory"),
    "half a file": (NEW["model.onnx"][:-40], "may see"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(HOSTILE))
def test_a_hostile_model_is_refused_by_name_and_the_old_task_serves_on(
    phone: Phone, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = RunLimits(memory_bytes=64 * 2**20)
    monkeypatch.setattr("edge.model_guard.first_run.RunLimits", lambda: small)
    model, said = HOSTILE[what]
    before = phone.digest()
    reply = phone.finish(OWNER.bundle({**NEW, "model.onnx": model}, 4), 30_000)
    assert said in reply.refusal
    assert "model.onnx" in reply.refusal
    assert (reply.installed, phone.arrivals.installed) == (False, False)
    assert phone.digest() == before == task_of(OLD).digest
    scorer_of(Task.load(phone.task), phone.pool).score(np.zeros((1, 64), np.float32))


def test_one_flipped_bit_of_a_model_never_reaches_the_guard(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*_: object, **__: object) -> None:
        raise AssertionError("bytes that nobody signed were read")

    monkeypatch.setattr("edge.model_guard.rules.read_model", reached)
    model = bytearray(NEW["model.onnx"])
    model[len(model) // 2] ^= 1
    good, bad = OWNER.bundle(NEW, 4), OWNER.bundle({**NEW, "model.onnx": bytes(model)}, 4)
    from fieldvote.bundle import TARGETS_FILE, Bundle, unpack

    targets = unpack(good.content)[TARGETS_FILE]
    files = {**unpack(bad.content), TARGETS_FILE: targets}
    reply = phone.finish(Bundle.of(files), 30_000)
    assert not reply.installed
    assert reply.refusal


def test_what_a_new_task_brings_is_run_once_however_often_it_is_opened(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert phone.finish(OWNER.bundle(NEW, 4), 30_000).installed

    def again(*_: object, **__: object) -> None:
        raise AssertionError("a first run was paid for twice")

    monkeypatch.setattr("edge.model_guard.admission.run_apart", again)
    phone.restart()
    scorer_of(Task.load(phone.task), phone.pool)

"""One device from its settings: private files, one filling, and nothing half done."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.device import Device, opened, sketch_seed
from edge.labeling.python_functions import installed_digest
from edge.settings import EdgeSettings
from edge.stores import open_pool
from fieldvote.errors import (
    DataError,
    FieldvoteError,
    InputError,
    RefusalError,
    SignatureError,
    StoreError,
)
from fieldvote.records import HelloReply, HelloRequest, decode, encode
from tests.doubles.owner import OWNER
from tests.doubles.tasks import tabular_files, text_files, write_device
from tests.edge.labeling import test_python_functions

ITEMS = "a prize for you\n\nsee you at home\na third one\n"


def hello(device: Device) -> HelloReply:
    return decode(device.agent.handle(encode(HelloRequest(campaign="c"))), HelloReply)


def opened_items(config: Path) -> tuple[HelloReply, list[bytes]]:
    with opened(EdgeSettings.load(config)) as device:
        return hello(device), device.pool.ids()


def items_in(config: Path) -> int:
    """Return how many items a pool holds, without opening the device."""
    pool = open_pool(EdgeSettings.load(config))
    try:
        return len(pool)
    finally:
        pool.close()


def test_a_device_is_the_same_one_when_it_is_opened_again(tmp_path: Path) -> None:
    config = write_device(tmp_path, text_files(), items=ITEMS)
    first, again = opened_items(config), opened_items(config)
    assert first == again
    assert first[0].items == 3
    assert len(set(first[1])) == 3


PYTHON = """
[[function]]
id = "shouts"
kind = "python"
owner = "ann"
votes_for = ["offer"]
entry_point = "shouts"
digest = "{digest}"
"""

site = test_python_functions.site


@pytest.mark.usefixtures("site")
def test_a_python_function_runs_only_where_the_device_pins_it(tmp_path: Path) -> None:
    digest = installed_digest("shouts")
    files = text_files(functions=PYTHON.format(digest=digest))
    config = write_device(tmp_path / "a", files, items=ITEMS)
    with pytest.raises(RefusalError, match="this device pins no Python function 'shouts'"):
        opened_items(config)
    pins = f'{{ shouts = "{digest}" }}'
    config = write_device(tmp_path / "b", files, items=ITEMS, python_functions=pins)
    assert opened_items(config)[0].items == 3


def test_two_devices_share_neither_keys_nor_ids(tmp_path: Path) -> None:
    one, other = (
        opened_items(write_device(tmp_path / name, text_files(), items=ITEMS)) for name in "ab"
    )
    assert one[0].signing_key != other[0].signing_key
    assert one[0].sealing_key != other[0].sealing_key
    assert not set(one[1]) & set(other[1])


def test_what_a_device_keeps_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    config = write_device(tmp_path, text_files(), items=ITEMS)
    opened_items(config)
    state = tmp_path / "state"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()}
    kept = ("signing.key", "sealing.key", "pool.sqlite", "at_rest.key")
    assert modes == dict.fromkeys(kept, 0o600)


def test_a_purged_pool_is_not_filled_with_the_same_items_again(tmp_path: Path) -> None:
    config = write_device(tmp_path, text_files(), items=ITEMS)
    with opened(EdgeSettings.load(config)) as device:
        assert device.pool.purge() == 3
    with pytest.raises(InputError, match="the pool is empty"):
        opened_items(config)
    assert items_in(config) == 0


def test_a_device_that_evaluates_takes_the_labels_of_its_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", X=np.zeros((4, 3)), y=np.array([0, 2, 1, 2]))
    config = write_device(tmp_path, tabular_files(), item_file='"rows.npz"', evaluates="true")
    with opened(EdgeSettings.load(config)) as device:
        assert device.pool.column("gold").tolist() == [0, 2, 1, 2]
        assert hello(device).evaluates


def npz(folder: Path, **arrays: NDArray[Any]) -> str:
    np.savez(folder / "items.npz", **arrays)  # type: ignore[arg-type]  # NumPy types a flag among them
    return '"items.npz"'


Files = Callable[[], dict[str, bytes]]
WRONG_ITEMS: dict[str, tuple[Files, dict[str, NDArray[Any]], str]] = {
    "rows for texts": (text_files, {"X": np.zeros((2, 3))}, "expected texts under utf8"),
    "texts for rows": (tabular_files, {"utf8": np.frombuffer(b"a\nb", np.uint8)}, "under X"),
    "another width": (tabular_files, {"X": np.zeros((2, 4))}, r"expected \(n, 3\)"),
    "infinity": (tabular_files, {"X": np.array([[0, np.inf, 0]])}, "infinity at row 0, column 1"),
    "no item": (tabular_files, {"X": np.zeros((0, 3))}, "holds no items"),
    "no UTF-8": (text_files, {"utf8": np.array([65, 255], np.uint8)}, "not UTF-8"),
    "pickled": (text_files, {"utf8": np.array([{}], dtype=object)}, "not an .npz of plain arrays"),
}


@pytest.mark.parametrize("what", list(WRONG_ITEMS))
def test_a_file_of_other_items_is_one_clear_line_and_adds_nothing(
    tmp_path: Path, what: str
) -> None:
    files, arrays, said = WRONG_ITEMS[what]
    config = write_device(tmp_path, files(), item_file=npz(tmp_path, **arrays))
    with pytest.raises(DataError, match=said):
        opened_items(config)
    assert items_in(config) == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [("items.txt", b""), ("items.txt", b"\xff\xfe"), ("items.npz", b"no archive"), ("x.csv", b"a")],
)
def test_a_file_that_is_none_of_ours_adds_nothing(
    tmp_path: Path, name: str, content: bytes
) -> None:
    config = write_device(tmp_path, text_files(), item_file=f'"{name}"')
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        opened_items(config)
    assert items_in(config) == 0
    (tmp_path / name).unlink()
    with pytest.raises(DataError):
        opened_items(config)


def test_a_device_that_evaluates_needs_labels(tmp_path: Path) -> None:
    config = write_device(tmp_path, text_files(), items=ITEMS, evaluates="true")
    with pytest.raises(DataError, match="has no y"):
        opened_items(config)
    assert items_in(config) == 0


def test_an_unsigned_task_is_not_even_opened_where_a_root_is_set(tmp_path: Path) -> None:
    root = OWNER.put_root(tmp_path)
    config = write_device(tmp_path, text_files(), items=ITEMS, root=root)
    with pytest.raises(SignatureError):
        opened_items(config)
    assert items_in(config) == 0
    OWNER.sign_task(tmp_path / "task", 1)
    assert opened_items(config)[0].items == 3


@pytest.mark.parametrize("content", [None, b"", b"short", bytes(9)])
def test_a_sketch_secret_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    config = write_device(tmp_path, text_files(), items=ITEMS)
    (tmp_path / "sketch.key").unlink()
    if content is not None:
        (tmp_path / "sketch.key").write_bytes(content)
    with pytest.raises(InputError, match=r"sketch\.key"):
        opened_items(config)


def test_a_key_file_of_another_length_is_refused_and_kept(tmp_path: Path) -> None:
    config = write_device(tmp_path, text_files(), items=ITEMS)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "signing.key").write_bytes(b"half of it")
    with pytest.raises(InputError, match=r"signing\.key: 10 bytes where a secret of 32"):
        opened_items(config)
    assert (tmp_path / "state" / "signing.key").read_bytes() == b"half of it"


def test_a_folder_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    config = write_device(tmp_path, text_files(), items=ITEMS)
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StoreError, match="cannot be made"):
        opened_items(config)


def test_a_pool_that_is_none_is_said_and_left(tmp_path: Path) -> None:
    config = write_device(tmp_path, text_files(), items=ITEMS)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "pool.sqlite").write_bytes(b"no database " * 100)
    with pytest.raises(FieldvoteError, match="not a database"):
        opened_items(config)


def test_each_task_has_a_projection_of_its_own_that_all_devices_share(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"8 bytes!")
    (tmp_path / "other").write_bytes(b"8 bytes?")
    seeds = [
        sketch_seed(tmp_path / name, family)
        for name in ("one", "other")
        for family in ("ab" * 32, "cd" * 32)
    ]
    assert len(set(seeds)) == 4
    assert sketch_seed(tmp_path / "one", "ab" * 32) == seeds[0]

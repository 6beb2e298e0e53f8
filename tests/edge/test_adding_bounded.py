"""Files that come to a device with a bounded pool: on its disk, in memory, and when killed."""

import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.adding import fill
from edge.pool import Pool
from edge.selection import is_blank
from edge.service import Serving, add_items
from edge.settings import EdgeSettings, PoolSettings
from edge.status import status_of
from fieldvote.cli import app
from fieldvote.custody import CustodySettings, KeyPlace, locked_in
from fieldvote.errors import DataError
from fieldvote.records import CollectReply, CollectRequest, decode, encode
from tests.doubles.tasks import tabular_files, task_of, text_files, write_device
from tests.edge.test_adding import surveyed

BOUND = "{ most_items = 8, by_lot = 0.5 }"
TASK = task_of(tabular_files())


def texts(folder: Path, name: str, count: int) -> Path:
    file = folder / f"{name}.txt"
    file.write_text("".join(f"{name} planted {place} prize\n" for place in range(count)))
    return file


def table(path: Path, count: int, *, seed: int = 1) -> Path:
    np.savez(path, X=np.random.default_rng(seed).normal(size=(count, 3)))
    return path


def test_a_bounded_device_says_what_came_and_goes_on_asking_while_items_go(tmp_path: Path) -> None:
    config = write_device(
        tmp_path, text_files(), items="a prize for you\nsee you at home\n", pool=BOUND
    )
    with ExitStack() as held:
        serving = Serving(EdgeSettings.load(config), held, lambda _: None)
        offers = [o.item for o in surveyed(serving, 1).offers if not is_blank(o)]
        shipped = decode(
            serving.answer(encode(CollectRequest(round=1, grants=tuple(offers[:1])))), CollectReply
        )
        assert shipped.sealed[0].envelope
        for day in range(3):
            more = texts(tmp_path, f"day{day}", 40)
            told = CliRunner().invoke(app, ["edge", "add", str(more), "--config", str(config)])
            assert told.exit_code == 0, told.output
            assert told.stdout.startswith("40 items came, "), told.stdout
            later = surveyed(serving, 2 + day)
            # what was offered was not granted, and may give way to what comes next
            assert later.items <= 10
            assert sum(not is_blank(offer) for offer in later.offers) >= 7
    said = status_of(config)
    assert said["came"] == 122
    assert str(said["keeps_at_most"]).startswith("8 items")
    assert int(said["items"]) + int(said["let_go"]) == 122
    assert said["shipped"] == 1


def test_a_file_that_is_wrong_further_on_changes_nothing(tmp_path: Path) -> None:
    for bound in (BOUND, ""):
        config = write_device(tmp_path, tabular_files(), item_file='"first.npz"', pool=bound)
        table(tmp_path / "first.npz", 9)
        with ExitStack() as held:
            Serving(EdgeSettings.load(config), held, lambda _: None)
        before = status_of(config)
        rows = np.zeros((3000, 3))
        rows[2900, 1] = np.inf
        np.savez(tmp_path / "wrong.npz", X=rows)
        with pytest.raises(DataError, match="row 2900, column 1"):
            add_items(config, tmp_path / "wrong.npz")
        assert status_of(config) == before
        shutil.rmtree(tmp_path / "state")


def test_a_kill_at_any_statement_leaves_the_pool_before_or_the_pool_after(tmp_path: Path) -> None:
    bound = PoolSettings(most_items=5, by_lot=0.4)
    pool = Pool(tmp_path / "pool.sqlite")
    fill(pool, table(tmp_path / "a.npz", 6), TASK, evaluates=False, bound=bound)
    pool.keep_note("sums in another", b"\0" + np.arange(10, dtype="<u4").tobytes())

    def state(seen: Pool) -> tuple[object, ...]:
        notes = seen.rows("SELECT name, value FROM note ORDER BY name")
        return seen.ids(), seen.payloads(), seen.column("lot").tolist(), notes

    before, copies = state(pool), list[Path]()

    def stop_here(_: str) -> None:
        place = tmp_path / f"killed{len(copies)}"
        place.mkdir()
        for file in tmp_path.glob("pool.sqlite*"):
            shutil.copy(file, place / file.name)
        copies.append(place)

    pool._db.set_trace_callback(stop_here)
    fill(pool, table(tmp_path / "b.npz", 9, seed=2), TASK, evaluates=False, bound=bound)
    pool._db.set_trace_callback(None)
    after = state(pool)
    pool.close()
    assert len(copies) > 20
    found = []
    for place in copies:
        seen = Pool(place / "pool.sqlite")
        found.append(state(seen))
        seen.close()
    assert before != after
    assert [each for each in found if each not in (before, after)] == []
    assert found[0] == before
    assert found[-1] == after


@pytest.mark.parametrize("locked", [False, True])
def test_what_is_let_go_is_gone_from_the_disk_which_does_not_grow(
    tmp_path: Path, locked: bool
) -> None:
    key = CustodySettings(key=KeyPlace.FILE, file=str(tmp_path / "key")) if locked else None
    bound, task = PoolSettings(most_items=50, by_lot=0.5), task_of(text_files())
    pool = Pool(
        tmp_path / "pool.sqlite", custody=locked_in(key, tmp_path) if key is not None else None
    )
    fill(pool, texts(tmp_path, "first", 900), task, evaluates=False)
    sizes = []
    for day in range(6):
        fill(pool, texts(tmp_path, f"day{day}", 400), task, evaluates=False, bound=bound)
        sizes.append(sum(file.stat().st_size for file in tmp_path.glob("pool.sqlite*")))
    content = b"".join(file.read_bytes() for file in tmp_path.glob("pool.sqlite*"))
    payloads = pool.payloads()
    assert len(payloads) == 50
    assert content.count(b" planted ") == (0 if locked else len(payloads))
    assert max(sizes) <= min(sizes) + 8192
    pool.close()


_WHILE = """
import resource, sys
from pathlib import Path
from edge.adding import fill
from edge.pool import Pool
from edge.settings import PoolSettings
from tests.doubles.tasks import tabular_files, task_of
task, folder = task_of(tabular_files()), Path(sys.argv[1])
peaks = []
for name in ("small", "large"):
    pool = Pool(folder / f"{name}.sqlite")
    fill(pool, folder / f"{name}.npz", task, evaluates=False, bound=PoolSettings(most_items=500))
    assert len(pool) == 500
    pool.close()
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[1] - peaks[0])
"""


def test_a_file_of_very_many_items_takes_no_more_memory_than_one_of_few(tmp_path: Path) -> None:
    table(tmp_path / "small.npz", 3_000)
    table(tmp_path / "large.npz", 100_000)
    assert (tmp_path / "large.npz").stat().st_size > 2_000_000
    told = subprocess.run(
        [sys.executable, "-c", _WHILE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(told.stdout) < 4_096  # KiB; held at once its items would take 12 MB

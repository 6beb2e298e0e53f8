"""A device that is killed while a task arrives: the task is whole, what was confirmed is there."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.arrivals import Part
from edge.pool import Pool
from tests.doubles.phones import NEW, OLD, Phone, news_of, owned
from tests.doubles.tasks import task_of


class KilledError(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Return what makes the nth step towards the disk the last one; it returns a counter."""
    count = [0]

    def stepping(real: Callable[..., object], last: int) -> Callable[..., object]:
        def step(*args: object, **kwargs: object) -> object:
            count[0] += 1
            if count[0] == last:
                raise KilledError
            return real(*args, **kwargs)

        return step

    def arm(last: int) -> list[int]:
        count[0] = 0
        monkeypatch.undo()
        for place, name in (
            (os, "fsync"),
            (os, "rename"),
            (shutil, "rmtree"),
            (Path, "unlink"),
            (Path, "mkdir"),
            (Path, "open"),
            (Pool, "keep_note"),
        ):
            monkeypatch.setattr(place, name, stepping(getattr(place, name), last))
        return count

    return arm


def test_a_kill_at_any_step_leaves_a_whole_task_and_everything_that_was_confirmed(
    tmp_path: Path, kill_at: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {task_of(OLD).digest: 0, task_of(NEW).digest: 0}
    for last in range(1, 200):
        root = tmp_path / f"{last}"
        root.mkdir()
        phone, bundle = Phone(root, tries=False), owned(4)
        phone.hear(news_of(bundle))
        # there is a version before the old one already
        shutil.copytree(phone.task, root / "task.previous")
        half, confirmed = bundle.size_bytes // 2, 0
        count = kill_at(last)
        try:
            for _ in range(2):
                confirmed = phone.send(bundle, confirmed, half + 1).have
        except KilledError:
            pass
        steps = count[0]
        monkeypatch.undo()
        phone.restart()
        digests[phone.digest()] += 1
        reply = phone.send(bundle)
        assert reply.have >= confirmed
        assert phone.finish(bundle).installed
        assert phone.digest() == task_of(NEW).digest
        assert not (root / "task.arriving").exists()
        assert not (root / "state" / "arriving.part").exists()
        assert Part.of(phone.pool) == Part()
        phone.pool.close()
        if steps < last:
            break
    else:
        pytest.fail("it never came to its end")
    assert last > 15
    assert min(digests.values()) > 1

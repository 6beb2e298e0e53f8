"""A campaign and its task: one task a campaign, brought to devices that run another."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordinator import service
from coordinator.pulse import Pulse
from coordinator.service import CoordinatorSettings, check_task, drive, open_store
from edge.install import sign_task
from edge.service import Serving
from edge.settings import EdgeSettings
from fieldvote.errors import InputError
from fieldvote.records import DeviceId
from fieldvote.task import Task
from tests.doubles.phones import NEW, OLD, OWNER
from tests.doubles.tasks import task_of, write_device, write_task
from tests.doubles.transport import MemoryTransport

ONE = DeviceId(1)


def settings_in(folder: Path) -> CoordinatorSettings:
    (folder / "coordinator.toml").write_text(
        'folder = "state"\ntask = "task"\nrounds = 1\n[campaign]\nname = "c"\ndeadline_s = 5\n'
    )
    return CoordinatorSettings.load(folder / "coordinator.toml")


def test_a_campaign_keeps_to_the_task_it_began_with(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    old, new = task_of(OLD), task_of(NEW)
    check_task(settings, old)
    check_task(settings, old)
    with pytest.raises(InputError, match="set another folder for a new campaign") as refused:
        check_task(settings, new)
    assert old.digest[:12] in str(refused.value)
    assert new.digest[:12] in str(refused.value)
    assert "\n" not in str(refused.value)
    check_task(settings, old)


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Serving]:
    config = write_device(
        tmp_path / "phone",
        OLD,
        items="a prize for you\nsee you at home\n",
        trusted_keys=f'["{OWNER.public.hex()}"]',
    )
    sign_task(tmp_path / "phone" / "task", version=3, signer=OWNER)
    with ExitStack() as held:
        yield Serving(EdgeSettings.load(config), held, lambda _: None)


class EnoughError(Exception):
    """Ends a campaign that a test has seen enough of."""


def driven(
    folder: Path, phone: Serving, monkeypatch: pytest.MonkeyPatch, *, until: str
) -> list[str]:
    """Drive the campaign until it says something. Return what it has said."""
    settings_in(folder)
    said: list[str] = []
    end = time.monotonic() + 20

    def sleep(_: float) -> None:
        if any(until in line for line in said) or time.monotonic() > end:
            raise EnoughError
        time.sleep(0.01)

    with monkeypatch.context() as patched:
        patched.setattr(service, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
        network = MemoryTransport({ONE: phone.answer})
        with pytest.raises(EnoughError):
            drive(folder / "coordinator.toml", network, Pulse(said.append), courier=network)
    return said


def test_a_device_gets_the_campaigns_task_and_takes_part(
    tmp_path: Path, phone: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_task(write_task(tmp_path / "task", NEW), version=4, signer=OWNER)
    said = driven(tmp_path, phone, monkeypatch, until="waiting for people")
    [installed] = [line for line in said if "installed" in line]
    assert installed.startswith("device 1 has installed offers v4: ")
    assert "round 1: candidates in" in said
    assert Task.load(tmp_path / "phone" / "task").digest == task_of(NEW).digest


def test_an_unsigned_task_is_delivered_to_nobody(
    tmp_path: Path, phone: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task", NEW)
    line = "1 devices run another task, and get none"
    said = driven(tmp_path, phone, monkeypatch, until=line)
    assert sum(line in each for each in said) == 1
    assert Task.load(tmp_path / "phone" / "task").digest == task_of(OLD).digest


def test_a_task_that_was_changed_since_it_was_signed_is_delivered_to_nobody(
    tmp_path: Path, phone: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_task(write_task(tmp_path / "task", OLD), version=4, signer=OWNER)
    write_task(tmp_path / "task", NEW)
    said = driven(tmp_path, phone, monkeypatch, until="devices run another task")
    assert said[0].startswith("the task is not delivered to any device: ")
    assert said[0].endswith("; sign it again")


def test_a_campaign_does_not_begin_in_the_folder_of_another_task(
    tmp_path: Path, phone: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_task(write_task(tmp_path / "task", NEW), version=4, signer=OWNER)
    driven(tmp_path, phone, monkeypatch, until="waiting for people")
    shutil.rmtree(tmp_path / "task")
    write_task(tmp_path / "task", OLD)
    said: list[str] = []
    with pytest.raises(InputError, match="put the task back"):
        drive(
            tmp_path / "coordinator.toml", MemoryTransport({ONE: phone.answer}), Pulse(said.append)
        )
    assert said == []
    with closing(open_store(CoordinatorSettings.load(tmp_path / "coordinator.toml"))) as store:
        assert store.events("task") == [("Task", task_of(NEW).digest)]

"""A campaign and its task: one task a campaign, brought to devices that run another."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from coordinator.driving import drive
from coordinator.pulse import Pulse
from coordinator.rounds.clock import SteadyClock
from coordinator.service import CoordinatorSettings, open_store
from edge.service import Serving
from edge.settings import EdgeSettings
from fieldvote.errors import InputError
from fieldvote.records import DeviceId, HelloReply, HelloRequest, decode, encode
from fieldvote.task import Task
from tests.doubles.owner import OWNER
from tests.doubles.phones import NEW, OLD
from tests.doubles.tasks import task_of, write_device, write_task
from tests.doubles.transport import MemoryTransport

ONE = DeviceId(1)


def config_in(folder: Path) -> Path:
    config = folder / "coordinator.toml"
    config.write_text(
        'folder = "state"\ntask = "task"\nrounds = 1\n'
        f"{OWNER.put_online(folder)}"
        '[campaign]\nname = "c"\ndeadline_s = 5\n'
    )
    return config


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Serving]:
    config = write_device(
        tmp_path / "phone",
        OLD,
        items="a prize for you\nsee you at home\n",
        root=OWNER.put_root(tmp_path / "phone"),
    )
    OWNER.sign_task(tmp_path / "phone" / "task", 3)
    with ExitStack() as held:
        yield Serving(EdgeSettings.load(config), held, lambda _: None)


class EnoughError(Exception):
    """Ends a campaign that a test has seen enough of."""


class Impatient(SteadyClock):
    """Sleeps for a moment only, and ends the campaign once it has said something."""

    def __init__(self, said: list[str], until: str) -> None:
        super().__init__()
        self._said, self._until = said, until
        self._end_s = time.monotonic() + 20

    def sleep(self, seconds: float) -> None:
        if any(self._until in line for line in self._said) or time.monotonic() > self._end_s:
            raise EnoughError
        time.sleep(0.01)


def driven(folder: Path, phone: Serving, *, until: str) -> list[str]:
    """Drive the campaign until it says something. Return what it has said."""
    said: list[str] = []
    network = MemoryTransport({ONE: phone.answer})
    with pytest.raises(EnoughError):
        drive(
            config_in(folder),
            network,
            Pulse(said.append),
            # a network for the thread that delivers, and another for the rounds
            courier=lambda: MemoryTransport({ONE: phone.answer}),
            clock=Impatient(said, until),
        )
    return said


def test_a_device_gets_the_campaigns_task_and_takes_part(tmp_path: Path, phone: Serving) -> None:
    OWNER.sign_task(write_task(tmp_path / "task", NEW), 4)
    said = driven(tmp_path, phone, until="people: 0 of")
    [installed] = [line for line in said if "installed" in line]
    assert installed.startswith("device 1 has installed offers v4: ")
    assert "round 1: waiting for people" in said
    assert Task.load(tmp_path / "phone" / "task").digest == task_of(NEW).digest


def test_an_unsigned_task_is_delivered_to_nobody(tmp_path: Path, phone: Serving) -> None:
    write_task(tmp_path / "task", NEW)
    line = "1 devices run another task, and get none"
    said = driven(tmp_path, phone, until=line)
    assert sum(line in each for each in said) == 1
    assert Task.load(tmp_path / "phone" / "task").digest == task_of(OLD).digest


def test_a_task_that_was_changed_since_it_was_signed_is_delivered_to_nobody(
    tmp_path: Path, phone: Serving
) -> None:
    OWNER.sign_task(write_task(tmp_path / "task", OLD), 4)
    write_task(tmp_path / "task", NEW)
    said = driven(tmp_path, phone, until="devices run another task")
    assert said[0].startswith("the task is not delivered to any device: ")
    assert said[0].endswith("; sign it again")


def test_a_campaign_does_not_begin_in_the_folder_of_another_task(
    tmp_path: Path, phone: Serving
) -> None:
    OWNER.sign_task(write_task(tmp_path / "task", NEW), 4)
    driven(tmp_path, phone, until="people: 0 of")
    shutil.rmtree(tmp_path / "task")
    write_task(tmp_path / "task", OLD)
    said: list[str] = []
    config = tmp_path / "coordinator.toml"
    with pytest.raises(InputError, match="put the task back"):
        drive(config, MemoryTransport({ONE: phone.answer}), Pulse(said.append))
    assert said == []
    with closing(open_store(CoordinatorSettings.load(config))) as store:
        assert store.note("task") == task_of(NEW).digest


def test_a_task_that_was_signed_anew_reaches_devices_that_run_it(
    tmp_path: Path, phone: Serving
) -> None:
    OWNER.sign_task(write_task(tmp_path / "task", OLD), 4)
    said = driven(tmp_path, phone, until="has installed")
    [installed] = [line for line in said if "installed" in line]
    assert installed.startswith("device 1 has installed offers v4: ")
    hello = decode(phone.answer(encode(HelloRequest(campaign="c"))), HelloReply)
    assert (hello.task, hello.version) == (task_of(OLD).digest, 4)

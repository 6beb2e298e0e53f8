import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from coordinator.processes import MARK, end_all, marked, stopping

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEPS
# as Flower does: a child in a session of its own, that outlives its parent
HAS_CHILD = (
    "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', sys.argv[1]],"
    " start_new_session=True, stdout=subprocess.PIPE); c.stdout.readline();" + SLEEPS
)
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


def start(mark: str, code: str, *words: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path)
    for pid in marked(str(tmp_path)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@needs_proc
def test_children_in_sessions_of_their_own_are_found_and_ended(mark: str) -> None:
    parent = start(mark, HAS_CHILD, SLEEPS)
    assert len(marked(mark)) == 2
    assert end_all(mark, [parent]) == 2
    assert marked(mark) == []
    assert parent.returncode == -signal.SIGTERM


@needs_proc
def test_orphans_of_a_process_that_was_killed_are_found_and_ended(mark: str) -> None:
    parent = start(mark, HAS_CHILD, SLEEPS)
    parent.kill()
    parent.wait()
    assert len(marked(mark)) == 1
    assert end_all(mark) == 1
    assert marked(mark) == []


@needs_proc
def test_what_does_not_listen_is_killed_within_ten_seconds(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.processes._POLITE_S", 0.3)
    began, stubborn = time.monotonic(), start(mark, STUBBORN)
    assert end_all(mark, [stubborn]) == 1
    assert stubborn.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 10


@needs_proc
def test_programs_of_another_folder_are_left_alone(mark: str) -> None:
    other = start(mark + "-other", SLEEPS)
    try:
        assert end_all(mark) == 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_without_proc_our_own_children_are_ended_all_the_same(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.processes.marked", lambda _: [])
    child = start(mark, SLEEPS)
    assert end_all(mark, [child]) == 1
    assert child.returncode == -signal.SIGTERM


def test_nobody_to_end_takes_no_time(mark: str) -> None:
    began = time.monotonic()
    assert end_all(mark) == 0
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event_and_handlers_are_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stopping() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(2)
    assert signal.getsignal(number) is before

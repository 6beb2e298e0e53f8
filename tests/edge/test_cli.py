"""`fieldvote edge` as people and service managers run it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from edge.asking import ask
from edge.device import opened
from edge.settings import EdgeSettings
from fieldvote.cli import app
from fieldvote.errors import RefusalError
from fieldvote.records import (
    CollectRequest,
    HelloReply,
    HelloRequest,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from tests.doubles.sockets import short_folder
from tests.doubles.tasks import text_files, write_device

pytestmark = pytest.mark.slow  # real programs, or a campaign at every point of it

FIELDVOTE = str(Path(sys.executable).parent / "fieldvote")
ITEMS = "a prize for you\nsee you at home\na third one\n"


@pytest.fixture
def config() -> Iterator[Path]:
    with short_folder() as folder:
        yield write_device(folder, text_files(), items=ITEMS)


def edge(config: Path, *arguments: str) -> Result:
    verb, *options = arguments
    return CliRunner().invoke(app, ["edge", verb, "--config", str(config), *options])


def used(config: Path) -> None:
    """Run a survey and a collection on the device, without a socket."""
    survey = SurveyRequest(
        round=1, strategy="fleet", offers=0, random_offers=2, first=True, model=None
    )
    with opened(EdgeSettings.load(config)) as device:
        reply = decode(device.agent.handle(encode(survey)), SurveyReply)
        grants = tuple(offer.item for offer in reply.offers)
        device.agent.handle(encode(CollectRequest(round=1, grants=grants)))


def run(config: Path) -> subprocess.CompletedProcess[str]:
    """Start an agent that will end by itself."""
    return subprocess.run(
        [FIELDVOTE, "edge", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    """Run an agent in a session of its own until the block ends, whatever happens in it."""
    process = subprocess.Popen(
        [FIELDVOTE, "edge", "run", "--config", str(config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        socket = config.parent / "state" / "agent.sock"
        until = time.monotonic() + 60
        while not socket.is_socket() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_agent_answers_alone_on_its_folder_until_it_is_stopped(config: Path) -> None:
    socket = config.parent / "state" / "agent.sock"
    with running(config) as process:
        hello = decode(ask(socket, encode(HelloRequest(campaign="c"))), HelloReply)
        assert hello.items == 3
        with pytest.raises(RefusalError, match="not a message"):
            ask(socket, b"nonsense")
        assert json.loads(edge(config, "status", "--json").stdout)["agent"] == "up"
        purged = edge(config, "purge", "--yes")
        assert purged.exit_code == 4
        assert "an agent is running" in purged.stderr
        second = run(config)
        assert second.returncode == 4
        assert second.stderr.count("\n") == 1
        assert "stop it first" in second.stderr
        assert decode(ask(socket, encode(HelloRequest(campaign="d"))), HelloReply) == hello
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert said.splitlines() == [f"3 items, task offers, on {socket}", "stopped"]
    assert not socket.exists()
    assert edge(config, "purge", "--yes").exit_code == 0


def test_an_agent_that_was_killed_is_down_though_its_socket_is_there(config: Path) -> None:
    with running(config) as process:
        process.kill()
        process.communicate(timeout=30)
    assert (config.parent / "state" / "agent.sock").is_socket()
    assert json.loads(edge(config, "status", "--json").stdout)["agent"] == "down"


def test_a_folder_that_takes_no_lock_is_one_line(config: Path) -> None:
    (config.parent / "state" / "agent.lock").mkdir(parents=True)
    refused = run(config)
    assert refused.returncode == 4
    assert "agent.lock: cannot be written" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_agent_is_stopped_by_the_keyboard_too(config: Path) -> None:
    with running(config) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert not (config.parent / "state" / "agent.sock").exists()


def test_status_says_what_the_device_holds_and_gave_away(config: Path) -> None:
    used(config)
    found = json.loads(edge(config, "status", "--json").stdout)
    spent = found.pop("bytes_spent").split(" of ")
    assert 600 < int(spent[0]) < 5_000
    assert spent[1] == "5000000"
    assert len(found.pop("task_digest")) == 64
    assert found == {
        "task": "offers",
        "items": 3,
        "answered": 0,
        "shipped": 2,
        "in_a_sum": 3,
        "not_to_be_shown": 0,
        "not_taken": 0,
        "stopped_second_scan": 0,
        "stopped_masking": 0,
        "stopped_replayed_answers": 0,
        "health": "ok",
        "serves": "the task's own model",
        "candidates_spent": "2 of 200",
        "sums": "exact sums, seen per device",
        "agent": "down",
    }
    table = edge(config, "status").stdout
    assert {line.split()[0] for line in table.splitlines()} >= {"items", "shipped", "bytes"}


def test_the_ledger_lists_every_release_and_adds_up(config: Path) -> None:
    used(config)
    rows = json.loads(edge(config, "ledger", "--json").stdout)
    assert {row["kind"] for row in rows} == {"summaries", "offers", "candidates", "overhead"}
    assert sum(row["candidates"] for row in rows) == 2
    spent = json.loads(edge(config, "status", "--json").stdout)["bytes_spent"]
    assert sum(row["bytes"] for row in rows) == int(spent.split()[0])
    lines = edge(config, "ledger").stdout.splitlines()
    columns = ["at", "task", "kind", "micro_rho", "epsilon", "bytes", "candidates"]
    assert re.split(" {2,}", lines[0].replace("micro rho", "micro_rho")) == columns == list(rows[0])
    totals = json.loads(edge(config, "ledger", "--totals", "--json").stdout)
    assert totals[-1]["bytes"] == sum(row["bytes"] for row in rows)
    assert totals[0]["task"] == rows[0]["task"] != ""
    assert len(lines) == len(rows) + 1
    assert len({len(line) for line in lines}) == 1


def test_a_purge_deletes_the_items_and_keeps_the_ledger(config: Path) -> None:
    used(config)
    before = edge(config, "ledger", "--json").stdout
    asked = CliRunner().invoke(app, ["edge", "purge", "--config", str(config)], input="n\n")
    assert (asked.exit_code, asked.stdout.splitlines()[-1]) == (0, "nothing was deleted")
    assert json.loads(edge(config, "status", "--json").stdout)["items"] == 3
    purged = edge(config, "purge", "--yes")
    assert purged.exit_code == 0
    assert "deleted 3 items; the ledger stays" in purged.stdout
    assert json.loads(edge(config, "status", "--json").stdout)["items"] == 0
    assert edge(config, "ledger", "--json").stdout == before


@pytest.mark.parametrize("verb", ["run", "status", "ledger", "purge"])
def test_an_unknown_key_ends_with_2_and_names_the_nearest(config: Path, verb: str) -> None:
    config.write_text(config.read_text() + 'sokcet = "a"\n')
    ended = edge(config, verb, *(["--yes"] if verb == "purge" else []))
    assert ended.exit_code == 2
    assert "unknown key 'sokcet'; did you mean 'socket'?" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (config.parent / "state").exists()


@pytest.mark.parametrize("verb", ["status", "ledger", "purge"])
def test_a_device_that_never_ran_says_how_to_start_it(config: Path, verb: str) -> None:
    ended = edge(config, verb, *(["--yes"] if verb == "purge" else []))
    assert ended.exit_code == 2
    assert "no pool yet; start the device once with 'fieldvote edge run'" in ended.stderr
    assert not (config.parent / "state").exists()


def test_items_of_another_kind_are_one_line_and_an_exit_code(config: Path) -> None:
    (config.parent / "items.txt").write_bytes(b"\xff\xfe\x00")
    ended = run(config)
    assert ended.returncode == 2
    assert "items.txt: not UTF-8 at byte 0" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert json.loads(edge(config, "status", "--json").stdout)["items"] == 0


def test_status_says_where_the_device_stands_in_its_fleet(config: Path) -> None:
    assert "node" not in json.loads(edge(config, "status", "--json").stdout or "{}")
    used(config)
    table = '\n[flower]\nsuperlink = "127.0.0.1:9"\ninsecure = true\n'
    config.write_text(config.read_text() + table)
    found = json.loads(edge(config, "status", "--json").stdout)
    assert (found["node"], found["node_id"]) == ("never joined", "none yet")
    with running(config) as process:
        until = time.monotonic() + 20
        while "retrying" not in edge(config, "status").stdout and time.monotonic() < until:
            time.sleep(0.1)
        found = json.loads(edge(config, "status", "--json").stdout)
        assert found["node"] == "retrying"
        assert "no SuperLink answers at 127.0.0.1:9" in found["node_reason"]
        process.kill()
        process.wait(10)
    assert json.loads(edge(config, "status", "--json").stdout)["node"] == (
        "not running, was retrying"
    )

"""Joining, staying, coming back; and one line for each thing that can be wrong."""

import contextlib
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from edge.flower import running
from edge.flower.journal import STATE, NodeState, NodeStatus
from edge.flower.running import on_flower
from edge.flower.wire import HttpWire, trust
from edge.pool import Pool
from edge.settings import FlowerSettings
from fieldvote.errors import SettingsError, UnavailableError
from tests.deployment.processes import free_port, make_certificates, wait_for
from tests.doubles.superlink import RefusedError, SuperLinkDouble, listening
from tests.edge.flower.devices import Rig

pytestmark = pytest.mark.slow  # real programs, or a campaign at every point of it


@pytest.fixture
def link() -> Iterator[SuperLinkDouble]:
    double = SuperLinkDouble()
    with listening(double):
        yield double


def status(folder: Path) -> NodeStatus:
    pool = Pool(folder / "pool.sqlite")
    try:
        return NodeStatus.from_note(pool.note(STATE))
    finally:
        pool.close()


def joining(rig: Rig, until: str) -> None:
    """Let a device try to join until it has said something; then stop it."""
    _, session, journal = rig.open()

    def join() -> None:
        with contextlib.suppress(UnavailableError):
            session.join()

    thread = Thread(target=join)
    thread.start()
    wait_for(lambda: any(until in line for line in rig.said), 10, rig.folder)
    rig.stop.set()
    thread.join(10)
    assert not thread.is_alive()
    journal.close()


def test_a_node_joins_stays_and_leaves(tmp_path: Path, link: SuperLinkDouble) -> None:
    rig = Rig(tmp_path, link)
    _, session, _ = rig.open()
    assert status(tmp_path) == NodeStatus()
    session.join()
    assert link.online == {session.node.node_id}
    assert status(tmp_path).state is NodeState.ONLINE
    assert status(tmp_path).node_id == session.node.node_id
    session.leave(1.0)
    assert link.online == set()
    assert status(tmp_path).state is NodeState.STOPPED
    assert rig.said == [f"node {session.node.node_id} is online"]


def test_after_a_crash_a_node_is_back_at_once_under_its_old_id(
    tmp_path: Path, link: SuperLinkDouble
) -> None:
    rig = Rig(tmp_path, link)
    _, before, _ = rig.open()
    before.join()
    link.calls.clear()
    _, after, _ = rig.open()
    after.join()  # activating would be refused: the double still has it online
    assert after.node == before.node
    assert link.calls == ["send-node-heartbeat"]


def test_an_id_of_another_superlink_or_key_is_not_used(
    tmp_path: Path, link: SuperLinkDouble
) -> None:
    rig = Rig(tmp_path, link)
    _, session, journal = rig.open()
    session.join()
    assert journal.node_id("here") == session.node.node_id
    assert journal.node_id("there") is None


def test_a_heart_beats_while_the_node_is_online(tmp_path: Path, link: SuperLinkDouble) -> None:
    rig = Rig(tmp_path, link)
    _, session, _ = rig.open()
    session.join()
    thread = session.run_heart()
    wait_for(lambda: "send-node-heartbeat" in link.calls, 10, tmp_path)
    rig.stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_key_nobody_registered_is_said_with_the_command_that_does(
    tmp_path: Path, link: SuperLinkDouble
) -> None:
    link.open_to_all = False
    rig = Rig(tmp_path, link)
    joining(rig, "flwr supernode register PUB")
    assert len(rig.said) == 1
    assert "\n" not in rig.said[0]
    assert status(tmp_path).state is NodeState.RETRYING
    assert "flwr supernode register" in status(tmp_path).reason


@pytest.mark.parametrize(
    ("off_s", "said"),
    [(400.0, "about 400 s behind the"), (-60.0, "about 60 s ahead of the")],
)
def test_a_clock_that_is_off_is_said(
    tmp_path: Path, link: SuperLinkDouble, off_s: float, said: str
) -> None:
    link.clock_off_s = off_s
    rig = Rig(tmp_path, link)
    joining(rig, "set the clock")
    assert said in rig.said[0]


def test_a_clock_that_is_off_does_not_cost_a_node_its_id(
    tmp_path: Path, link: SuperLinkDouble
) -> None:
    rig = Rig(tmp_path, link)
    _, session, journal = rig.open()
    session.join()
    link.clock_off_s = 400
    joining(rig, "set the clock")
    assert journal.node_id("here") == session.node.node_id
    assert link.calls.count("activate-node") == 2  # both of the first join


def test_a_superlink_that_is_away_is_said_once_and_found_again(
    tmp_path: Path, link: SuperLinkDouble
) -> None:
    away = SuperLinkDouble(port=free_port())
    rig = Rig(tmp_path, away)
    _, session, _ = rig.open()
    thread = Thread(target=session.join)
    thread.start()
    wait_for(lambda: bool(rig.said), 10, tmp_path)
    assert f"no SuperLink answers at {away.address}" in rig.said[0]
    time.sleep(1.0)
    with listening(away):
        thread.join(10)
        assert not thread.is_alive()
    assert [line.split()[0] for line in rig.said] == ["retrying:", "node"]


@pytest.mark.parametrize(
    ("ca", "tls", "said"),
    [
        ("other-ca.pem", True, "not vouched for by [flower] ca"),
        ("ca.pem", False, "no TLS with"),
    ],
)
def test_a_stranger_at_the_other_end_hears_nothing_of_us(
    tmp_path: Path, ca: str, tls: bool, said: str
) -> None:
    make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    double = SuperLinkDouble()
    with listening(double, context if tls else None):
        wire = HttpWire(double.address, trust(tmp_path / ca), Rig(tmp_path, double).key)
        with pytest.raises(UnavailableError) as caught:
            wire.calls("pull-messages", [], NodeStatus)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert double.calls == []


def test_a_ca_file_that_is_none_is_refused_by_its_setting(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        with pytest.raises(SettingsError, match=r"\[flower\] ca"):
            trust(path)


def test_a_connection_is_kept_and_replaced_when_the_other_end_closed_it(
    tmp_path: Path, link: SuperLinkDouble
) -> None:
    rig = Rig(tmp_path, link)
    node, session, _ = rig.open()
    session.join()
    link.faults["pull-messages"] = [None, RefusedError(0, 0)]
    assert not node.turn()
    assert not node.turn()
    assert link.calls.count("pull-messages") == 3
    assert rig.said == [f"node {session.node.node_id} is online"]


def test_the_whole_node_answers_from_a_thread_and_leaves_within_two_seconds(
    tmp_path: Path, link: SuperLinkDouble
) -> None:
    rig = Rig(tmp_path, link)
    Pool(tmp_path / "pool.sqlite").close()
    settings = FlowerSettings(superlink=link.address, insecure=True, key=str(tmp_path / "node.key"))
    with on_flower(
        settings, tmp_path / "pool.sqlite", lambda request: request[::-1],
        say=rig.said.append, stop=rig.stop,
    ):  # fmt: skip
        wait_for(lambda: bool(link.online), 10, tmp_path)
        name = link.send(b"abc")
        wait_for(lambda: link.reply_to(name) is not None, 10, tmp_path)
        reply = link.reply_to(name)
        assert reply is not None
        assert reply.content.config_records["fieldvote"]["message"] == b"cba"
        with pytest.raises(UnavailableError, match="give each its own"), on_flower(
            settings, tmp_path / "pool.sqlite", bytes, say=rig.said.append, stop=rig.stop
        ):  # fmt: skip
            pass
        began = time.monotonic()
    assert time.monotonic() - began < 4.0
    assert link.online == set()
    assert status(tmp_path).state is NodeState.STOPPED


def test_a_superlink_that_never_answers_does_not_keep_a_node_from_leaving(
    tmp_path: Path, link: SuperLinkDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_FINISH_S", 0.2)
    rig = Rig(tmp_path, link)
    Pool(tmp_path / "pool.sqlite").close()
    settings = FlowerSettings(superlink=link.address, insecure=True, key=str(tmp_path / "node.key"))
    with on_flower(
        replace(settings), tmp_path / "pool.sqlite", bytes, say=rig.said.append, stop=rig.stop
    ):
        wait_for(lambda: bool(link.online), 10, tmp_path)
        link.lock.acquire()
        time.sleep(0.5)
        began = time.monotonic()
    assert time.monotonic() - began < 4.0
    link.lock.release()
    assert any("left without a word" in line for line in rig.said)

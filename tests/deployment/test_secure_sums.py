"""Secure sums over a real SuperLink: a device is killed, and the head is that of plain sums."""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coordinator.driving import drive
from coordinator.pulse import Pulse
from coordinator.rounds.events import Trained
from coordinator.service import CoordinatorSettings
from coordinator.transport import Came
from edge.device import opened
from edge.flower.fleet import DeactivateNodeRequest, Empty
from edge.flower.keys import node_key
from edge.flower.wire import HttpWire
from edge.settings import EdgeSettings
from fieldvote.errors import FieldvoteError
from fieldvote.heads import GradientRequest
from fieldvote.records import REQUESTS, DeviceId, decode
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.directory import Directory, Entry
from tests.deployment.messages import messages, read
from tests.deployment.processes import call, free_port, nobody_left, running, wait_for
from tests.deployment.site import Site, serving

DEVICES, DOOMED = ("east", "north", "south"), "south"
COPIES = 3  # of a device's only text: whichever is drawn and labelled, it teaches the same
PLAIN = "[cohort]\n"
SECURE = (
    '[cohort]\nsums = "secure"\nleast_cohort = 2\nleast_sum = 2\nleast_threshold = 2\n'
    "max_corrupt = 0.0\n"
)
# an agent as it is, except that one is killed as it is about to mask its first gradient
MORTAL_AGENT = """
import os, pathlib, signal, sys
import edge.agent
from fieldvote.heads import GradientRequest
from fieldvote.records import REQUESTS, decode
from fieldvote.sums import MaskRequest, SummedRequest
real, mark = edge.agent.Agent.handle, pathlib.Path(sys.argv[1]).parent / "doomed"
asked = []
def handle(self, request):
    message = decode(request, *REQUESTS)
    if isinstance(message, SummedRequest):
        asked[:] = [type(decode(message.question, *REQUESTS))]
    if isinstance(message, MaskRequest) and asked == [GradientRequest] and mark.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, request)
edge.agent.Agent.handle = handle
sys.argv[1:] = ["edge", "run", "--config", sys.argv[1]]
from fieldvote.cli import main
main()
"""


class Here:
    """The devices as they began, in this process: whoever is doomed is gone once heads are trained.

    They are opened in the thread that asks them first.
    """

    def __init__(self, folder: Path, devices: Mapping[DeviceId, str]) -> None:
        self._folder, self._devices = folder, dict(devices)
        self._open: dict[DeviceId, Callable[[bytes], bytes]] = {}
        self._stack = ExitStack()
        self._sent: dict[str, tuple[DeviceId, bytes]] = {}
        self._count = 0

    def close(self) -> None:
        self._stack.close()

    def devices(self) -> tuple[DeviceId, ...]:
        return tuple(sorted(self._devices))

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> dict[str, DeviceId]:
        assert ttl_s > 0
        named = {str(n): it for n, it in enumerate(requests.items(), start=self._count)}
        self._count += len(named)
        self._sent |= named
        return {ticket: device for ticket, (device, _) in named.items()}

    def pull(self, tickets: Collection[str], *, wait_s: float) -> list[Came]:
        return [
            Came(ticket=ticket, device=self._sent[ticket][0], reply=self._answer(ticket))
            for ticket in sorted(set(tickets) & set(self._sent))
        ]

    def _answer(self, ticket: str) -> bytes | None:
        device, request = self._sent[ticket]
        name = self._devices.get(device)
        if isinstance(decode(request, *REQUESTS), GradientRequest) and name == DOOMED:
            del self._devices[device]
            return None
        if name is None:
            return None
        if device not in self._open:
            settings = EdgeSettings.load(self._folder / name / "device.toml")
            found = self._stack.enter_context(opened(replace(settings, flower=None)))
            self._open[device] = found.agent.handle
        try:
            return self._open[device](request)
        except FieldvoteError:
            return None


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    """Two deployments of one desk with the same items, under secure sums and under plain ones."""
    public = call(tmp_path, "labels", "keys", "--keys", "desk")
    with nobody_left(tmp_path):
        yield _site(tmp_path / "secure", public, SECURE), _site(tmp_path / "plain", public, PLAIN)


def _site(folder: Path, public: str, cohort: str) -> Site:
    """Write a deployment whose policy asks for such sums."""
    folder.mkdir()
    call(folder, "new", "my-task")
    policy = folder / "my-task" / "policy.toml"
    policy.write_text(policy.read_text("utf-8").partition("[cohort]")[0] + cohort)
    (folder / "desk").symlink_to("../desk")
    port = free_port()
    (folder / "coordinator.toml").write_text(
        'folder = "state"\ntask = "my-task"\nrounds = 1\nquorum = 3\nanswers_wait_s = 100\n'
        f'address = "127.0.0.1:{port}"\n'
        '[campaign]\nname = "sums"\nsurveyed_share = 1.0\nrandom_share = 0.0\nexchanges = 2\n'
        "deadline_s = 60\nrollout.enabled = false\nrecipes.rounds = []\n"
    )
    entries = tuple(_device(folder / name, public, port) for name in sorted(DEVICES))
    (folder / "directory").write_bytes(Directory(version=1, entries=entries).to_bytes())
    return Site(folder, DEVICES)


def _device(folder: Path, public: str, port: int) -> Entry:
    """Write a device; return what the owner's directory says of it."""
    state = folder / "state"
    state.mkdir(parents=True)
    (folder / "sketch.key").write_bytes(bytes(8))
    texts, labels = messages(folder.name, 2, offers=0.5)
    text = texts[labels.index(DEVICES.index(folder.name) % 2)]
    (folder / "items.txt").write_text("\n".join([text] * COPIES))
    (folder / "device.toml").write_text(
        'folder = "state"\ntask = "../my-task"\nsketch_secret = "sketch.key"\n'
        f'items = "items.txt"\n{public}directory = "../directory"\n'
        f'[flower]\nsuperlink = "127.0.0.1:{port}"\ninsecure = true\nkey = "node.key"\n'
    )
    signing, sealing = SigningKey.generate(os.urandom), SealingKey.generate(os.urandom)
    for name, key in (("signing", signing), ("sealing", sealing)):
        (state / f"{name}.key").write_bytes(key.to_bytes())
    node = node_key(folder / "node.key").public_key()
    return Entry(
        id=folder.name,
        signing=signing.public,
        sealing=sealing.public,
        node=node.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        serial="00",
    )


def _turn_here(site: Site, devices: Mapping[DeviceId, str]) -> None:
    """Turn a site's round in this process."""
    lines: list[str] = []

    def turn() -> None:
        transport = Here(site.folder, devices)
        try:
            drive(site.folder / "coordinator.toml", transport, Pulse(lines.append))
        finally:
            transport.close()

    turning = Thread(target=turn, daemon=True)
    turning.start()
    wait_for(lambda: any("waiting for people" in line for line in lines), 60, site.folder)
    assert len(site.answer(read)) == len(DEVICES)
    turning.join(60)
    assert not turning.is_alive(), lines


def _end_lease(site: Site, name: str) -> None:
    """Let the SuperLink know at once what it would know after a minute without a heartbeat."""
    address = CoordinatorSettings.load(site.folder / "coordinator.toml").address
    wire = HttpWire(address, None, node_key(site.folder / name / "node.key"))
    request = DeactivateNodeRequest(node_id=int(site.status(name)["node_id"]))
    wire.calls("deactivate-node", [request], Empty)
    wire.close()


def _head(site: Site) -> str:
    """Return the digest of a campaign's only head."""
    [trained] = [event for event in site.events() if isinstance(event, Trained)]
    return trained.model


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_round_of_secure_sums_outlives_a_device_and_ends_with_the_head_of_plain_ones(
    sites: tuple[Site, Site],
) -> None:
    site, twin = sites
    (site.folder / DOOMED / "doomed").touch()
    with ExitStack() as stack:
        coordinator = stack.enter_context(serving(site, lasting=False))
        agents = {}
        for name in DEVICES:
            command = [sys.executable, "-c", MORTAL_AGENT, f"{name}/device.toml"]
            agents[name] = stack.enter_context(running(command, site.folder, f"{name}.log"))
        site.await_said("round 1: waiting for people", 90)
        assert len(site.answer(read)) == len(DEVICES)
        assert agents[DOOMED].wait(90) != 0
        _end_lease(site, DOOMED)
        assert coordinator.wait(120) == 0, site.said
    nodes = {name: int(site.status(name)["node_id"]) for name in DEVICES}
    _turn_here(twin, {DeviceId(n - (n >> 63 << 64)): name for name, n in nodes.items()})
    for each in sites:
        items = len(DEVICES) * COPIES
        each.assert_everything_was_counted_once(labels=len(DEVICES), items=items)
    assert _head(site) == _head(twin)

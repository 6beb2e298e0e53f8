"""A new task version that a campaign brings to a device over a slow link."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coordinator.models.backbone import projection_backbone
from edge.flower.keys import node_key
from fieldvote.bundle import Bundle
from tests.deployment.processes import (
    CERTIFICATES,
    call,
    free_port,
    make_certificates,
    nobody_left,
    running,
)
from tests.deployment.site import Site, serving
from tests.deployment.slow_link import Link, SlowLink, slow_link
from tests.doubles.owner import OWNER
from tests.doubles.tasks import TEXT_WIDTH, text_files, write_task

DEVICE = "phone"
_DIMENSIONS = 64
# an agent as it is, except that it writes down each piece it gets and what it says to it
_WATCHED = """
import json, pathlib, sys, time
import edge.arrivals
real, log = edge.arrivals.Arrivals.take, pathlib.Path(sys.argv[1])
def take(self, request):
    reply = real(self, request)
    with log.open("a") as file:
        row = [request.offset, len(request.content), reply.have, time.time(), request.size]
        print(json.dumps(row), file=file)
    return reply
edge.arrivals.Arrivals.take = take
sys.argv[1:] = ["edge", "run", "--config", sys.argv[2]]
from fieldvote.cli import main
main()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A deployment whose device runs version 1 of a task, and whose campaign is about version 2.

    Attributes:
        site: The folder.
        campaign: Its coordinator, which runs.
        link: What the device is behind.
        bundle: Version 2.
    """

    site: Site
    campaign: subprocess.Popen[bytes]
    link: SlowLink
    bundle: Bundle

    @property
    def pieces(self) -> list[tuple[int, int, int]]:
        """Return offset and size of each piece of version 2, and what the device then had."""
        path = self.site.folder / "pieces"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        # without its large files it was offered first, in vain
        return [(row[0], row[1], row[2]) for row in rows if row[4] == self.bundle.size_bytes]

    @property
    def confirmed_again(self) -> int:
        """Return how many bytes came once more after the device had said it had them."""
        again = have = 0
        for offset, size, now in self.pieces:
            again += max(0, min(have, offset + size) - offset)
            have = max(have, now)
        return again


def large_text_task(size_bytes: int) -> dict[str, bytes]:
    """Return a task whose model reads many features and has about this size."""
    width = size_bytes // (4 * _DIMENSIONS)
    files = text_files()
    said = files["task.toml"].replace(b"width = %d" % TEXT_WIDTH, b"width = %d" % width)
    projection = np.random.default_rng(1).normal(size=(width, _DIMENSIONS)).astype(np.float32)
    return {**files, "task.toml": said, "model.onnx": projection_backbone(projection, 2)}


@contextmanager
def delivering(folder: Path, link: Link, *, size_bytes: int) -> Iterator[Delivered]:
    """Serve a campaign, and start its device behind a slow link."""
    for place, files, version in (
        (folder / "my-task", large_text_task(size_bytes), 2),
        (folder / DEVICE / "task", text_files(), 1),
    ):
        OWNER.sign_task(write_task(place, files), version)
    bundle = Bundle.load(folder / "my-task")
    assert bundle is not None
    public = call(folder, "labels", "keys", "--keys", "desk")
    make_certificates(folder)
    port = free_port()
    with nobody_left(folder), slow_link(link, port) as laid:
        _write_coordinator(folder, port)
        _write_device(folder / DEVICE, public, laid.port)
        site = Site(folder, (DEVICE,))
        agent = [sys.executable, "-c", _WATCHED, str(folder / "pieces"), f"{DEVICE}/device.toml"]
        with serving(site, lasting=False) as campaign:
            site.register()
            with running(agent, folder, f"{DEVICE}.log"):
                yield Delivered(site=site, campaign=campaign, link=laid, bundle=bundle)


def _write_coordinator(folder: Path, port: int) -> None:
    """Write a campaign of one round."""
    files = "".join(f'{name} = "{path}"\n' for name, path in CERTIFICATES.items())
    (folder / "coordinator.toml").write_text(
        'folder = "state"\ntask = "my-task"\nrounds = 1\nanswers_wait_s = 100\n'
        f'address = "127.0.0.1:{port}"\n'
        f"{OWNER.put_online(folder)}"
        f"[flower]\nauthenticate_devices = true\n{files}"
        '[campaign]\nname = "delivered"\nlabels_per_device = 1\nexchanges = 2\ndeadline_s = 60\n'
        "rollout.enabled = false\n"
    )


def _write_device(folder: Path, public: str, port: int) -> None:
    """Write a device that trusts the owner."""
    (folder / "sketch.key").write_bytes(bytes(8))
    texts = [f"see you at home, number {n}" if n % 2 else f"a prize, number {n}" for n in range(12)]
    (folder / "items.txt").write_text("\n".join(texts))
    (folder / "device.toml").write_text(
        'folder = "state"\ntask = "task"\nsketch_secret = "sketch.key"\nitems = "items.txt"\n'
        f"root = {OWNER.put_root(folder)}\n{public}"
        f'[flower]\nsuperlink = "127.0.0.1:{port}"\nca = "../ca.pem"\nkey = "node.key"\n'
    )
    node_key(folder / "node.key")

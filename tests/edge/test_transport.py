"""Flower's process beside a device holds no key: it cannot open what it carries."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from edge.device import opened
from edge.settings import EdgeSettings
from fieldvote.records import (
    CollectReply,
    CollectRequest,
    HelloReply,
    HelloRequest,
    SealedItem,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from tests.doubles.agents import DESK
from tests.doubles.sockets import serving, short_folder
from tests.doubles.tasks import text_files, write_device

pytestmark = pytest.mark.slow  # a process of its own

ROOT = Path(__file__).parents[2]
SURVEY = SurveyRequest(round=1, strategy="fleet", offers=0, random_offers=2, first=True, model=None)


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder() as folder:
        write_device(
            folder,
            text_files(),
            items="a prize for you\nsee you at home\n",
            labeling_key=f'"{DESK.labeling.public.hex()}"',
            desk_key=f'"{DESK.signing.public.hex()}"',
        )
        yield folder


class Transport:
    """The other process, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout
        self.pid = process.pid

    def tell(self, line: str) -> str:
        self._in.write(line + "\n")
        self._in.flush()
        return self._out.readline().strip()

    def carry(self, request: object) -> bytes:
        return bytes.fromhex(self.tell(f"carry {encode(request).hex()}"))

    def memory_holds(self, secret: bytes) -> bool:
        """Return whether these bytes, or their hexadecimal, are anywhere in its memory."""
        forms = (secret, secret.hex().encode())
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            for line in Path(f"/proc/{self.pid}/maps").read_text().splitlines():
                where, rights, *_ = line.split()
                if not rights.startswith("rw") or line.endswith(("[vvar]", "[vsyscall]")):
                    continue
                start, end = (int(border, 16) for border in where.split("-"))
                try:
                    memory.seek(start)
                    held = memory.read(end - start)
                except (OSError, ValueError, OverflowError):
                    continue
                if any(form in held for form in forms):
                    return True
        return False


@contextmanager
def transport_of(socket: Path, *more: str) -> Iterator[Transport]:
    """Run Flower's process beside the agent at this socket."""
    with subprocess.Popen(
        [
            sys.executable, "-P", "-c",
            "from tests.edge.transport_process import main; main()", str(socket), *more,
        ],
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(socket.parent),
            "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1",
        },
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        try:
            yield Transport(process)
        finally:
            process.terminate()


def carried(transport: Transport) -> tuple[HelloReply, SealedItem]:
    """Take a device up to a sealed candidate; return who it is, and the candidate."""
    hello = decode(transport.carry(HelloRequest(campaign="c")), HelloReply)
    offers = decode(transport.carry(SURVEY), SurveyReply).offers
    grants = tuple(offer.item for offer in offers)
    reply = decode(transport.carry(CollectRequest(round=1, grants=grants)), CollectReply)
    assert all(sealed.envelope for sealed in reply.sealed)
    return hello, reply.sealed[0]


def attempt(
    transport: Transport, family: str, hello: HelloReply, sealed: SealedItem
) -> dict[str, object]:
    """Let the transport try all it has."""
    scope = f"{family}:{hello.signing_key.hex()}:{sealed.item.hex()}"
    line = f"attempt {sealed.envelope.hex()} {scope} {hello.signing_key.hex()}"
    found: dict[str, object] = json.loads(transport.tell(line))
    return found


def test_the_process_that_carries_envelopes_holds_no_key_and_opens_none(place: Path) -> None:
    settings = EdgeSettings.load(place / "device.toml")
    with (
        opened(settings) as device,
        serving(settings.socket_path, device.agent.handle),
        transport_of(settings.socket_path) as transport,
    ):
        hello, sealed = carried(transport)
        result = attempt(transport, device.task.family, hello, sealed)
        assert result["opened"] == 0
        # it had something to try: keys of its own making, digests, public keys
        tried = result["tried"]
        assert isinstance(tried, int)
        assert tried > 5
        # no file of the device or the desk was opened, not even its settings
        files = result["files"]
        assert isinstance(files, list)
        assert not [name for name in files if str(place) in os.path.realpath(name)]
        # no secret is anywhere in its memory, though what it carries is
        secrets = [
            (place / "state" / "signing.key").read_bytes(),
            (place / "state" / "sealing.key").read_bytes(),
            DESK.labeling.to_bytes(),
            DESK.signing.to_bytes(),
        ]
        assert transport.memory_holds(sealed.envelope[-40:])
        assert not any(transport.memory_holds(secret) for secret in secrets)
        assert not transport.memory_holds(b"a prize for you")


def test_a_transport_that_had_the_key_would_be_found_out(place: Path) -> None:
    """The attack on the test: the labeling key within reach, and read."""
    stolen = place / "stolen.key"
    stolen.write_bytes(DESK.labeling.to_bytes())
    settings = EdgeSettings.load(place / "device.toml")
    with (
        opened(settings) as device,
        serving(settings.socket_path, device.agent.handle),
        transport_of(settings.socket_path, str(stolen)) as transport,
    ):
        hello, sealed = carried(transport)
        result = attempt(transport, device.task.family, hello, sealed)
        assert result["opened"] == 1
        assert str(stolen) in str(result["files"])
        assert transport.memory_holds(DESK.labeling.to_bytes())


def test_what_the_transport_imports_of_us_has_no_redactor_no_pool_and_no_door() -> None:
    """The fewer modules are there, the fewer mistakes can be made with an item."""
    said = subprocess.run(
        [sys.executable, "-P", "-c", "import edge.app, sys; print(*sys.modules)"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(ROOT)},
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    ours = {name for name in said if name.partition(".")[0] in {"edge", "privacy", "coordinator"}}
    assert not any(name.startswith("privacy") for name in ours)
    assert not ours & {"edge.outbox", "edge.pool", "edge.device", "edge.agent"}

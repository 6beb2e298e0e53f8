"""A whole campaign with planted strings and everything going wrong, in a process of its own.

Run as ``python -c "from tests.edge.planted_campaign import main; main()" FOLDER MUTANT``. Three
devices train and one evaluates, each behind its own socket, the ClientApp of a deployment in front;
a coordinator drives three rounds over a store on disk; a person answers at the desk. Meanwhile a
Python function raises with the text it was shown, a device fails with its items in the error, one
was tampered with, one item makes redaction fail, one is not even text, and the ledger runs dry.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from fieldvote.heads import GradientRequest

PERSONAL = (
    "Zbigniew Kowalczyk", "Wolfeschlegelstein", "4539 1488 0343 6467", "0170 5551234",
    "DE89 3704 0044 0532 0130 00", "zk77@kowalczyk.example", "hunter-Tz9-secret",
    "17 Quillfeather Street",
)  # fmt: skip
CONTENT = "purple umbrella near the quiet harbour"
FAILING = "glacier"  # a word whose text makes redaction fail
BROKEN = "Wolfeschlegelstein is in a file that is no text"
DEVICES = ("phone1", "phone2", "phone3", "judge")

RULES = """
def tells(texts):
    import sys
    print(texts, file=sys.stderr)
    raise ValueError(texts[0])
"""


def texts(number: int) -> list[str]:
    """Return a device's items: each holds something personal, and words anyone may read."""
    offers = ["you win a prize", "claim the voucher now", "a free offer for you"]
    chats = ["see you at home", "mum says hello", "we will meet at noon"]
    made = []
    for place in range(12):
        opening = (offers if place % 2 else chats)[place % 3]
        said = PERSONAL[(place + number) % len(PERSONAL)]
        label = {6: "password: ", 5: "mail ", 7: "I live at "}.get((place + number) % 8, "ask ")
        made.append(f"{opening}, {CONTENT}. {label}{said}")
    return [*made, f"the {FAILING} of {PERSONAL[0]}"]


@dataclass(slots=True)
class Crossing:
    """What crossed between the transport and everybody else, in both directions."""

    up: list[bytes] = field(default_factory=list)
    down: list[bytes] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


def main() -> None:
    """Run the campaign in a folder, with one protection taken out or none."""
    folder, mutant = Path(sys.argv[1]), sys.argv[2]
    MUTANTS[mutant]()
    crossing = Crossing()
    with ExitStack() as held:
        sockets = [start(folder, name, held) for name in DEVICES]
        drive_campaign(folder, sockets, crossing)
    for name in DEVICES:
        say_everything(folder / f"{name}.toml")
    fail_to_start(folder)
    written = folder / "crossed"
    written.mkdir()
    for way in ("up", "down"):
        for number, blob in enumerate(getattr(crossing, way)):
            (written / f"{way}-{number:05d}.bin").write_bytes(blob)
    (folder / "shown.txt").write_text("\n".join(crossing.shown), "utf-8")


def start(folder: Path, name: str, held: ExitStack) -> Path:
    """Serve one device at its socket, with what goes wrong on it."""
    from edge.device import opened
    from edge.outbox import serve
    from edge.service import Serving
    from edge.settings import EdgeSettings

    settings = EdgeSettings.load(folder / f"{name}.toml")
    with opened(settings) as device:
        if name != "judge":
            # not even text, and it came by no file
            device.pool.add([os.urandom(16)], [b"\xff\xfe" + PERSONAL[0].encode() + b"\xfe"])
    serving = Serving(settings, held, say)
    make_trouble(name, serving)
    stop = threading.Event()
    thread = threading.Thread(
        target=serve, args=(settings.socket_path, serving.answer, stop), daemon=True
    )
    thread.start()
    held.callback(thread.join)
    held.callback(stop.set)
    while not settings.socket_path.is_socket():
        time.sleep(0.01)
    return settings.socket_path


def make_trouble(name: str, serving: object) -> None:
    """Let redaction fail on some items everywhere, and break two devices in their own way."""
    device = serving._device  # type: ignore[attr-defined]  # a test looks inside
    agent = device.agent
    outbox = agent._parts.outbox
    redactor = outbox._redactor
    if name == "phone3":
        outbox._redactor = LetsThrough()
        return

    class Failing:
        """Redaction that gives up on some items, and says on which."""

        def redact(self, text: str) -> object:
            if FAILING in text:
                raise ValueError(f"cannot redact {text!r}")
            return redactor.redact(text)

    outbox._redactor = Failing()
    if name == "phone2":
        whole, failed = agent._read, list[object]()

        def read(message: object) -> object:
            if isinstance(message, GradientRequest) and not failed:
                failed.append(message)
                raise RuntimeError(f"a bug, with {device.pool.payloads()!r}")
            return whole(message)

        agent._read = read


class LetsThrough:
    """A redactor that was tampered with."""

    def redact(self, text: str) -> "LetsThrough":
        """Return the text as it is."""
        self.text, self.spans = text, ()
        return self


def drive_campaign(folder: Path, sockets: list[Path], crossing: Crossing) -> None:
    """Turn the rounds over Flower's own message format, with a person at the desk."""
    from flwr.app import Message

    from coordinator.app import build_server_app
    from coordinator.driving import drive
    from coordinator.pulse import Pulse
    from edge.app import app
    from simulations.engines.in_process import InProcessGrid, run_in_process

    class TappedGrid(InProcessGrid):
        """A grid that keeps what it carries down as well."""

        def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
            """Take messages in."""
            group = list(messages)
            for message in group:
                for record in message.content.config_records.values():
                    crossing.down.extend(v for v in record.values() if isinstance(v, bytes))
            return InProcessGrid.push_messages(self, group)

    grid = TappedGrid(
        client_app=app,
        nodes={n: {"socket": str(path)} for n, path in enumerate(sockets, 1)},
        tap=lambda _node, blob: crossing.up.append(blob),
    )
    over = threading.Event()
    desk = threading.Thread(target=sit_at_the_desk, args=(folder, crossing, over), daemon=True)
    desk.start()
    try:
        run_in_process(
            build_server_app(
                lambda transport, _: drive(folder / "coordinator.toml", transport, Pulse(say))
            ),
            grid,
        )
    finally:
        over.set()
        desk.join()


def sit_at_the_desk(folder: Path, crossing: Crossing, over: threading.Event) -> None:
    """Answer what comes, as a person at a terminal does."""
    from coordinator.labels.terminal import answer_queue
    from fieldvote.errors import FieldvoteError

    while not over.wait(0.1):
        try:
            answer_queue(
                folder / "coordinator.toml",
                folder / "desk",
                ask=lambda _: str(
                    int("prize" in crossing.shown[-1] or "offer" in crossing.shown[-1])
                ),
                say=crossing.shown.append,
            )
        except FieldvoteError:
            traceback.print_exc()


def say_everything(config: Path) -> None:
    """Print what a device tells people of itself."""
    from edge.status import ledger_rows, status_of

    say(str(status_of(config)))
    say(str(ledger_rows(config)))


def fail_to_start(folder: Path) -> None:
    """Open a device whose items are no text, and one of another task's, as --debug shows it."""
    from edge.device import opened
    from edge.settings import EdgeSettings

    for name in ("broken", "empty"):
        try:
            with opened(EdgeSettings.load(folder / f"{name}.toml")):
                say("opened")
        except Exception:
            traceback.print_exc()


def say(line: str) -> None:
    """Print a line, as a service's log gets it."""
    print(line, flush=True)


# what is taken out, one at a time


def nothing() -> None:
    """Leave everything as it is."""


def redaction() -> None:
    """Take redaction and the second scan out."""
    import edge.outbox
    from privacy.pii import Redaction, Redactor

    def redact(_: Redactor, text: str) -> Redaction:
        return Redaction(text, ())

    vars(edge.outbox)["second_scan"] = lambda *_: ()
    Redactor.redact = redact  # type: ignore[method-assign, assignment]  # the mutant


def sealing() -> None:
    """Let envelopes hold their content in clear."""
    from privacy.sealing import envelope

    class Open:
        def encrypt(self, plaintext: bytes, _key: object, **_: object) -> bytes:
            return bytes(32) + plaintext + bytes(16)

        def decrypt(self, ciphertext: bytes, _key: object, **_: object) -> bytes:
            return ciphertext[32:-16]

    envelope._suite = Open  # type: ignore[assignment]  # the mutant


def error_hygiene() -> None:
    """Let an unexpected error travel with its own words."""
    import edge.outbox

    def frame(handle: Callable[[bytes], bytes], request: bytes) -> bytes:
        try:
            return b"\x00" + handle(request)
        except Exception as err:
            return b"\x01" + str(err).encode()

    edge.outbox._frame = frame


def worker_hygiene() -> None:
    """Let a Python function's own output reach the device's log."""
    import subprocess

    subprocess.DEVNULL = None  # type: ignore[misc, assignment]  # the mutant


def log_hygiene() -> None:
    """Let the door say what it ships."""
    from edge.outbox import Outbox

    masked = Outbox._masked

    def telling(self: Outbox, item: bytes, payload: bytes) -> object:
        say(f"masking {payload!r}")
        return masked(self, item, payload)

    Outbox._masked = telling  # type: ignore[method-assign, assignment]  # the mutant


def file_hygiene() -> None:
    """Let an error quote the file it could not read."""
    import edge.item_file

    def decode(content: bytes, where: str, *_: object) -> str:
        with suppress(UnicodeDecodeError):
            return content.decode()
        raise ValueError(f"{where}: {content!r}")

    edge.item_file._decode = decode


MUTANTS: dict[str, Callable[[], None]] = {
    "nothing": nothing,
    "redaction": redaction,
    "sealing": sealing,
    "the hygiene of errors": error_hygiene,
    "the hygiene of a function's process": worker_hygiene,
    "the hygiene of logs": log_hygiene,
    "the hygiene of files": file_hygiene,
}

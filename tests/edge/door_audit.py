"""A whole device in a round, in a process of its own, with every file and socket written down.

Run as ``python -c "from tests.edge.door_audit import main; main()" FOLDER``. Python's audit hooks
tell of each file, socket and process before it is opened; the module of `edge` that asked is the
innermost one on the stack. What is said on standard output is one JSON object: what was seen.

Audit hooks see what Python opens. A library's own machine code could open more; the libraries a
device has are few, and the test for processes looks at the same round from outside.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

Seen = set[tuple[str, str, str]]

_FILES = {
    "open": 0, "sqlite3.connect": 0, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1,
    "os.chmod": 0, "os.link": 1, "os.symlink": 1, "os.truncate": 0, "shutil.rmtree": 0,
    "shutil.copyfile": 1, "shutil.move": 1, "os.listdir": 0, "os.scandir": 0,
    "tempfile.mkstemp": 0, "tempfile.mkdtemp": 0,
}  # fmt: skip
_READS = ("os.listdir", "os.scandir")
_PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "pty.spawn")
_NETWORK = ("socket.", "urllib.", "http.client.", "ftplib.", "smtplib.", "imaplib.", "poplib.")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_IMPORTING = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")


def watch(package: Path, seen: Seen) -> None:
    """Write down from now on what modules of this package open: kind, module, what."""
    root = str(package) + os.sep
    busy = threading.local()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        kind = _kind(event, arguments)
        if not kind or getattr(busy, "now", False):
            return
        busy.now = True
        try:
            module = _asked_by(sys._getframe(1), root)
            if module and not (kind == "read" and module.endswith("!")):
                what = event
                if event in _FILES:
                    what = os.path.realpath(os.fsdecode(arguments[_FILES[event]]))
                seen.add((kind, module.rstrip("!"), what))
        finally:
            busy.now = False

    sys.addaudithook(hook)


def _kind(event: str, arguments: tuple[Any, ...]) -> str:
    """Return read, write, process or network; nothing for what is none of them."""
    if event.startswith(_NETWORK):
        return "network"
    if event in _PROCESSES:
        return "process"
    place = _FILES.get(event)
    if place is None or not isinstance(arguments[place], str | bytes | os.PathLike):
        return ""  # a descriptor that was opened before
    if event == "open":
        return "write" if (arguments[2] or 0) & _WRITING else "read"
    return "read" if event in _READS else "write"


def _asked_by(frame: FrameType | None, root: str) -> str:
    """Return the innermost module of the package on the stack; with a ! where it is importing."""
    importing = False
    while frame is not None:
        name = frame.f_code.co_filename
        importing = importing or name in _IMPORTING
        if name.startswith(root):
            return name.removeprefix(root) + ("!" if importing else "")
        frame = frame.f_back
    return ""


def main() -> None:
    """Take the device in a folder through a round."""
    import edge

    seen: Seen = set()
    watch(Path(edge.__file__).parent, seen)
    from edge.service import run_agent
    from edge.status import status_of

    config = Path(sys.argv[1]) / "device.toml"
    said: list[str] = []
    failed: list[str] = []

    def converse() -> None:
        try:
            take_round(config, said.append)
        except BaseException as err:  # told to the test, whatever it is
            failed.append(repr(err))
        finally:
            os.kill(os.getpid(), 15)

    threading.Thread(target=converse, daemon=True).start()
    run_agent(config, lambda _: None)
    status_of(config)
    json.dump({"seen": sorted(seen), "said": said, "failed": failed}, sys.stdout)


def take_round(config: Path, say: Callable[[str], None]) -> None:
    """Ask the device everything a coordinator asks in a round, over its socket."""
    from edge.asking import ask
    from edge.settings import EdgeSettings
    from fieldvote.errors import RefusalError
    from fieldvote.heads import EvaluateRequest
    from fieldvote.records import (
        Answer,
        AnswersReply,
        AnswersRequest,
        CollectReply,
        CollectRequest,
        HelloReply,
        HelloRequest,
        SurveyReply,
        SurveyRequest,
        decode,
        encode,
    )
    from fieldvote.task import Task
    from privacy.sealing.context import Marks, Purpose, Scope
    from privacy.sealing.envelope import open_envelope, seal
    from strategies.representation import Moments
    from tests.doubles.agents import DESK, gradient_request, model_from

    settings = EdgeSettings.load(config)
    place = settings.socket_path
    while not place.is_socket():
        time.sleep(0.02)
    task = Task.load(Path(settings.task))
    hello = decode(ask(place, encode(HelloRequest(campaign="c"))), HelloReply)
    survey = SurveyRequest(
        round=1, strategy="fleet", offers=0, random_offers=4, first=True, model=None
    )
    surveyed = decode(ask(place, encode(survey)), SurveyReply)
    moments = Moments.from_vector(surveyed.moments)
    model = model_from(moments, classes=len(task.classes))
    grants = tuple(offer.item for offer in surveyed.offers)
    collected = decode(ask(place, encode(CollectRequest(round=1, grants=grants))), CollectReply)
    answers = []
    for number, sealed in enumerate(collected.sealed):
        scope = Scope(
            purpose=Purpose.CANDIDATE,
            family=task.family,
            device=hello.signing_key,
            item=sealed.item,
        )
        opened = open_envelope(
            sealed.envelope, keys=[DESK.labeling], scope=scope, senders=[hello.signing_key]
        )
        say(opened.plaintext.decode("utf-8", errors="replace"))
        answers.append(
            seal(
                encode(Answer(item=sealed.item, label=number % 2)),
                recipient=hello.sealing_key,
                scope=Scope(purpose=Purpose.ANSWER, family=task.family, device=hello.signing_key),
                marks=Marks(epoch=b"e" * 16, sequence=number),
                signer=DESK.signing,
            )
        )
    request = AnswersRequest(round=1, answers=tuple(answers), representation=model)
    accepted = decode(ask(place, encode(request)), AnswersReply).accepted
    say(f"accepted {accepted} of {len(grants)}")
    ask(place, encode(gradient_request(model, vote_weight=0.5)))
    ask(place, encode(EvaluateRequest(round=1, model=model)))
    try:
        ask(place, b"no request")
    except RefusalError:
        say("refused")

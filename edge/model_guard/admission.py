"""Letting a task's model in: checked at every start, run apart once.

What passed is remembered by a stamp over all that the first run was about: the model, its golden
outputs, what they are called and how wide they are, and the version of ONNX Runtime. A device that
starts again with the same model does not pay for a first run again; one whose library was updated
does, as another library may read the same bytes otherwise.
"""

from hashlib import sha256
from typing import Final, Protocol

from edge.model_guard.first_run import run_apart
from edge.model_guard.golden import Golden
from edge.model_guard.rules import Wanted, check_model
from edge.model_guard.step_run import run_training_apart
from fieldvote.task import Task, digest_files

_NOTE: Final = "models let in"
_STAMP_BYTES = 32
_REMEMBERED = 4  # the one that serves, the one before, and two that were tried


class Notes(Protocol):
    """What a device remembers; its pool does."""

    def note(self, name: str) -> bytes | None:
        """Return a small value kept under this name."""

    def keep_note(self, name: str, value: bytes) -> None:
        """Keep a small value under this name."""


def admit(task: Task, notes: Notes) -> None:
    """Return if a task's model may be loaded here; where it is new, it has had its first run.

    Raises:
        TaskError: it may not, and why.
        UnavailableError: this system starts no process for the first run now.
        StoreError: the device cannot remember that it passed.
    """
    stamp = stamp_of(task)
    held = notes.note(_NOTE) or b""
    passed = [held[place : place + _STAMP_BYTES] for place in range(0, len(held), _STAMP_BYTES)]
    if stamp in passed:
        return
    check_task(task)
    notes.keep_note(_NOTE, b"".join([stamp, *passed[: _REMEMBERED - 1]]))


def check_task(task: Task) -> None:
    """Return if a task's model is one for it, and passes its first run.

    Raises:
        TaskError: it does not, and why.
        UnavailableError: this system starts no process for the first run now.
    """
    names, where = task.names, task.names.file
    width, classes = task.input.width, len(task.classes)
    called = (names.input, names.probabilities, names.embedding)
    check_model(task.model, Wanted.backbone(called, width, classes), where=where)
    golden = None
    if names.golden:
        golden = Golden.from_bytes(task.golden, width=width, classes=classes, where=names.golden)
    run_apart(
        task.model,
        names=called,
        width=width,
        classes=classes,
        golden=golden,
        where=where,
    )
    if task.training is not None:
        run_training_apart(task)


def stamp_of(task: Task) -> bytes:
    """Return what a first run of this model for this task is remembered by."""
    import onnxruntime  # the model is loaded next: this costs nothing more

    names = task.names
    said = (names.input, names.probabilities, names.embedding, task.input.width, len(task.classes))
    about = {
        "library": str(onnxruntime.__version__).encode(),
        "model": task.model,
        "golden": task.golden,
        "about": repr(said).encode(),
    }
    if task.training is not None:
        about |= {"training": repr(task.training).encode(), "step": task.step}
        about["scoring"] = task.scoring
    return sha256(digest_files(about).encode()).digest()

"""Labeling functions in Python: only what is installed here, and only what this device pins.

A bundle can name such a function but not bring it. Before anything of it is imported, three digests
must be one: what the task says, what the device's own policy pins, and what the files of the
installed distribution give. It then runs in a process of its own, which is stopped when its time is
up. That process is no sandbox: who pins a function trusts its code.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.labeling.ballot import Ballot, Column, Mask, Votes
from edge.labeling.items import Items
from fieldvote.errors import InputError, RefusalError, UnavailableError
from fieldvote.function_python import ENTRY_POINTS
from fieldvote.functions import PythonFunction

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

_WORKER = Path(__file__).with_name("python_worker.py")
_BATCH = 4096  # items a process is given; the time limit is for so many
_PATIENCE = 3  # batches in a row that may fail before the function is given up
_MOST_KEPT = 1 << 16  # votes remembered, so that a pool that did not change is not asked again
# written by the installer and different on every machine
_NOT_CONTENT = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")


def installed_digest(name: str) -> str:
    """Return the digest of the distribution that brings an entry point, hex.

    It covers every file the distribution installed beside its package metadata: names and contents.
    Other distributions it imports are not covered.

    Raises:
        UnavailableError: Nothing of that name is installed.
        RefusalError: More than one distribution brings it, or what would be imported is not among
            the files that were installed, as in an editable install: it cannot be pinned.
    """
    return _digest_of(_entry(name))


def python_column(
    function: PythonFunction, number: Mapping[str, int], pins: Mapping[str, str]
) -> Column:
    """Return the column of a Python function.

    Args:
        function: The definition.
        number: Class name and its position.
        pins: What this device allows: entry point and digest.

    Raises:
        UnavailableError: It is not installed here.
        RefusalError: It is not pinned, or what is installed is not what was pinned.
    """
    name, place = function.entry_point, f"function '{function.id}'"
    entry = _entry(name)
    installed = _digest_of(entry)
    if name not in pins:
        raise RefusalError(
            f"{place}: this device pins no Python function '{name}'; installed is {installed}"
        )
    if not pins[name] == function.digest == installed:
        raise RefusalError(
            f"{place}: '{name}' must be one thing to all three: this device pins {pins[name]}, "
            f"the task says {function.digest}, installed is {installed}"
        )
    return _Runner(function, entry.value, number)


class _Runner:
    """Asks a process of its own for votes, batch by batch."""

    def __init__(self, function: PythonFunction, value: str, number: Mapping[str, int]) -> None:
        self._function = function
        self._value = value
        self._number: dict[object, int] = {name: number[name] for name in function.classes}
        self._number[None] = -1
        self._kept: dict[bytes, int] = {}
        self._failures = 0

    def __call__(self, items: Items) -> Ballot:
        """Return the votes; a batch that cannot be answered has failed."""
        keys = _keys(items, self._function.inputs)
        votes: Votes = np.full(len(items), -1, dtype=np.int8)
        failed: Mask = np.zeros(len(items), dtype=np.bool_)
        fresh = [place for place, key in enumerate(keys) if key not in self._kept]
        for start in range(0, len(fresh), _BATCH):
            batch = fresh[start : start + _BATCH]
            answers = self._ask(items, batch)
            if answers is None:
                failed[batch] = True
                continue
            if len(self._kept) + len(batch) > _MOST_KEPT:
                self._kept = {key: self._kept[key] for key in keys if key in self._kept}
            self._kept.update(zip((keys[place] for place in batch), answers, strict=True))
        for place, key in enumerate(keys):
            votes[place] = self._kept.get(key, -1)
        return Ballot(votes=votes, failed=failed)

    def _ask(self, items: Items, batch: Sequence[int]) -> list[int] | None:
        """Return the votes on a batch; None where the function fails, or was given up."""
        if self._failures >= _PATIENCE:
            return None
        asked = {
            "path": sys.path,
            "function": self._value,
            "items": _shown(items, self._function.inputs, batch),
        }
        said = _run(json.dumps(asked).encode(), self._function.timeout_s)
        if (
            not isinstance(said, list)
            or len(said) != len(batch)
            or not all(each is None or isinstance(each, str) for each in said)
            or not self._number.keys() >= set(said)
        ):
            self._failures += 1
            return None
        self._failures = 0
        return [self._number[each] for each in said]


def _run(request: bytes, timeout_s: float) -> object:
    """Return what a worker answers; None where it fails or its time is up."""
    with subprocess.Popen(  # noqa: S603  # our own interpreter and our own file
        [sys.executable, "-P", "-B", str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # none of the agent's environment: it may hold paths to secrets
        env={"PYTHONHASHSEED": "0"},
        start_new_session=True,
    ) as worker:
        try:
            answer, _ = worker.communicate(request, timeout=timeout_s)
            return json.loads(answer) if worker.returncode == 0 else None
        except subprocess.TimeoutExpired:
            # its whole session, for a child of its own would hold our pipe open; as nobody has
            # waited for the worker yet, its number cannot be another process's by now
            os.killpg(worker.pid, signal.SIGKILL)
            return None
        except (ValueError, OSError):
            return None


def _keys(items: Items, inputs: Sequence[str]) -> list[bytes]:
    """Return a short name for each item, as this function sees it."""
    if not inputs:
        if items.texts is None:
            raise InputError("items have no texts")
        return [sha256(text.encode("utf-8", "surrogatepass")).digest() for text in items.texts]
    rows = np.column_stack([items.column(name) for name in inputs])
    return [row.tobytes() for row in rows]


def _shown(items: Items, inputs: Sequence[str], batch: Sequence[int]) -> object:
    """Return what the function is given: texts, or numbers by field."""
    if not inputs:
        return [(items.texts or ())[place] for place in batch]
    return {name: items.column(name)[list(batch)].tolist() for name in inputs}


def _entry(name: str) -> "EntryPoint":
    """Return the one entry point of this name."""
    from importlib.metadata import entry_points  # few tasks have functions in Python

    found = list(entry_points(group=ENTRY_POINTS, name=name))
    if not found:
        raise UnavailableError(f"no Python function '{name}' is installed in '{ENTRY_POINTS}'")
    if len({each.value for each in found}) > 1:
        raise RefusalError(f"more than one distribution brings the Python function '{name}'")
    return found[0]


def _digest_of(entry: "EntryPoint") -> str:
    """Return the digest over the files of an entry point's distribution."""
    contents = _contents(entry.dist)
    if _module_file(entry.module) not in contents:
        raise RefusalError(
            f"'{entry.name}' is not imported from the files of its distribution; install it as a "
            "wheel, not as an editable link"
        )
    digest = sha256()
    for name, content in sorted(contents.values()):
        digest.update(b"%d:%s%d:" % (len(name), name, len(content)))
        digest.update(content)
    return digest.hexdigest()


def _contents(distribution: "Distribution | None") -> dict[Path, tuple[bytes, bytes]]:
    """Return the files of a distribution: where each lies, its name, its content."""
    found = {}
    for file in () if distribution is None else distribution.files or ():
        elsewhere = ".." in file.parts or "__pycache__" in file.parts
        own = file.parts[0].endswith((".dist-info", ".egg-info")) and file.name in _NOT_CONTENT
        path = Path(str(file.locate()))
        if not elsewhere and not own and path.is_file():
            found[path.resolve()] = (file.as_posix().encode(), path.read_bytes())
    return found


def _module_file(module: str) -> Path | None:
    """Return the file a module would be imported from, without importing it."""
    top, *inside = module.split(".")
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    if inside:
        stem = path.parent.joinpath(*inside)
        path = stem.with_suffix(".py") if not stem.is_dir() else stem / "__init__.py"
    return path.resolve()

"""Files as one run of bytes, to be carried in pieces and named by their hash: a signed task, news.

Layout: `[format, [[name, content], ...]]` in msgpack, names sorted. The same files are always the
same bytes, so a bundle's SHA-256 is its name, and whoever holds a part of it knows of what.

A task's bundle holds its files and the targets that sign them. Timestamp and snapshot are not in
it: what is signed anew every few days must not rename what takes half an hour to arrive. They are
news, which travel before it; and files that a device has already may be left out of a bundle.

Reading checks shape, not truth: who signed, and whether it is a task at all, is for the caller.
Names are plain file names, so nothing read here can point outside the folder it is written to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgpack

from fieldvote.errors import InputError, TaskError, WireError
from fieldvote.task import Task

TARGETS_FILE = "targets.msgpack"
SNAPSHOT_FILE = "snapshot.msgpack"
TIMESTAMP_FILE = "timestamp.msgpack"
ROOT_FILE = "root.msgpack"
ROOT_SUFFIX = ".root.msgpack"
"""And the root's version before it."""

DIRECTORY_FILE = "directory"
DIRECTORY_METADATA = "directory.msgpack"
NAME_BYTES = 32
_FORMAT = 1
_MOST_FILES = 128
_MOST_CHARS = 128
_VOCABULARY = "vocabulary/"  # no task file has a slash in its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Packed files.

    Attributes:
        name: SHA-256 of the content.
        content: What travels.
    """

    name: bytes
    content: bytes = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """How much there is to carry."""
        return len(self.content)

    @staticmethod
    def of(files: Mapping[str, bytes]) -> "Bundle":
        """Pack files.

        Raises:
            InputError: a name is no plain file name, or there are too many files.

        >>> bundle = Bundle.of({"task.toml": b"x", "targets.msgpack": b"y"})
        >>> unpack(bundle.content) == {"task.toml": b"x", "targets.msgpack": b"y"}
        True
        """
        if len(files) > _MOST_FILES:
            raise InputError(f"a bundle has at most {_MOST_FILES} files, got {len(files)}")
        for name in files:
            if not _is_plain(name):
                raise InputError(f"{name!r} is no plain file name, so it cannot be in a bundle")
        content = _pack(files)
        return Bundle(name=sha256(content).digest(), content=content)

    @staticmethod
    def load(folder: Path) -> "Bundle | None":
        """Pack a task folder with what signs it; None where nobody has.

        Raises:
            TaskError: the folder holds no task, or cannot be read.
        """
        files = Task.files(folder)
        try:
            targets = (folder / TARGETS_FILE).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as err:
            raise TaskError(
                f"{folder}/{TARGETS_FILE}: cannot be read ({err.strerror or err})"
            ) from err
        return Bundle.of({**files, TARGETS_FILE: targets})


def unpack(content: bytes) -> dict[str, bytes]:
    """Return the files of a bundle by name.

    Raises:
        WireError: these bytes are not what packing gives.
    """
    try:
        written, rows = msgpack.unpackb(
            content,
            max_array_len=_MOST_FILES,
            max_str_len=4 * _MOST_CHARS,
            max_bin_len=len(content),
            max_map_len=0,
            max_ext_len=0,
        )
        files: dict[str, bytes] = dict(rows)
    except (ValueError, TypeError, msgpack.UnpackException) as err:
        raise WireError(f"{len(content)} bytes that are no bundle: {type(err).__name__}") from err
    whole = all(_is_plain(name) and type(held) is bytes for name, held in files.items())
    # one writing for one meaning: no name twice, nothing beside the files
    if type(written) is not int or written != _FORMAT or not whole or _pack(files) != content:
        raise WireError(f"{len(content)} bytes that are no bundle of this format")
    return files


def signed_content(
    files: Mapping[str, bytes], where: str, *, vocabulary: Callable[[str], str]
) -> dict[str, bytes]:
    """Return what a task's targets name: its files, and the vocabularies its policy relies on.

    The digest of each vocabulary stands as if it were a file: with other words allowed out, the
    same task would be another promise.

    Args:
        files: The files of a task, and nothing beside them.
        where: Where they came from, for messages.
        vocabulary: Name of a locale to the digest of its words.

    Raises:
        TaskError: the files are no task.
    """
    return {**files, **vocabulary_content(Task.parse(files, where), vocabulary)}


def vocabulary_content(task: Task, vocabulary: Callable[[str], str]) -> dict[str, bytes]:
    """Return what stands in a task's targets for the vocabularies that come with the program."""
    locales = task.policy.candidates.shipped_locales
    return {_VOCABULARY + name: vocabulary(name).encode() for name in locales}


def is_vocabulary(path: str) -> bool:
    """Return whether a signed path stands for a vocabulary, and is no file of a task."""
    return path.startswith(_VOCABULARY)


def _pack(files: Mapping[str, bytes]) -> bytes:
    packed: bytes = msgpack.packb([_FORMAT, [[name, files[name]] for name in sorted(files)]])
    return packed


def _is_plain(name: object) -> bool:
    """Return whether a name is one part of a path, on any system, and no hidden one."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= _MOST_CHARS
        and name.isprintable()
        and not name.startswith(".")
        and not set(name) & set("/\\:")
    )

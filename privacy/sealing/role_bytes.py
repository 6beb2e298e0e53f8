"""What a role says, as bytes: msgpack, one writing for one meaning.

A body is `[format, role, version, expires, what the role says]`. Reading builds the value, which
checks itself, and writes it again: bytes that are another writing of the same are refused, since
what is hashed and pinned must be what was meant.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgpack

from fieldvote.errors import InputError, SignatureError
from privacy.sealing.roles import (
    MAX_FILES,
    MAX_PATH_CHARS,
    Delegation,
    FileInfo,
    Keys,
    Metadata,
    Pin,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

_FORMAT = 1
_MAX_FIELD_BYTES = 64  # a key or a hash has 32
M = TypeVar("M", Root, Targets, Snapshot, Timestamp)


def encode_body(metadata: Metadata) -> bytes:
    """Write what a role says."""
    head = [_FORMAT, str(metadata.role), metadata.version, metadata.expires_s]
    packed: bytes = msgpack.packb([*head, _says(metadata)])
    return packed


def decode_body(body: bytes, kind: type[M], role: Role) -> M:
    """Read what encode_body wrote.

    Raises:
        SignatureError: it is not this role's, or not in the form written here: somebody who may
            sign has made a mistake.

    >>> pin = Pin(version=1, file=FileInfo.of(b"snapshot"))
    >>> said = Timestamp(version=3, expires_s=10, snapshot=pin)
    >>> decode_body(encode_body(said), Timestamp, Role.TIMESTAMP) == said
    True
    """
    try:
        read: object = _READ[kind](unpack(body, most_items=MAX_FILES, most_bytes=_MAX_FIELD_BYTES))
        if not isinstance(read, kind) or read.role is not role or encode_body(read) != body:
            raise ValueError("another role, or another writing")
    except (ValueError, TypeError, InputError, msgpack.exceptions.UnpackException) as err:
        raise SignatureError(f"{role}: signed, but not in the form written here") from err
    return read


def unpack(blob: bytes, *, most_items: int, most_bytes: int) -> object:
    """Read msgpack within bounds."""
    said: object = msgpack.unpackb(
        blob,
        max_array_len=most_items,
        max_str_len=4 * MAX_PATH_CHARS,
        max_bin_len=most_bytes,
        max_map_len=0,
        max_ext_len=0,
    )
    return said


def _says(metadata: Metadata) -> list[object]:
    """Return what a role says, as msgpack knows it."""
    match metadata:
        case Root(roles=roles):
            return [[str(role), *_of_keys(keys)] for role, keys in roles]
        case Targets(files=files, delegations=given):
            rows = [[path, info.size_bytes, info.sha256] for path, info in files]
            return [rows, [[str(d.role), *_of_keys(d.keys), list(d.paths)] for d in given]]
        case Snapshot(pins=pins):
            return [[str(role), *_of_pin(pin)] for role, pin in pins]
        case Timestamp(snapshot=pin):
            return _of_pin(pin)


def _of_keys(keys: Keys) -> list[object]:
    return [keys.threshold, list(keys.keys)]


def _of_pin(pin: Pin) -> list[object]:
    return [pin.version, pin.file.size_bytes, pin.file.sha256]


def _read_root(said: object) -> Root:
    match said:
        case [1, "root", int(version), int(expires_s), [*rows]]:
            roles = tuple(_read_role(row) for row in rows)
            return Root(version=version, expires_s=expires_s, roles=roles)
    raise ValueError("no root")


def _read_role(said: object) -> tuple[Role, Keys]:
    match said:
        case [str(name), int(threshold), [*keys]]:
            return Role(name), _read_keys(threshold, keys)
    raise ValueError("no role")


def _read_targets(said: object) -> Targets:
    match said:
        case [1, str(role), int(version), int(expires_s), [[*files], [*given]]]:
            return Targets(
                role=Role(role),
                version=version,
                expires_s=expires_s,
                files=tuple(_read_file(row) for row in files),
                delegations=tuple(_read_delegation(row) for row in given),
            )
    raise ValueError("no targets")


def _read_file(said: object) -> tuple[str, FileInfo]:
    match said:
        case [str(path), int(size_bytes), bytes(digest)]:
            return path, FileInfo(size_bytes=size_bytes, sha256=digest)
    raise ValueError("no file")


def _read_delegation(said: object) -> Delegation:
    match said:
        case [str(name), int(threshold), [*keys], [*paths]]:
            given = tuple(str(path) for path in paths)
            return Delegation(role=Role(name), keys=_read_keys(threshold, keys), paths=given)
    raise ValueError("no delegation")


def _read_snapshot(said: object) -> Snapshot:
    match said:
        case [1, "snapshot", int(version), int(expires_s), [*rows]]:
            pins = tuple(_read_named_pin(row) for row in rows)
            return Snapshot(version=version, expires_s=expires_s, pins=pins)
    raise ValueError("no snapshot")


def _read_named_pin(said: object) -> tuple[Role, Pin]:
    match said:
        case [str(name), *pin]:
            return Role(name), _read_pin(pin)
    raise ValueError("no pin")


def _read_timestamp(said: object) -> Timestamp:
    match said:
        case [1, "timestamp", int(version), int(expires_s), pin]:
            return Timestamp(version=version, expires_s=expires_s, snapshot=_read_pin(pin))
    raise ValueError("no timestamp")


def _read_pin(said: object) -> Pin:
    match said:
        case [int(version), int(size_bytes), bytes(digest)]:
            return Pin(version=version, file=FileInfo(size_bytes=size_bytes, sha256=digest))
    raise ValueError("no pin")


def _read_keys(threshold: int, keys: Sequence[object]) -> Keys:
    held = tuple(key for key in keys if isinstance(key, bytes))
    if len(held) != len(keys):
        raise ValueError("no key")
    return Keys(keys=held, threshold=threshold)


_READ: Mapping[type, Callable[[object], Metadata]] = {
    Root: _read_root,
    Targets: _read_targets,
    Snapshot: _read_snapshot,
    Timestamp: _read_timestamp,
}

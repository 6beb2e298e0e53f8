"""Parsers of what a fleet's roles say: signed, kept, told as news, and their bodies alone."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache

from fieldvote.bundle import ROOT_FILE, SNAPSHOT_FILE, TARGETS_FILE, TIMESTAMP_FILE
from fieldvote.errors import FieldvoteError
from privacy.sealing.news import from_notes, refreshed
from privacy.sealing.role_bytes import decode_body, encode_body
from privacy.sealing.roles import (
    TOP,
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
from privacy.sealing.signed import open_root, open_signed, reopen, sign
from privacy.sealing.signed_task import check_task
from privacy.sealing.trusted import Trusted, check_files
from tests.fuzz.harness import Parser
from tests.fuzz.samples import SENDER

_KEYS = Keys.of(SENDER.public)


_PIN = Pin(version=2, file=FileInfo.of(b"held"))


_FAR = 2_000_000_000


_METADATA: tuple[Metadata, ...] = (
    Root(version=1, expires_s=_FAR, roles=tuple((role, _KEYS) for role in TOP)),
    Targets(
        version=1,
        expires_s=_FAR,
        files=(("model.onnx", FileInfo.of(b"m")), ("task.toml", FileInfo.of(b"t"))),
        delegations=(
            Delegation(role=Role.DIRECTORY, keys=_KEYS, paths=("directory",)),
            Delegation(role=Role.ONLINE, keys=_KEYS, paths=("steps/", "weights/")),
        ),
    ),
    Snapshot(version=1, expires_s=_FAR, pins=((Role.TARGETS, _PIN),)),
    Timestamp(version=1, expires_s=_FAR, snapshot=_PIN),
)


_ROLES: dict[bytes, tuple[type, Role]] = {
    b"r": (Root, Role.ROOT),
    b"t": (Targets, Role.TARGETS),
    b"s": (Snapshot, Role.SNAPSHOT),
    b"n": (Timestamp, Role.TIMESTAMP),
}


def _role(read: Callable[[bytes, type, Role], object]) -> Callable[[bytes], None]:
    """Return a reader of metadata; the first byte says of which role."""

    def parse(blob: bytes) -> None:
        kind, role = _ROLES.get(blob[:1], (Root, Role.ROOT))
        read(blob[1:], kind, role)

    return parse


def _bodies() -> list[bytes]:
    return [letter + encode_body(said) for letter, said in zip(_ROLES, _METADATA, strict=True)]


def signed_roles() -> list[bytes]:
    return [letter + sign(said, [SENDER]) for letter, said in zip(_ROLES, _METADATA, strict=True)]


def _open(blob: bytes, kind: type, role: Role) -> None:
    if kind is Root:
        open_root(blob, _KEYS)
        open_root(blob, None)
        Trusted.begin(blob)
    else:
        open_signed(blob, kind, role, _KEYS)


@cache
def _trusted() -> Trusted:
    return Trusted.begin(sign(_METADATA[0], [SENDER]))


def _believed(blob: bytes) -> None:
    """Everything a device may be told of roles, from whoever tells it."""
    trusted, errors = _trusted(), list[FieldvoteError]()
    for told in (
        lambda: trusted.with_root(blob),
        lambda: trusted.with_timestamp(blob, 1.0),
        lambda: trusted.with_snapshot(blob, 1.0),
        lambda: trusted.with_targets(blob, 1.0),
        lambda: trusted.with_local_targets(blob),
        lambda: trusted.signed_targets(blob),
        lambda: trusted.with_directory(blob, blob, 1.0),
        lambda: trusted.delegated(Role.ONLINE, blob, 1.0),
    ):
        try:
            told()
        except FieldvoteError as err:
            errors.append(err)


def _told(blob: bytes) -> None:
    """News of roles as files, whichever of them they are said to be."""
    name, _, content = blob.partition(b"\n")
    refreshed(_trusted(), {name.decode("latin-1"): content}, 1.0)


def _noted(blob: bytes) -> None:
    name, _, content = blob.partition(b"\n")
    begun = {ROOT_FILE: signed_roles()[0][1:]}
    from_notes({**begun, name.decode("latin-1"): content})


def _named() -> list[bytes]:
    """What a device keeps of its roles, file by file."""
    names = (ROOT_FILE, TARGETS_FILE, SNAPSHOT_FILE, TIMESTAMP_FILE)
    blobs = [blob[1:] for blob in signed_roles()]
    return [name.encode() + b"\n" + blob for name, blob in zip(names, blobs, strict=True)]


def _newer_root() -> list[bytes]:
    root = _METADATA[0]
    assert isinstance(root, Root)
    return [b"2.root.msgpack\n" + sign(replace(root, version=2), [SENDER])]


def _task_signed(blob: bytes) -> None:
    """A file of a task that is signed, broken: found out before anything reads it."""
    targets = _METADATA[1]
    assert isinstance(targets, Targets)
    for check in (
        lambda: check_files(targets, {"model.onnx": blob, "task.toml": b"t"}),
        lambda: check_task(targets, {"model.onnx": blob, "task.toml": b"t"}, "task"),
    ):
        with suppress(FieldvoteError):
            check()


ROLES = (
    Parser("bodies of roles", _role(decode_body), _bodies,
           ("privacy.sealing.role_bytes:decode_body",), share=12),
    Parser("signed roles", _role(_open), signed_roles,
           ("privacy.sealing.signed:open_signed", "privacy.sealing.signed:open_root"), share=4),
    Parser("kept roles", _role(reopen), signed_roles, ("privacy.sealing.signed:reopen",), share=4),
    Parser("news of roles", lambda blob: _believed(blob[1:]), lambda: signed_roles()[:1],
           tuple(f"privacy.sealing.trusted:Trusted.{name}" for name in (
               "begin", "with_root", "with_timestamp", "with_snapshot", "with_targets",
               "with_local_targets", "signed_targets", "with_directory", "delegated"))),
    Parser("news as files", _told, _newer_root, ("privacy.sealing.news:refreshed",), share=3),
    Parser("roles a device keeps", _noted, _named, ("privacy.sealing.news:from_notes",), share=3),
    Parser("files that are signed", _task_signed, lambda: [b"m"],
           ("privacy.sealing.trusted:check_files", "privacy.sealing.signed_task:check_task"),
           share=2),
)  # fmt: skip

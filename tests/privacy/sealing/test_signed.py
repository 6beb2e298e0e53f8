"""Metadata as bytes: one writing for one meaning, and nothing parsed before it is signed."""

from collections.abc import Callable

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, SignatureError
from privacy.sealing import SigningKey
from privacy.sealing.role_bytes import decode_body, encode_body
from privacy.sealing.roles import (
    DELEGATED,
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
from privacy.sealing.signed import DOMAIN, MAGIC, open_root, open_signed, sign

KEY, OTHER = SigningKey(b"k" * 32), SigningKey(b"o" * 32)
HELD = Keys.of(KEY.public)
INFO = FileInfo.of(b"x")
PIN = Pin(version=3, file=INFO)
TARGETS = Targets(
    version=7,
    expires_s=100,
    files=(("model.onnx", INFO), ("policy.toml", INFO)),
    delegations=tuple(
        Delegation(role=role, keys=HELD, paths=DELEGATED[role]) for role in sorted(DELEGATED)
    ),
)
ROOT = Root(version=1, expires_s=100, roles=tuple((role, HELD) for role in TOP))
SNAPSHOT = Snapshot(version=2, expires_s=100, pins=((Role.DIRECTORY, PIN), (Role.TARGETS, PIN)))
TIMESTAMP = Timestamp(version=2, expires_s=100, snapshot=PIN)
ALL: list[Metadata] = [TARGETS, ROOT, SNAPSHOT, TIMESTAMP]


def wrapped(body: bytes, *signatures: tuple[bytes, bytes]) -> bytes:
    rows = [list(row) for row in signatures]
    return MAGIC + bytes(msgpack.packb([rows, body]))


def signed_body(body: bytes, role: str = "targets", key: SigningKey = KEY) -> bytes:
    return wrapped(body, (key.public, key.sign(DOMAIN + role.encode() + b"\0" + body)))


def opened(blob: bytes, keys: Keys = HELD) -> Targets:
    return open_signed(blob, Targets, Role.TARGETS, keys).value


@pytest.mark.parametrize("metadata", ALL, ids=lambda each: str(each.role))
def test_what_was_signed_comes_back(metadata: Metadata) -> None:
    blob = sign(metadata, [KEY])
    if isinstance(metadata, Root):
        assert open_root(blob, HELD).value == metadata
    else:
        held = open_signed(blob, type(metadata), metadata.role, HELD)
        assert (held.value, held.signers) == (metadata, {KEY.public})
    assert decode_body(encode_body(metadata), type(metadata), metadata.role) == metadata


PATHS = st.lists(st.text("abc/._", min_size=1, max_size=9), unique=True, max_size=8)


@settings(deadline=None, max_examples=100)
@given(PATHS, st.integers(-2, 2**54), st.integers(-2, 2**54))
def test_a_value_is_refused_at_birth_or_survives_the_journey(
    paths: list[str], version: int, expires_s: int
) -> None:
    files = tuple((path, INFO) for path in sorted(paths))
    try:
        made = Targets(version=version, expires_s=expires_s, files=files)
    except InputError:
        return
    assert opened(sign(made, [KEY])) == made


@pytest.mark.parametrize("name", ["timestamp", "online", "root"])
def test_a_signature_of_another_domain_is_none(name: str) -> None:
    body = encode_body(TARGETS)
    assert opened(signed_body(body)) == TARGETS
    with pytest.raises(SignatureError, match="a signature is not of this file"):
        opened(signed_body(body, name))
    for message in (body, b"fieldvote manifest 1" + body, DOMAIN + body):
        with pytest.raises(SignatureError):
            opened(wrapped(body, (KEY.public, KEY.sign(message))))


def test_duplicate_signatures_count_once() -> None:
    keys, body = Keys.of(KEY.public, OTHER.public, threshold=2), encode_body(TARGETS)
    row = (KEY.public, KEY.sign(DOMAIN + b"targets\0" + body))
    with pytest.raises(SignatureError):
        opened(wrapped(body, row, row), keys)
    with pytest.raises(SignatureError, match="signed by 1 of those who may, 2 are needed"):
        opened(sign(TARGETS, [KEY, KEY]), keys)
    assert opened(sign(TARGETS, [KEY, OTHER]), keys) == TARGETS
    # and a valid one beside an invalid one is not enough either
    false = (OTHER.public, bytes(64))
    with pytest.raises(SignatureError, match="a signature is not of this file"):
        opened(wrapped(body, *sorted([row, false])), keys)


def test_every_cut_and_every_addition_is_refused() -> None:
    blob = sign(TARGETS, [KEY])
    for size in range(len(blob)):
        with pytest.raises(SignatureError):
            opened(blob[:size])
    for more in (b"\0", b"\xc0", blob):
        with pytest.raises(SignatureError):
            opened(blob + more)


def body_of(*said: object) -> bytes:
    return bytes(msgpack.packb(list(said)))


ROW = ["a", 1, bytes(32)]
BODIES = {
    "nothing": b"",
    "no msgpack": b"\xc1",
    "a number": body_of(7)[1:],
    "too short": body_of(1, "targets", 7),
    "another format": body_of(2, "targets", 7, 100, [[], []]),
    "true for one": body_of(True, "targets", 7, 100, [[], []]),
    "another role": body_of(1, "online", 7, 100, [[], []]),
    "no role": body_of(1, "king", 7, 100, [[], []]),
    "version zero": body_of(1, "targets", 0, 100, [[], []]),
    "a true version": body_of(1, "targets", True, 100, [[], []]),
    "a huge version": body_of(1, "targets", 2**60, 100, [[], []]),
    "no expiry": body_of(1, "targets", 7, 0, [[], []]),
    "a map": body_of(1, "targets", 7, 100, {}),
    "files out of order": body_of(1, "targets", 7, 100, [[["b", 1, bytes(32)], ROW], []]),
    "a file twice": body_of(1, "targets", 7, 100, [[ROW, ROW], []]),
    "a path upwards": body_of(1, "targets", 7, 100, [[["../a", 1, bytes(32)]], []]),
    "a path as bytes": body_of(1, "targets", 7, 100, [[[b"a", 1, bytes(32)]], []]),
    "a negative size": body_of(1, "targets", 7, 100, [[["a", -1, bytes(32)]], []]),
    "a short hash": body_of(1, "targets", 7, 100, [[["a", 1, bytes(31)]], []]),
    "more after it": body_of(1, "targets", 7, 100, [[], []]) + b"\0",
    "a longer writing": b"\x95\xcd\x00\x01" + body_of(1, "targets", 7, 100, [[], []])[2:],
    "endless": b"\xdd\xff\xff\xff\xff",
    "a delegation of policy": body_of(
        1, "targets", 7, 100, [[], [["online", 1, [KEY.public], ["policy.toml"]]]]
    ),
    "a delegation of all": body_of(1, "targets", 7, 100, [[], [["online", 1, [KEY.public], [""]]]]),
    "a delegation to targets": body_of(
        1, "targets", 7, 100, [[], [["targets", 1, [KEY.public], ["x"]]]]
    ),
    "no threshold": body_of(
        1, "targets", 7, 100, [[], [["directory", 0, [KEY.public], ["directory"]]]]
    ),
    "one key twice": body_of(
        1, "targets", 7, 100, [[], [["directory", 2, [KEY.public] * 2, ["directory"]]]]
    ),
}


@pytest.mark.parametrize("what", list(BODIES))
def test_a_signed_body_that_is_not_what_we_write_is_refused(what: str) -> None:
    with pytest.raises(SignatureError, match=r"signed, but not in the form|no signed"):
        opened(signed_body(BODIES[what]))


def test_a_body_is_not_looked_at_before_enough_have_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def parsed(*_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("privacy.sealing.signed.decode_body", parsed)
    with pytest.raises(SignatureError):
        opened(signed_body(b"\xc1", key=OTHER))
    with pytest.raises(SignatureError):
        open_root(signed_body(b"\xc1", "root", key=OTHER), HELD)


BIRTHS: dict[str, Callable[[], object]] = {
    "no keys": lambda: Keys(keys=()),
    "a short key": lambda: Keys.of(b"k" * 31),
    "a key twice": lambda: Keys(keys=(KEY.public, KEY.public), threshold=2),
    "unsorted keys": lambda: Keys(keys=tuple(sorted([KEY.public, OTHER.public]))[::-1]),
    "a threshold of none": lambda: Keys.of(KEY.public, threshold=0),
    "a threshold nobody reaches": lambda: Keys.of(KEY.public, threshold=2),
    "seventeen keys": lambda: Keys.of(*(bytes([n]) * 32 for n in range(17))),
    "a root without targets": lambda: Root(version=1, expires_s=9, roles=ROOT.roles[:3]),
    "a snapshot of nothing": lambda: Snapshot(version=1, expires_s=9, pins=()),
    "a snapshot of root": lambda: Snapshot(version=1, expires_s=9, pins=((Role.ROOT, PIN),)),
    "delegations of a delegated role": lambda: Targets(
        role=Role.ONLINE, version=1, expires_s=9, files=(), delegations=TARGETS.delegations
    ),
    "more for online": lambda: Delegation(
        role=Role.ONLINE, keys=HELD, paths=("policy.toml", "weights/")
    ),
}


@pytest.mark.parametrize("what", list(BIRTHS))
def test_a_role_that_could_be_abused_is_never_born(what: str) -> None:
    with pytest.raises(InputError):
        BIRTHS[what]()

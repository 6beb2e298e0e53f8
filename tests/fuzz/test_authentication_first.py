"""Who said it comes before what it says: a message nobody vouches for never reaches a parser.

In each case the parser behind the check is replaced by one that fails the test. It is asked with
the good message first, so that a parser that was moved or renamed does not pass for one untouched.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from edge import answering
from edge.items import text_payload
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.errors import FieldvoteError, RefusalError
from privacy.dp import statement
from privacy.sealing import SigningKey, enrolment, envelope, note, signed
from privacy.sealing.envelope import HEADER_BYTES
from privacy.sealing.roles import Keys, Role, Timestamp
from tests.doubles.agents import build_device
from tests.doubles.owner import OWNER
from tests.doubles.phones import NEW, Phone
from tests.doubles.tasks import task_of, text_files
from tests.fuzz import fleet_parsers, role_parsers
from tests.fuzz import sealed_parsers as good
from tests.fuzz.samples import SENDER


class ReachedError(BaseException):
    """A parser was asked; nothing catches this by accident."""


def reached(*_: object, **__: object) -> NoReturn:
    raise ReachedError


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way from outside to a parser.

    Attributes:
        parser: What must not be reached, as module and name.
        send: Takes a message in.
        message: A good one.
        places: Bytes of it, any of which may be flipped; None for all.
    """

    parser: tuple[object, str]
    send: Callable[[bytes], object]
    message: Callable[[], bytes]
    places: Callable[[bytes], range] = lambda blob: range(len(blob))


def _timestamp() -> bytes:
    return role_parsers.signed_roles()[3][1:]


def _open_timestamp(blob: bytes) -> object:
    return signed.open_signed(blob, Timestamp, Role.TIMESTAMP, Keys.of(SENDER.public))


def _hpke_body(blob: bytes) -> range:
    return range(HEADER_BYTES - 64, len(blob))  # the signature and what it is over


WAYS = {
    "an envelope to its decryption": Way(
        parser=(envelope, "_suite"), send=good.read_envelope, message=good.envelope,
        places=_hpke_body,
    ),
    "a note to its decryption": Way(
        parser=(note, "_info"), send=good.read_note, message=good.note_to_key
    ),
    "signed metadata to its body": Way(
        parser=(signed, "decode_body"), send=_open_timestamp, message=_timestamp
    ),
    "an enrolment to its request": Way(
        parser=(enrolment, "decode"),
        send=lambda blob: enrolment.admit(blob, key=b"t" * 32),
        message=lambda: fleet_parsers.fleet()[2].ask(),
    ),
    "a grant to its record": Way(
        parser=(enrolment, "decode"),
        send=lambda blob: fleet_parsers.fleet()[2].open_grant(blob, authority=SENDER.public),
        message=lambda: _granted(),
    ),
    "a statement to its sums": Way(
        parser=(statement, "_statement"),
        send=lambda blob: statement.read_statement(
            blob.decode("latin-1"), public=SENDER.public
        ),
        message=good.ledger_statement,
        places=lambda blob: range(blob.index(b'"statement"'), len(blob)),
    ),
}  # fmt: skip


def _granted() -> bytes:
    return fleet_parsers.grants()[0]


@pytest.mark.parametrize("name", list(WAYS))
def test_a_message_nobody_vouches_for_never_reaches_the_parser(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = WAYS[name]
    message = way.message()
    way.send(message)
    monkeypatch.setattr(*way.parser, reached)
    with pytest.raises(ReachedError):
        way.send(message)
    places = way.places(message)
    for place in places[:: max(len(places) // 200, 1)]:
        for bit in (0, 7):
            bad = bytearray(message)
            bad[place] ^= 1 << bit
            with pytest.raises(FieldvoteError):
                way.send(bytes(bad))


def test_an_answer_of_another_desk_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    device = build_device(task_of(text_files()), [text_payload("a prize")])
    answer = device.sealed_answer(b"i" * 16, 0)
    stranger = device.sealed_answer(b"i" * 16, 0, signer=SigningKey(b"o" * 32))
    monkeypatch.setattr(answering, "decode", reached)
    parts = device.agent._parts
    with pytest.raises(ReachedError):
        answering.open_answers(parts, [answer], classes=2)
    for bad in (stranger, answer[:-1], answer[:40] + b"?" + answer[41:]):
        with pytest.raises(RefusalError):
            answering.open_answers(parts, [bad], classes=2)


@pytest.mark.parametrize("change", ["another signer", "a flipped bit", "another file"])
def test_a_bundle_that_is_not_signed_is_not_parsed(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(tmp_path)
    bundle = OWNER.bundle(NEW, 4)
    files = unpack(bundle.content)
    match change:
        case "another signer":
            blob = bytearray(files[TARGETS_FILE])
            blob[30] ^= 1
            files[TARGETS_FILE] = bytes(blob)
        case "a flipped bit":
            model = bytearray(files["model.onnx"])
            model[100] ^= 1
            files["model.onnx"] = bytes(model)
        case "another file":
            files["functions.toml"] += b"\n"
    monkeypatch.setattr("privacy.sealing.signed_task.signed_content", reached)
    monkeypatch.setattr("edge.model_guard.rules.read_model", reached)
    bad = Bundle.of(files)
    phone.hear(OWNER.news(bundle, 4))
    # the good one is parsed, which says that the bad one could have been
    with pytest.raises(ReachedError):
        phone.send(bundle, 0, bundle.size_bytes)
    reply = phone.send(bad, 0, bad.size_bytes)
    assert reply.refusal
    assert not reply.installed
    phone.pool.close()

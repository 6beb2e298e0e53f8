"""Parsers behind a seal or a signature: envelopes, notes, ledgers, and what lies locked on a disk.

Where a signature stands in front, the bytes behind it are broken too and read as if the signer had
made the mistake: whoever may sign must not be able to crash anybody.
"""

from cryptography.hazmat.primitives.asymmetric import ec

from fieldvote.errors import FieldvoteError
from fieldvote.rng import keyed_entropy
from privacy.dp import Ledger, MemoryLedgerStore
from privacy.dp.chain import EPOCH, LedgerEntry, decode_entry, encode_entry
from privacy.dp.spending import Limits
from privacy.dp.statement import read_statement, sign_statement, state
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.at_rest import DataKey, place, unwrapped
from privacy.sealing.context import Marks, Purpose, Scope
from privacy.sealing.device_keys import (
    DeviceKeys,
    node_der,
)
from privacy.sealing.enrolment import (
    check_nonce,
)
from privacy.sealing.envelope import (
    check_envelope,
    marks_of,
    open_envelope,
    recipient_id,
    seal,
)
from privacy.sealing.keys import exchange_public, verify
from privacy.sealing.note import open_note, seal_note
from privacy.sealing.passphrase import MAGIC, Cost, lock, unlock
from privacy.sealing.replay import Window
from tests.fuzz.harness import Parser
from tests.fuzz.samples import NOW, READER, SENDER

_SCOPE = Scope(purpose=Purpose.CANDIDATE, family="f", device=SENDER.public, item=b"i" * 16)


_MARKS = Marks(epoch=bytes(16), sequence=3, round=7)


_DATA_KEY = DataKey(b"d" * 32, keyed_entropy(3, "nonces"))


_NODE = node_der(ec.derive_private_key(12345, ec.SECP384R1()).public_key())
_PLACE = place("item", "payload", b"i")


_CHEAP = Cost(log_n=4, r=8, p=1)


_COSTS = MAGIC + bytes((4, 8, 1))


def envelope() -> bytes:
    return seal(b"hello", recipient=READER.public, scope=_SCOPE, marks=_MARKS, signer=SENDER)


def read_envelope(blob: bytes) -> None:
    for read in (marks_of, recipient_id):
        read(blob)
    check_envelope(blob, scope=_SCOPE, senders=[SENDER.public])
    open_envelope(blob, keys=[READER], scope=_SCOPE, senders=[SENDER.public])


def _keys_read(blob: bytes) -> None:
    """Keys, and signatures that are none, at any length."""
    errors = list[FieldvoteError]()
    for read in (
        lambda: SigningKey.from_bytes(blob),
        lambda: SealingKey.from_bytes(blob),
        lambda: exchange_public(blob),
        lambda: DeviceKeys(signing=blob, sealing=blob, node=_NODE),
        lambda: verify(blob, b"message", public=SENDER.public),
        lambda: verify(b"s" * 64, b"message", public=blob),
        lambda: check_nonce(blob, b"nonce"),
    ):
        try:
            read()
        except FieldvoteError as err:
            errors.append(err)


def note_to_key() -> bytes:
    return seal_note(b"hi", recipient=READER.public, context=b"c", signer=SENDER)


def read_note(blob: bytes) -> None:
    open_note(blob, key=READER, context=b"c", sender=SENDER.public)


def _entry(blob: bytes) -> None:
    decode_entry(blob, sequence=2, previous=b"p" * 32)


def _entries() -> list[bytes]:
    plain = LedgerEntry(sequence=2, at=EPOCH, kind="survey", size_bytes=10, candidates=0,
                        previous=b"p" * 32)  # fmt: skip
    noised = LedgerEntry(sequence=2, at=EPOCH, kind="survey", size_bytes=10, candidates=0,
                         task="wear", micro_rho=7, subject=b"s" * 32,
                         previous=b"p" * 32)  # fmt: skip
    return [encode_entry(plain), encode_entry(noised)]


def ledger_statement() -> bytes:
    ledger = Ledger(MemoryLedgerStore(), Limits(candidates=5, size_bytes=1000), lambda: NOW)
    return sign_statement(state(ledger, at=NOW, delta=1e-6), SENDER).encode()


def _locked() -> bytes:
    """A secret behind a cheap passphrase, without the part that says how cheap."""
    return lock(b"secret", "words", keyed_entropy(5, "salt"), cost=_CHEAP)[len(_COSTS) :]


def _unlocked(blob: bytes) -> None:
    # with another cost each message would take a third of a second: bounds of costs are tested
    # beside them
    unlock(_COSTS + blob, "words")


SEALED = (
    Parser("envelopes", read_envelope, lambda: [envelope()],
           ("privacy.sealing.envelope:check_envelope", "privacy.sealing.envelope:open_envelope",
            "privacy.sealing.envelope:marks_of", "privacy.sealing.envelope:recipient_id"), share=4),
    Parser("marks", Marks.from_bytes, lambda: [_MARKS.to_bytes()],
           ("privacy.sealing.context:Marks.from_bytes",), share=2),
    Parser("replay windows", Window.from_bytes, lambda: [Window().admit(4).admit(2).to_bytes()],
           ("privacy.sealing.replay:Window.from_bytes",), share=2),
    Parser("notes to a key", read_note, lambda: [note_to_key()],
           ("privacy.sealing.note:open_note",), share=2),
    Parser("keys", _keys_read, lambda: [SENDER.public, READER.public],
           ("privacy.sealing.keys:verify", "privacy.sealing.keys:exchange_public",
            "privacy.sealing.keys:SigningKey.from_bytes",
            "privacy.sealing.keys:SealingKey.from_bytes",
            "privacy.sealing.enrolment:check_nonce"), share=2),
    Parser("ledger entries", _entry, _entries, ("privacy.dp.chain:decode_entry",)),
    Parser("ledger statements",
           lambda blob: read_statement(blob.decode("utf-8", "replace"), public=SENDER.public),
           lambda: [ledger_statement()], ("privacy.dp.statement:read_statement",), share=3),
    Parser("stored values", lambda blob: _DATA_KEY.open(blob, _PLACE),
           lambda: [_DATA_KEY.seal(b"value", _PLACE)], ("privacy.sealing.at_rest:DataKey.open",),
           share=2),
    Parser("wrapped keys", lambda blob: unwrapped(blob, [b"w" * 32], keyed_entropy(6, "w")),
           lambda: [_DATA_KEY.wrapped(b"w" * 32)], ("privacy.sealing.at_rest:unwrapped",), share=2),
    Parser("locked secrets", _unlocked, lambda: [_locked()],
           ("privacy.sealing.passphrase:unlock",), share=2),
)  # fmt: skip

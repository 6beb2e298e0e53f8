from collections.abc import Callable
from dataclasses import replace
from typing import TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, RefusalError, SealError, SignatureError
from privacy.sealing import SealingKey, SigningKey, open_envelope, seal
from privacy.sealing.context import EPOCH_BYTES, Marks, Purpose, Scope, context_bytes
from privacy.sealing.envelope import HEADER_BYTES, MAGIC, bucket_bytes, check_envelope, marks_of
from privacy.sealing.keys import key_id

SENDER, OTHER_SENDER = SigningKey(b"s" * 32), SigningKey(b"t" * 32)
READER, OTHER_READER = SealingKey(b"r" * 32), SealingKey(b"q" * 32)
SCOPE = Scope(purpose=Purpose.CANDIDATE, family="f" * 64, device=SENDER.public, item=bytes(16))
MARKS = Marks(epoch=bytes(16), sequence=3, round=7, task=b"t" * 32, policy=b"p" * 32)


def sealed(plaintext: bytes = b"hello", *, marks: Marks = MARKS, scope: Scope = SCOPE) -> bytes:
    return seal(plaintext, recipient=READER.public, scope=scope, marks=marks, signer=SENDER)


def opened(box: bytes, *, scope: Scope = SCOPE) -> bytes:
    found = open_envelope(box, keys=[READER], scope=scope, senders=[SENDER.public])
    return found.plaintext


@given(plaintext=st.binary(max_size=2000), family=st.text(max_size=50), item=st.binary(max_size=20))
@settings(deadline=None, max_examples=60)
def test_what_is_sealed_opens(plaintext: bytes, family: str, item: bytes) -> None:
    scope = replace(SCOPE, family=family, item=item)
    assert opened(sealed(plaintext, scope=scope), scope=scope) == plaintext


def test_the_header_names_the_recipients_key_and_tells_the_marks() -> None:
    assert key_id(READER.public) in sealed()[:HEADER_BYTES]
    assert marks_of(sealed()) == MARKS
    found = open_envelope(sealed(), keys=[READER], scope=SCOPE, senders=[SENDER.public])
    assert (found.marks, found.sender) == (MARKS, SENDER.public)


def test_what_was_opened_does_not_show_itself() -> None:
    found = open_envelope(sealed(), keys=[READER], scope=SCOPE, senders=[SENDER.public])
    assert "hello" not in repr(found)


def test_two_envelopes_of_one_plaintext_differ() -> None:
    assert sealed()[HEADER_BYTES:] != sealed()[HEADER_BYTES:]


OTHER_SCOPES = {
    "another task": replace(SCOPE, family="e" * 64),
    "another device": replace(SCOPE, device=OTHER_SENDER.public),
    "another item": replace(SCOPE, item=b"i" * 16),
    "no item": replace(SCOPE, item=b""),
    "another purpose": replace(SCOPE, purpose=Purpose.ANSWER),
}


@pytest.mark.parametrize("scope", OTHER_SCOPES.values(), ids=OTHER_SCOPES)
def test_an_envelope_of_another_scope_is_refused(scope: Scope) -> None:
    with pytest.raises(SignatureError):
        opened(sealed(scope=scope))


OTHER_MARKS = {
    "round": replace(MARKS, round=8),
    "task": replace(MARKS, task=b"u" * 32),
    "policy": replace(MARKS, policy=b"q" * 32),
    "epoch": replace(MARKS, epoch=b"e" * EPOCH_BYTES),
    "sequence": replace(MARKS, sequence=4),
}


@pytest.mark.parametrize("marks", OTHER_MARKS.values(), ids=OTHER_MARKS)
def test_marks_that_were_changed_on_the_way_are_refused_without_and_with_the_key(
    marks: Marks,
) -> None:
    box, at = sealed(), len(MAGIC) + 8
    told = box[:at] + marks.to_bytes() + box[at + len(marks.to_bytes()) :]
    assert marks_of(told) == marks
    for refuse in (opened, lambda b: check_envelope(b, scope=SCOPE, senders=[SENDER.public])):
        with pytest.raises(SignatureError):
            refuse(told)


@pytest.mark.parametrize("marks", OTHER_MARKS.values(), ids=OTHER_MARKS)
def test_marks_are_in_the_seal_too_not_only_under_the_signature(marks: Marks) -> None:
    """The sender's own key cannot put another round on a ciphertext it did not seal for it."""
    resigned = _resigned(sealed(), marks)
    assert check_envelope(resigned, scope=SCOPE, senders=[SENDER.public]).marks == marks
    with pytest.raises(SealError, match="does not open"):
        opened(resigned)


def _resigned(box: bytes, marks: Marks, signer: SigningKey = SENDER) -> bytes:
    """Return the ciphertext under other marks, with a signature that fits."""
    name, ciphertext = key_id(READER.public), box[HEADER_BYTES:]
    context = context_bytes(SCOPE, marks)
    domain = b"fieldvote envelope 2 sign" + len(context).to_bytes(8, "big")
    signature = signer.sign(domain + context + name + ciphertext)
    return MAGIC + name + marks.to_bytes() + signature + ciphertext


def test_a_thief_cannot_put_his_own_signature_on_anothers_ciphertext() -> None:
    stolen = _resigned(sealed(b"not his"), MARKS, OTHER_SENDER)
    with pytest.raises(SealError, match="does not open"):
        open_envelope(stolen, keys=[READER], scope=SCOPE, senders=[OTHER_SENDER.public])


class Parts(TypedDict, total=False):
    """What an envelope is opened with."""

    envelope: bytes
    keys: list[SealingKey]
    senders: list[bytes]


WRONG: list[tuple[Parts, type[Exception]]] = [
    ({"keys": [OTHER_READER]}, SealError),
    ({"keys": []}, SealError),
    ({"senders": [OTHER_SENDER.public]}, SignatureError),
    ({"senders": []}, SignatureError),
    ({"senders": [b"no key"]}, InputError),
    ({"envelope": b""}, SealError),
    ({"envelope": MAGIC}, SealError),
    ({"envelope": sealed()[:-1]}, SignatureError),
    ({"envelope": sealed()[:HEADER_BYTES]}, SignatureError),
    ({"envelope": sealed()[: HEADER_BYTES - 1]}, SealError),
    ({"envelope": sealed() + b"\0"}, SignatureError),
    ({"envelope": b"FVE1" + sealed()[4:]}, SealError),
]


@pytest.mark.parametrize(("change", "error"), WRONG)
def test_a_wrong_part_is_refused(change: Parts, error: type[Exception]) -> None:
    parts = {"envelope": sealed(), "keys": [READER], "senders": [SENDER.public], **change}
    with pytest.raises(error):
        open_envelope(scope=SCOPE, **parts)  # type: ignore[arg-type]  # a table of parts


def test_any_of_several_keys_opens_and_any_of_several_senders_may_have_signed() -> None:
    found = open_envelope(
        sealed(),
        keys=[OTHER_READER, READER],
        scope=SCOPE,
        senders=[OTHER_SENDER.public, SENDER.public],
    )
    assert (found.plaintext, found.sender) == (b"hello", SENDER.public)


def test_two_thousand_flipped_bits_are_all_refused() -> None:
    box, rng = sealed(b"x" * 100), np.random.default_rng(5)
    for bit in rng.choice(8 * len(box), size=2000, replace=False).tolist():
        broken = bytearray(box)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RefusalError):
            opened(bytes(broken))


@given(st.binary(max_size=400), st.booleans())
@settings(deadline=None, max_examples=200)
def test_no_bytes_at_all_get_further_than_a_typed_error(noise: bytes, framed: bool) -> None:
    with pytest.raises(RefusalError):
        opened(MAGIC + key_id(READER.public) + noise if framed else noise)


ANY = st.binary(max_size=6)


@given(st.text(max_size=6), ANY, ANY, st.text(max_size=6), ANY, ANY)
@settings(deadline=None, max_examples=200)
def test_no_two_scopes_are_spelled_by_the_same_bytes(
    family: str, device: bytes, item: bytes, family_2: str, device_2: bytes, item_2: bytes
) -> None:
    one = replace(SCOPE, family=family, device=device, item=item)
    two = replace(SCOPE, family=family_2, device=device_2, item=item_2)
    assert (context_bytes(one, MARKS) == context_bytes(two, MARKS)) == (one == two)


@pytest.mark.parametrize(
    "make",
    [
        lambda: replace(MARKS, epoch=b"short"),
        lambda: replace(MARKS, task=b""),
        lambda: replace(MARKS, policy=bytes(33)),
        lambda: replace(MARKS, sequence=-1),
        lambda: replace(MARKS, round=2**63),
    ],
)
def test_marks_that_have_no_place_in_a_header_are_refused(make: Callable[[], Marks]) -> None:
    with pytest.raises(InputError):
        make()


def test_lengths_within_a_bucket_cannot_be_told_apart() -> None:
    assert len({len(sealed(b"x" * length)) for length in range(250)}) == 1


@given(st.integers(0, 10**8))
def test_padding_costs_at_most_an_eighth_and_never_cuts(length: int) -> None:
    padded = bucket_bytes(length)
    assert padded >= length + 4
    assert padded <= max(256, (length + 4) * 1.125)


def test_few_sizes_are_ever_seen() -> None:
    assert len({bucket_bytes(length) for length in range(100_000)}) < 150


def test_a_recipient_that_is_no_key_is_refused() -> None:
    with pytest.raises(InputError):
        seal(b"x", recipient=b"short", scope=SCOPE, marks=MARKS, signer=SENDER)

"""Tokens and requests: what is checked before anything is parsed, and what each key must show."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.codec import encode
from fieldvote.errors import InputError, SealError, SignatureError, WireError
from privacy.sealing import enrolment
from privacy.sealing.authority import to_pem
from privacy.sealing.certificate import fingerprint
from privacy.sealing.device_keys import DeviceKeys, request_certificate
from privacy.sealing.enrolment import (
    KINDS,
    EnrolmentRequest,
    Grant,
    Introduction,
    admit,
    check_nonce,
    seal_challenge,
    seal_grant,
)
from privacy.sealing.note import open_note
from privacy.sealing.token import Token, check_name, make_token
from tests.doubles.certificates import ADDRESS, NOW, TOKEN_KEY, Phone, SmallFleet, entropy_of

FLEET, PHONE, THIEF = SmallFleet(), Phone(), Phone("thief")
TOKEN = FLEET.token()
GRANT = Grant(
    certificate=b"chain", root=b"", sketch_secret=b"8 bytes!", superlink="", superlink_ca=b"",
    desk="",
)  # fmt: skip


def forged(token: Token, request: bytes, node: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a request with a good HMAC, whatever is in it."""
    proof = node.sign(enrolment._proven(token.stub, request), ec.ECDSA(hashes.SHA384()))
    body = encode(EnrolmentRequest(request=request, proof=proof), KINDS)
    mac = enrolment._mac(token.secret, token.stub, body)
    return bytes([len(token.stub)]) + token.stub + mac + body


def test_a_token_is_one_word_that_comes_back_as_it_was() -> None:
    assert Token.from_text(f" {TOKEN.text}\n") == TOKEN
    assert " " not in TOKEN.text
    assert len(TOKEN.text) < 200
    assert TOKEN.address == ADDRESS
    assert TOKEN.root == fingerprint(FLEET.root)
    assert TOKEN.expires_at == NOW.timestamp() + 900
    assert str(TOKEN.secret) not in repr(TOKEN)


@settings(deadline=None, max_examples=200)
@given(place=st.integers(0, 1000), letter=st.characters(codec="ascii"))
def test_a_mistyped_token_is_told_apart_here_and_not_quoted(place: int, letter: str) -> None:
    text = TOKEN.text
    place %= len(text)
    typed = text[:place] + letter + text[place + 1 :]
    if typed.strip() == text:
        return
    if place < len(text) - 1:  # the last letter has bits that mean nothing
        with pytest.raises(InputError) as caught:
            Token.from_text(typed)
        assert text[10:30] not in str(caught.value)
    for short in (text[:-4], text[4:], "", "fv1-", text + text, text * 20):
        with pytest.raises(InputError):
            Token.from_text(short)


def test_a_device_without_a_name_is_called_after_its_token() -> None:
    token = make_token(
        TOKEN_KEY, name="", root=bytes(32), address=ADDRESS, now=NOW, entropy=entropy_of("n")
    )
    assert token.name == f"device-{token.id[:4].hex()}"
    for name in ("../etc", "Phone", "", "-x", "a" * 64, "a b", "ä"):
        with pytest.raises(InputError):
            check_name(name)


def test_what_is_asked_is_admitted_and_says_who_asks() -> None:
    asked = admit(PHONE.with_token(TOKEN).ask(), key=TOKEN_KEY)
    assert (asked.name, asked.keys, asked.token) == ("phone1", PHONE.keys, TOKEN.id)
    assert not asked.is_over(NOW + timedelta(minutes=15))
    assert asked.is_over(NOW + timedelta(minutes=15, seconds=1))


def test_asked_twice_is_the_same_request() -> None:
    first, again = (admit(PHONE.with_token(TOKEN).ask(), key=TOKEN_KEY) for _ in range(2))
    assert first == again


def test_the_secret_of_a_token_is_in_no_message() -> None:
    assert TOKEN.secret not in PHONE.with_token(TOKEN).ask()


@pytest.mark.parametrize(
    "token",
    [
        replace(TOKEN, secret=bytes(16)),
        replace(TOKEN, name="phone2"),
        replace(TOKEN, expires_at=TOKEN.expires_at + 3600),
        replace(TOKEN, id=bytes(16)),
        FLEET.token(key=b"another key of 32 bytes, in full"),
    ],
    ids=["secret", "name", "expiry", "id", "another registrar's"],
)
def test_a_forged_token_is_refused(token: Token) -> None:
    with pytest.raises(SignatureError, match="not one of this fleet's"):
        admit(PHONE.with_token(token).ask(), key=TOKEN_KEY)


def test_a_token_stands_for_one_request_and_no_other() -> None:
    seen = PHONE.with_token(TOKEN).ask()
    own = THIEF.with_token(TOKEN).ask()
    length = 1 + len(TOKEN.stub) + 32
    with pytest.raises(SignatureError, match="not one of this fleet's"):
        admit(seen[:length] + own[length:], key=TOKEN_KEY)


@settings(deadline=None, max_examples=150)
@given(place=st.integers(0, 100_000), bit=st.integers(0, 7))
def test_no_bit_of_a_request_can_be_changed(place: int, bit: int) -> None:
    message = bytearray(PHONE.with_token(TOKEN).ask())
    message[place % len(message)] ^= 1 << bit
    with pytest.raises(SignatureError):
        admit(bytes(message), key=TOKEN_KEY)


def test_nothing_is_parsed_before_the_token_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(enrolment, "decode", parse)
    monkeypatch.setattr(enrolment, "read_request", parse)
    monkeypatch.setattr(enrolment, "read_stub", parse)
    for message in (b"", b"\0", b"\xff" * 400, PHONE.with_token(TOKEN).ask()[:-1]):
        with pytest.raises(SignatureError):
            admit(message, key=TOKEN_KEY)


@settings(deadline=None, max_examples=100)
@given(body=st.binary(max_size=200))
def test_garbage_behind_a_good_token_is_a_typed_error(body: bytes) -> None:
    stub = TOKEN.stub
    message = bytes([len(stub)]) + stub + enrolment._mac(TOKEN.secret, stub, body) + body
    with pytest.raises(WireError):
        admit(message, key=TOKEN_KEY)


def test_a_node_key_must_be_ones_own() -> None:
    keys = replace(THIEF.keys, node=PHONE.keys.node)
    message = forged(TOKEN, request_certificate(THIEF.signing, keys), THIEF.node)
    with pytest.raises(SignatureError, match="node key"):
        admit(message, key=TOKEN_KEY)


def test_a_proof_made_for_another_token_is_none() -> None:
    other = FLEET.token("phone2")
    request = request_certificate(PHONE.signing, PHONE.keys)
    proof = PHONE.node.sign(enrolment._proven(other.stub, request), ec.ECDSA(hashes.SHA384()))
    body = encode(EnrolmentRequest(request=request, proof=proof), KINDS)
    mac = enrolment._mac(TOKEN.secret, TOKEN.stub, body)
    with pytest.raises(SignatureError, match="node key"):
        admit(bytes([len(TOKEN.stub)]) + TOKEN.stub + mac + body, key=TOKEN_KEY)


def test_a_signing_key_must_be_ones_own() -> None:
    own = request_certificate(THIEF.signing, THIEF.keys)
    stolen = own.replace(THIEF.signing.public, PHONE.signing.public)
    with pytest.raises(SignatureError, match="not signed by the key it names"):
        admit(forged(TOKEN, stolen, THIEF.node), key=TOKEN_KEY)


def test_a_sealing_key_must_be_ones_own() -> None:
    keys: DeviceKeys = replace(THIEF.keys, sealing=PHONE.keys.sealing)
    message = forged(TOKEN, request_certificate(THIEF.signing, keys), THIEF.node)
    asked = admit(message, key=TOKEN_KEY)  # so far nobody can tell
    challenge = seal_challenge(bytes(range(32)), asked, signer=FLEET.key)
    context = enrolment._CHALLENGE + asked.context
    with pytest.raises(SealError):
        open_note(challenge, key=THIEF.sealing, context=context, sender=FLEET.key.public)
    assert open_note(challenge, key=PHONE.sealing, context=context, sender=FLEET.key.public)
    with pytest.raises(SealError, match="sealing key"):
        check_nonce(bytes(32), bytes(range(32)))
    check_nonce(bytes(range(32)), bytes(range(32)))


def test_a_grant_opens_for_its_device_and_request_alone() -> None:
    own = PHONE.with_token(TOKEN)
    asked = admit(own.ask(), key=TOKEN_KEY)
    sealed = seal_grant(GRANT, asked, signer=FLEET.key)
    assert own.open_grant(sealed, authority=FLEET.key.public) == GRANT
    assert GRANT.sketch_secret not in sealed
    assert str(GRANT.sketch_secret) not in repr(GRANT)
    context = enrolment._GRANT + asked.context
    with pytest.raises(SealError):
        open_note(sealed, key=THIEF.sealing, context=context, sender=FLEET.key.public)
    for other in (THIEF.with_token(TOKEN), PHONE.with_token(FLEET.token("phone2"))):
        with pytest.raises((SealError, SignatureError)):
            other.open_grant(sealed, authority=FLEET.key.public)
    with pytest.raises(SignatureError):  # somebody else's intermediate
        own.open_grant(sealed, authority=SmallFleet("theirs").key.public)
    with pytest.raises((SealError, SignatureError)):  # a challenge is no grant
        own.open_grant(
            seal_challenge(bytes(32), asked, signer=FLEET.key), authority=FLEET.key.public
        )


def test_an_introduction_is_held_against_the_tokens_fingerprint() -> None:
    ours = Introduction(root=to_pem(FLEET.root), authority=to_pem(FLEET.authority))
    assert ours.checked(TOKEN.root, NOW) == FLEET.key.public
    other = SmallFleet("theirs")
    theirs = Introduction(root=to_pem(other.root), authority=to_pem(other.authority))
    mixed = Introduction(root=to_pem(FLEET.root), authority=to_pem(other.authority))
    with pytest.raises(SignatureError, match="another fleet"):
        theirs.checked(TOKEN.root, NOW)
    with pytest.raises(SignatureError):
        mixed.checked(TOKEN.root, NOW)
    with pytest.raises(InputError):
        Introduction(root=b"no", authority=b"no").checked(TOKEN.root, NOW)

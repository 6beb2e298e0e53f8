"""The registrar's talks, attacked: what a token buys, once, and who is certified again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.keys.registrar import Line
from fieldvote.codec import encode
from fieldvote.errors import (
    FieldvoteError,
    InputError,
    RefusalError,
    SealError,
    SignatureError,
    UnavailableError,
)
from privacy.sealing import enrolment
from privacy.sealing.authority import public_of
from privacy.sealing.certificate import check_chain
from privacy.sealing.device_keys import request_certificate
from privacy.sealing.enrolment import KINDS, EnrolmentRequest, Grant, Word
from privacy.sealing.possession import prove_renewal
from privacy.sealing.token import Token
from tests.doubles.certificates import Phone
from tests.doubles.registrars import Owner, an_owner

ONE, TWO = Phone("one"), Phone("two")
Turn = Callable[[bytes], bytes]


@dataclass
class Peer:
    """The device's end of a talk: what it says next, given what it was told."""

    turns: list[Turn]
    told: list[bytes] = field(default_factory=list)

    def receive(self) -> bytes:
        if not self.turns:
            raise UnavailableError("the line broke")
        return self.turns.pop(0)(self.told[-1] if self.told else b"")

    def talk(self, owner: Owner) -> bytes:
        """Have the talk; return the last answer without its first byte."""
        with owner.book() as book:
            owner.registrar.talk(Line(send=self.told.append, receive=self.receive), book)
        return self.told[-1][1:]


def says(message: bytes) -> Turn:
    return lambda _: message


def enrols(owner: Owner, phone: Phone, token: Token) -> Grant:
    """Enrol a phone as it does it."""
    applicant, key = phone.with_token(token), public_of(owner.authority.certificate)
    sealed = Peer(
        [
            says(Word.ENROL + applicant.ask()),
            lambda told: applicant.open_challenge(told[1:], authority=key),
        ]
    ).talk(owner)
    return applicant.open_grant(sealed, authority=key)


def renews(owner: Owner, phone: Phone, chain: bytes) -> bytes:
    """Renew a phone's certificate as it does it."""
    held = check_chain(chain, root=owner.authority.root, now=owner.clock())
    serial = bytes.fromhex(held.serial.zfill(40))
    return Peer(
        [
            says(Word.RENEW + serial),
            lambda told: prove_renewal(phone.signing, serial=serial, challenge=told[1:]),
        ]
    ).talk(owner)


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return an_owner(tmp_path / "owner")


def test_a_token_buys_a_certificate_and_the_secrets_of_the_fleet(owner: Owner) -> None:
    grant = enrols(owner, ONE, owner.invite())
    found = check_chain(grant.certificate, root=owner.authority.root, now=owner.clock())
    assert (found.name, found.keys) == ("phone1", ONE.keys)
    assert grant.sketch_secret == owner.authority.sketch_secret
    assert owner.names() == ["phone1"]
    assert "phone1 is enrolled" in owner.said


def test_a_token_is_spent_by_the_first_who_comes(owner: Owner) -> None:
    token = owner.invite()
    enrols(owner, ONE, token)
    with pytest.raises(RefusalError, match="was spent"):
        enrols(owner, TWO, token)
    assert owner.names() == ["phone1"]


def test_of_many_who_come_at_once_with_one_token_one_is_enrolled(owner: Owner) -> None:
    token, phones = owner.invite(), [Phone(f"phone {n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(enrols, owner, phone, token) for phone in phones]
    refused = [call.exception() for call in calls if call.exception()]
    assert len(refused) == 7
    assert all("was spent" in str(err) for err in refused)
    assert owner.names() == ["phone1"]


def test_a_token_that_is_over_buys_nothing(owner: Owner) -> None:
    token = owner.invite()
    owner.clock.passes(minutes=15, seconds=2)
    with pytest.raises(RefusalError, match="is over"):
        enrols(owner, ONE, token)
    assert owner.names() == []


def test_a_registrar_whose_clock_is_a_little_late_still_takes_a_token(owner: Owner) -> None:
    token = owner.invite()
    owner.clock.passes(minutes=-4)
    grant = enrols(owner, ONE, token)
    owner.clock.passes(minutes=4)
    assert check_chain(grant.certificate, root=owner.authority.root, now=owner.clock())


def test_a_token_of_another_registrar_buys_nothing(owner: Owner, tmp_path: Path) -> None:
    other = an_owner(tmp_path / "other")
    with pytest.raises(SignatureError, match="not one of this fleet's"):
        enrols(owner, ONE, other.invite())
    assert owner.names() == []


def test_a_cut_off_device_asks_again_and_is_answered_the_same(owner: Owner) -> None:
    token = owner.invite()
    first = enrols(owner, ONE, token)
    owner.clock.passes(hours=1)  # longer than the token would have held
    assert enrols(owner, ONE, token) == first
    with owner.book() as book:
        book.revoke("phone1", "lost", owner.clock())
    with pytest.raises(RefusalError, match="revoked"):
        enrols(owner, ONE, token)


def test_a_request_with_anothers_sealing_key_leaves_no_trace(owner: Owner) -> None:
    token = owner.invite()
    keys = replace(TWO.keys, sealing=ONE.keys.sealing)
    request = request_certificate(TWO.signing, keys)
    proof = TWO.node.sign(enrolment._proven(token.stub, request), ec.ECDSA(hashes.SHA384()))
    body = encode(EnrolmentRequest(request=request, proof=proof), KINDS)
    ask = bytes([len(token.stub)]) + token.stub + enrolment._mac(token.secret, token.stub, body)
    peer = Peer([says(Word.ENROL + ask + body), says(bytes(32))])
    with pytest.raises(SealError, match="sealing key"):
        peer.talk(owner)
    assert peer.told[-1].startswith(Word.REFUSED)
    assert owner.names() == []
    enrols(owner, ONE, token)  # the token is not spent


def test_no_device_gets_the_name_or_a_key_of_another(owner: Owner) -> None:
    enrols(owner, ONE, owner.invite("phone1"))
    with pytest.raises(InputError, match="name of another device"):
        enrols(owner, TWO, owner.invite("phone1"))
    with pytest.raises(InputError, match="another device's"):
        enrols(owner, ONE, owner.invite("phone2"))
    half = Phone("half")
    half.__dict__["node"] = ONE.node  # one key is enough
    with pytest.raises(InputError, match="another device's"):
        enrols(owner, half, owner.invite("phone3"))
    assert owner.names() == ["phone1"]


def test_a_certificate_is_followed_up_from_half_of_its_life_on(owner: Owner) -> None:
    first = enrols(owner, ONE, owner.invite()).certificate
    owner.clock.passes(days=14)
    assert renews(owner, ONE, first) == first
    owner.clock.passes(days=2)
    second = renews(owner, ONE, first)
    assert second != first
    root = owner.authority.root
    before, after = (check_chain(chain, root=root, now=owner.clock()) for chain in (first, second))
    assert (after.keys, after.name) == (before.keys, before.name)
    assert (after.ends - before.ends).days == 16
    # whoever was cut off, or asks by the older one, is shown the same
    assert renews(owner, ONE, first) == renews(owner, ONE, second) == second


def test_a_stolen_certificate_without_its_key_is_not_followed_up(owner: Owner) -> None:
    first = enrols(owner, ONE, owner.invite()).certificate
    owner.clock.passes(days=16)
    with pytest.raises(SignatureError, match="its key is another"):
        renews(owner, TWO, first)


def test_who_was_never_enrolled_is_told_no_more_than_who_has_not_the_key(owner: Owner) -> None:
    unknown = Peer([says(Word.RENEW + bytes(20)), says(bytes(64))])
    with pytest.raises(SignatureError, match="its key is another"):
        unknown.talk(owner)
    enrols(owner, ONE, owner.invite())
    with owner.book() as book:
        serial = bytes.fromhex(book.devices()[0].serial.zfill(40))
    keyless = Peer([says(Word.RENEW + serial), says(bytes(64))])
    with pytest.raises(SignatureError):
        keyless.talk(owner)
    assert unknown.told[-1] == keyless.told[-1]


def test_a_certificate_that_is_over_is_not_followed_up(owner: Owner) -> None:
    first = enrols(owner, ONE, owner.invite()).certificate
    with owner.book() as book:
        serial = bytes.fromhex(book.devices()[0].serial.zfill(40))
    owner.clock.passes(days=30, minutes=1)
    peer = Peer(
        [
            says(Word.RENEW + serial),
            lambda told: prove_renewal(ONE.signing, serial=serial, challenge=told[1:]),
        ]
    )
    with pytest.raises(RefusalError, match="enrol it again"):
        peer.talk(owner)
    assert first


def test_a_device_that_slept_too_long_is_enrolled_again_under_its_name(owner: Owner) -> None:
    first = enrols(owner, ONE, owner.invite()).certificate
    owner.clock.passes(days=40)
    second = enrols(owner, ONE, owner.invite()).certificate
    with pytest.raises(RefusalError, match="ended"):
        check_chain(first, root=owner.authority.root, now=owner.clock())
    assert check_chain(second, root=owner.authority.root, now=owner.clock()).keys == ONE.keys
    assert owner.names() == ["phone1"]


def test_a_revoked_device_is_neither_followed_up_nor_enrolled_again(owner: Owner) -> None:
    first = enrols(owner, ONE, owner.invite()).certificate
    spare = owner.invite()
    with owner.book() as book:
        book.revoke("phone1", "lost on a train", owner.clock())
        with pytest.raises(InputError, match="not revoked"):
            book.revoke("phone1", "again", owner.clock())
        with pytest.raises(InputError, match="no device"):
            book.revoke("nobody", "", owner.clock())
    for days in (1, 15):
        owner.clock.passes(days=days)
        with pytest.raises(RefusalError, match="revoked"):
            renews(owner, ONE, first)
    owner.clock.passes(days=-16)
    with pytest.raises(RefusalError, match="revoked"):
        enrols(owner, ONE, spare)
    with pytest.raises(RefusalError, match="new name"):
        owner.invite()


def test_a_line_that_breaks_before_the_nonce_spends_nothing(owner: Owner) -> None:
    token = owner.invite()
    with pytest.raises(UnavailableError):
        Peer([says(Word.ENROL + ONE.with_token(token).ask())]).talk(owner)
    enrols(owner, TWO, token)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=st.binary(max_size=120), second=st.binary(max_size=80), word=st.sampled_from(b"ERWX"))
def test_garbage_is_refused_in_one_line_and_enrols_nobody(
    owner: Owner, first: bytes, second: bytes, word: int
) -> None:
    peer = Peer([says(bytes([word]) + first), says(second)])
    if word == ord("W"):
        assert peer.talk(owner)
    else:
        with pytest.raises(FieldvoteError):
            peer.talk(owner)
        assert peer.told[-1].startswith(Word.REFUSED)
        assert len(peer.told[-1]) < 300
    assert owner.names() == []

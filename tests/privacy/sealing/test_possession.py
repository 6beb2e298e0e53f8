"""A copied certificate is words: the key behind it is asked for, by a nonce, every time."""

from datetime import datetime, timedelta
from typing import TypedDict

import pytest
from cryptography import x509

from fieldvote.errors import FieldvoteError, InputError, RefusalError, SignatureError, WireError
from privacy.sealing.certificate import DeviceCertificate
from privacy.sealing.directory import Directory, Entry, Lookup
from privacy.sealing.keys import SigningKey
from privacy.sealing.possession import check_hello, check_renewal, prove_hello, prove_renewal
from tests.doubles.certificates import NOW, Phone, SmallFleet

FLEET, PHONE, THIEF = SmallFleet(), Phone(), Phone("thief")
CHAIN = FLEET.chain(PHONE)
CHALLENGE = bytes(range(32))
OWN = (PHONE.signing.public, PHONE.sealing.public)


class Hello(TypedDict):
    challenge: bytes
    campaign: str
    task: str
    certificate: bytes


SAID: Hello = {"challenge": CHALLENGE, "campaign": "c", "task": "t", "certificate": CHAIN}


def checked(
    signer: SigningKey = PHONE.signing,
    keys: tuple[bytes, bytes] = OWN,
    *,
    signed: Hello = SAID,
    shown: Hello = SAID,
    now: datetime = NOW,
    root: x509.Certificate = FLEET.root,
    directory: Lookup | None = None,
) -> DeviceCertificate:
    proof = prove_hello(signer, **signed)
    return check_hello(proof, keys, **shown, root=root, now=now, directory=directory)


def entry(name: str, phone: Phone, *, revoked: bool = False) -> Entry:
    keys = phone.keys
    return Entry(
        id=name, signing=keys.signing, sealing=keys.sealing, node=keys.node, serial="1f",
        revoked=revoked,
    )  # fmt: skip


def test_a_device_shows_that_a_certificate_is_its_own() -> None:
    assert checked().name == "phone1"


def test_somebody_elses_certificate_is_refused_with_ones_own_keys() -> None:
    with pytest.raises(SignatureError, match="about other keys"):
        checked(THIEF.signing, (THIEF.signing.public, THIEF.sealing.public))


def test_somebody_elses_certificate_is_refused_with_their_keys_copied() -> None:
    with pytest.raises(SignatureError, match="does not belong"):
        checked(THIEF.signing)


def test_somebody_elses_signing_key_does_not_go_with_ones_own_sealing_key() -> None:
    with pytest.raises(SignatureError, match="about other keys"):
        checked(keys=(PHONE.signing.public, THIEF.sealing.public))


@pytest.mark.parametrize(
    "before",
    [
        Hello(**{**SAID, "challenge": bytes(32)}),
        Hello(**{**SAID, "campaign": "another"}),
        Hello(**{**SAID, "task": "another"}),
    ],
    ids=["challenge", "campaign", "task"],
)
def test_what_was_signed_for_another_question_is_refused(before: Hello) -> None:
    with pytest.raises(SignatureError):
        checked(signed=before)


def test_a_challenge_nobody_drew_is_refused() -> None:
    empty = Hello(**{**SAID, "challenge": b""})
    with pytest.raises(InputError, match="32 bytes"):
        checked(signed=empty, shown=empty)


@pytest.mark.parametrize("later", [timedelta(minutes=-6), timedelta(days=31)])
def test_a_certificate_that_does_not_hold_now_is_refused(later: timedelta) -> None:
    with pytest.raises(RefusalError, match=r"clocks|ended"):
        checked(now=NOW + later)


def test_another_fleets_device_is_refused() -> None:
    with pytest.raises(SignatureError):
        checked(root=SmallFleet("theirs").root)
    for chain in (b"", b"no certificate", CHAIN[:200]):
        shown = Hello(**{**SAID, "certificate": chain})
        with pytest.raises(WireError):
            checked(signed=shown, shown=shown)


def test_a_revoked_device_is_refused_by_its_key_and_by_its_name() -> None:
    for revoked in (entry("other", PHONE, revoked=True), entry("phone1", THIEF, revoked=True)):
        with pytest.raises(RefusalError, match="revoked"):
            checked(directory=Lookup(Directory(version=3, entries=(revoked,))))
    for fine in ((entry("other", THIEF, revoked=True),), (entry("phone1", PHONE),), ()):
        assert checked(directory=Lookup(Directory(version=3, entries=fine)))


def test_a_directory_comes_back_as_it_was_signed_and_says_who_signs_with_what() -> None:
    directory = Directory(version=2, entries=(entry("a", PHONE), entry("b", THIEF, revoked=True)))
    assert Directory.from_bytes(directory.to_bytes()) == directory
    assert directory.signing_keys == {"a": PHONE.signing.public}
    for blob in (b"", b"\x93", directory.to_bytes()[:-1], directory.to_bytes() + b"\0"):
        with pytest.raises(InputError):
            Directory.from_bytes(blob)


def test_a_directory_is_in_order_and_no_two_devices_share_a_key() -> None:
    for entries in (
        (entry("b", PHONE), entry("a", THIEF)),
        (entry("a", PHONE), entry("a", THIEF)),
        (entry("a", PHONE), entry("b", PHONE)),
    ):
        with pytest.raises(InputError):
            Directory(version=1, entries=entries)
    with pytest.raises(InputError):
        Directory(version=0, entries=())


def test_a_renewal_is_signed_by_the_old_key_for_this_talk() -> None:
    serial = bytes(19) + b"\5"
    proof = prove_renewal(PHONE.signing, serial=serial, challenge=CHALLENGE)
    check_renewal(proof, public=PHONE.signing.public, serial=serial, challenge=CHALLENGE)
    for public, number, challenge in (
        (THIEF.signing.public, serial, CHALLENGE),
        (PHONE.signing.public, bytes(20), CHALLENGE),
        (PHONE.signing.public, serial, bytes(32)),
    ):
        with pytest.raises(FieldvoteError):
            check_renewal(proof, public=public, serial=number, challenge=challenge)

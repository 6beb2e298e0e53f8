"""A device's chain is believed on its own three levels, now, under one root; nothing else is."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import FieldvoteError, InputError, RefusalError, SignatureError, WireError
from privacy.sealing.authority import (
    SKEW,
    issue,
    make_intermediate,
    make_root,
    make_server,
    public_of,
    to_pem,
)
from privacy.sealing.certificate import check_authority, check_chain, read_certificate
from privacy.sealing.device_keys import DeviceKeys, node_der, read_request, request_certificate
from privacy.sealing.keys import SigningKey
from tests.doubles.certificates import NOW, Phone, SmallFleet, entropy_of

FLEET, PHONE = SmallFleet(), Phone()
DAY = timedelta(days=1)


def test_a_chain_says_whose_keys_these_are_and_for_how_long() -> None:
    found = check_chain(FLEET.chain(PHONE), root=FLEET.root, now=NOW)
    assert (found.name, found.keys) == ("phone1", PHONE.keys)
    assert (found.begins, found.ends) == (NOW - SKEW, NOW + 30 * DAY)
    assert found.begins < found.renew_from < found.ends
    assert abs(found.renew_from - (NOW + 15 * DAY)) < SKEW


def test_a_node_key_on_p256_is_certified_as_well() -> None:
    node = node_der(ec.generate_private_key(ec.SECP256R1()).public_key())
    keys = DeviceKeys(signing=PHONE.signing.public, sealing=PHONE.sealing.public, node=node)
    chain = issue(
        keys, "old", authority=FLEET.authority, key=FLEET.key, now=NOW, entropy=entropy_of("")
    )
    assert check_chain(chain, root=FLEET.root, now=NOW).keys == keys


def test_the_chain_of_another_fleet_is_refused_even_under_the_same_name() -> None:
    other = SmallFleet("theirs")
    assert other.root.subject == FLEET.root.subject
    with pytest.raises(SignatureError, match="not signed by this fleet"):
        check_chain(other.chain(PHONE), root=FLEET.root, now=NOW)


def test_a_device_of_another_fleet_does_not_pass_behind_our_intermediate() -> None:
    theirs = SmallFleet("theirs").chain(PHONE)
    device = theirs[: theirs.index(b"-----END CERTIFICATE-----") + 26]
    with pytest.raises(SignatureError):
        check_chain(device + to_pem(FLEET.authority), root=FLEET.root, now=NOW)


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (-SKEW - timedelta(seconds=1), "begins at"),
        (30 * DAY + timedelta(seconds=1), "phone1 ended at"),
        (400 * DAY, "intermediate's certificate ended"),
        (4000 * DAY, "root ended"),
    ],
)
def test_what_does_not_hold_now_is_refused(later: timedelta, words: str) -> None:
    with pytest.raises(RefusalError, match=words):
        check_chain(FLEET.chain(PHONE), root=FLEET.root, now=NOW + later)


def test_clocks_may_differ_by_the_skew() -> None:
    for later in (-SKEW, timedelta(), 30 * DAY):
        assert check_chain(FLEET.chain(PHONE), root=FLEET.root, now=NOW + later)


def test_a_certificate_never_outlives_its_authority() -> None:
    late = NOW + 360 * DAY
    found = check_chain(FLEET.chain(PHONE, now=late), root=FLEET.root, now=late)
    assert found.ends == FLEET.authority.not_valid_after_utc < late + 30 * DAY
    with pytest.raises(RefusalError, match="make a new one"):
        FLEET.chain(PHONE, now=NOW + 370 * DAY)


def below_an_authority_the_intermediate_made() -> bytes:
    """The intermediate makes an authority of its own, which signs a device."""
    key = SigningKey(b"s" * 32)
    below = make_intermediate(
        key.public, "ours", root=FLEET.authority, key=FLEET.key, now=NOW, entropy=entropy_of("b")
    )
    return issue(PHONE.keys, "x", authority=below, key=key, now=NOW, entropy=entropy_of("x"))


def with_a_third_certificate() -> bytes:
    return below_an_authority_the_intermediate_made() + to_pem(FLEET.authority)


def signed_by_a_device() -> bytes:
    """A device certifies another."""
    device = read_certificate(to_pem(x509.load_pem_x509_certificates(FLEET.chain(PHONE))[0]))
    return issue(
        Phone("two").keys, "x", authority=device, key=PHONE.signing, now=NOW,
        entropy=entropy_of("x"),
    )  # fmt: skip


def signed_by_a_server_of_the_root() -> bytes:
    """What the root signed for TLS stands as an intermediate."""
    key = SigningKey(b"s" * 32)
    server = make_server(
        key.public, ("127.0.0.1",), authority=FLEET.root, key=FLEET.root_key, now=NOW,
        entropy=entropy_of("s"),
    )  # fmt: skip
    return issue(PHONE.keys, "x", authority=server, key=key, now=NOW, entropy=entropy_of("x"))


def signed_by_a_root_below_the_root() -> bytes:
    """An intermediate with room for authorities below it."""
    key = SigningKey(b"s" * 32)
    wide = _with(key.public, FLEET.root, FLEET.root_key, path=1, signs=True)
    return issue(PHONE.keys, "x", authority=wide, key=key, now=NOW, entropy=entropy_of("x"))


def an_authority_as_a_device() -> bytes:
    below = make_intermediate(
        PHONE.signing.public, "ours", root=FLEET.authority, key=FLEET.key, now=NOW,
        entropy=entropy_of("b"),
    )  # fmt: skip
    return to_pem(below) + to_pem(FLEET.authority)


def the_registrars_own_as_a_device() -> bytes:
    server = make_server(
        PHONE.signing.public, ("127.0.0.1",), authority=FLEET.authority, key=FLEET.key, now=NOW,
        entropy=entropy_of("s"),
    )  # fmt: skip
    return to_pem(server) + to_pem(FLEET.authority)


def the_root_as_the_intermediate() -> bytes:
    return issue(
        PHONE.keys, "x", authority=FLEET.root, key=FLEET.root_key, now=NOW, entropy=entropy_of("x")
    )


def for_a_server_with_a_devices_keys() -> bytes:
    return _changed([], x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]))


def for_a_device_and_a_server() -> bytes:
    usage = [x509.ExtendedKeyUsageOID.CLIENT_AUTH, x509.ExtendedKeyUsageOID.SERVER_AUTH]
    return _changed([], x509.ExtendedKeyUsage(usage))


def with_an_unknown_restriction() -> bytes:
    critical = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.25.1"), b"\x05\x00")
    return _changed([critical])


def _changed(
    critical: list[x509.UnrecognizedExtension], usage: x509.ExtendedKeyUsage | None = None
) -> bytes:
    """Return the chain of a device with other extensions, signed by our intermediate."""
    found = x509.load_pem_x509_certificates(FLEET.chain(PHONE))[0]
    builder = x509.CertificateBuilder(
        issuer_name=found.issuer, subject_name=found.subject, public_key=found.public_key(),
        serial_number=5, not_valid_before=found.not_valid_before_utc,
        not_valid_after=found.not_valid_after_utc,
        extensions=[e for e in found.extensions if not (usage and e.oid == usage.oid)],
    )  # fmt: skip
    for each in critical:
        builder = builder.add_extension(each, critical=True)
    if usage:
        builder = builder.add_extension(usage, critical=False)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(FLEET.key.to_bytes())
    return to_pem(builder.sign(key, None)) + to_pem(FLEET.authority)


@pytest.mark.parametrize(
    "forged",
    [
        below_an_authority_the_intermediate_made,
        with_a_third_certificate,
        signed_by_a_device,
        signed_by_a_server_of_the_root,
        signed_by_a_root_below_the_root,
        an_authority_as_a_device,
        the_registrars_own_as_a_device,
        the_root_as_the_intermediate,
        for_a_server_with_a_devices_keys,
        for_a_device_and_a_server,
        with_an_unknown_restriction,
    ],
    ids=lambda forged: forged.__name__,
)
def test_a_certificate_off_its_level_is_refused(forged: Callable[[], bytes]) -> None:
    with pytest.raises((SignatureError, WireError)):
        check_chain(forged(), root=FLEET.root, now=NOW)


@settings(deadline=None, max_examples=150)
@given(place=st.integers(0, 100_000), bit=st.integers(0, 7))
def test_no_bit_of_a_chain_can_be_changed_and_say_something_else(place: int, bit: int) -> None:
    chain = bytearray(FLEET.chain(PHONE))
    chain[place % len(chain)] ^= 1 << bit
    try:
        found = check_chain(bytes(chain), root=FLEET.root, now=NOW)
    except FieldvoteError:
        return
    # a line end, a letter case of the frame: PEM has bytes that mean nothing
    assert found == check_chain(FLEET.chain(PHONE), root=FLEET.root, now=NOW)


@settings(deadline=None, max_examples=150)
@given(blob=st.binary(max_size=300))
def test_garbage_is_one_typed_error(blob: bytes) -> None:
    for read in (
        lambda: check_chain(blob, root=FLEET.root, now=NOW),
        lambda: read_certificate(blob),
        lambda: read_request(blob),
    ):
        with pytest.raises(InputError):
            read()
    with pytest.raises(WireError, match="pass the limit"):
        read_certificate(bytes(9000))


def test_a_request_is_over_the_keys_it_names_and_signed_by_the_first() -> None:
    request = request_certificate(PHONE.signing, PHONE.keys)
    assert read_request(request) == PHONE.keys
    other = Phone("two").signing.public
    with pytest.raises(SignatureError, match="not signed by the key it names"):
        read_request(request.replace(PHONE.signing.public, other))
    with pytest.raises(SignatureError):
        read_request(request.replace(PHONE.sealing.public, Phone("two").sealing.public))
    with pytest.raises(WireError, match="limit"):
        read_request(bytes(3000))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sealing", bytes(32)),  # a point of small order: its seals open without a key
        ("sealing", (1).to_bytes(32, "little")),
        ("sealing", b"short"),
        ("signing", b"short"),
        ("node", b"no key"),
        ("node", node_der(ec.generate_private_key(ec.SECP521R1()).public_key())),
    ],
)
def test_keys_that_are_none_are_refused_on_birth(name: str, key: bytes) -> None:
    keys = {
        "signing": PHONE.signing.public,
        "sealing": PHONE.sealing.public,
        "node": node_der(PHONE.node.public_key()),
    }
    with pytest.raises(InputError):
        DeviceKeys(**{**keys, name: key})


def test_an_authority_signs_only_with_its_own_key_and_is_of_its_own_root() -> None:
    with pytest.raises(InputError, match="do not belong together"):
        issue(
            PHONE.keys, "x", authority=FLEET.authority, key=FLEET.root_key, now=NOW,
            entropy=entropy_of("x"),
        )  # fmt: skip
    with pytest.raises(SignatureError):
        check_authority(SmallFleet("theirs").authority, root=FLEET.root, now=NOW)
    check_authority(FLEET.authority, root=FLEET.root, now=NOW)
    assert public_of(FLEET.authority) == FLEET.key.public
    itself = make_root(FLEET.key, "ours", now=NOW, entropy=entropy_of("r"))
    with pytest.raises(SignatureError):
        check_authority(itself, root=FLEET.root, now=NOW)


def _with(
    public: bytes, issuer: x509.Certificate, key: SigningKey, *, path: int, signs: bool
) -> x509.Certificate:
    own = make_intermediate(public, "ours", root=issuer, key=key, now=NOW, entropy=entropy_of("w"))
    kept = [e for e in own.extensions if not isinstance(e.value, x509.BasicConstraints)]
    builder = x509.CertificateBuilder(
        issuer_name=own.issuer, subject_name=own.subject, public_key=own.public_key(),
        serial_number=7, not_valid_before=own.not_valid_before_utc,
        not_valid_after=own.not_valid_after_utc, extensions=kept,
    ).add_extension(x509.BasicConstraints(ca=signs, path_length=path), critical=True)  # fmt: skip
    return builder.sign(ed25519.Ed25519PrivateKey.from_private_bytes(key.to_bytes()), None)


def test_a_certificate_is_one_that_other_programs_read() -> None:
    [device, _] = x509.load_pem_x509_certificates(FLEET.chain(PHONE))
    der = device.public_bytes(serialization.Encoding.DER)
    assert x509.load_der_x509_certificate(der) == device
    assert device.serial_number.bit_length() <= 159

import copy
import os
import pickle

import pytest

from fieldvote.errors import InputError, SignatureError
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.keys import exchange_public, verify

KINDS = [SigningKey, SealingKey]


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_comes_back_from_its_bytes(kind):
    key = kind.generate(os.urandom)
    again = kind.from_bytes(key.to_bytes())
    assert again.public == key.public
    assert len(key.public) == 32


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_never_shows_its_secret(kind):
    key = kind(b"0123456789abcdefghijklmnopqrstuv")
    shown = repr(key) + str(key) + f"{key}"
    assert "0123456789" not in shown
    assert key.to_bytes().hex() not in shown


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_not_pickled_or_copied_behind_our_back(kind):
    key = kind.generate(os.urandom)
    with pytest.raises(InputError):
        pickle.dumps(key)
    with pytest.raises(InputError):
        copy.deepcopy(key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("secret", [b"", b"x" * 31, b"x" * 33, "x" * 32, None])
def test_a_secret_of_another_length_is_refused_without_being_quoted(kind, secret):
    with pytest.raises(InputError) as refusal:
        kind(secret)
    assert "xxx" not in str(refusal.value)


def test_entropy_is_asked_for_thirty_two_bytes_once():
    asked = []

    def entropy(size):
        asked.append(size)
        return bytes(size)

    SigningKey.generate(entropy)
    assert asked == [32]


def test_signatures_follow_rfc_8032_section_7_1_test_2():
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    key = SigningKey(secret)
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8f")


def test_a_signature_holds_for_its_message_and_key_only():
    key, other = SigningKey(b"a" * 32), SigningKey(b"b" * 32)
    signature = key.sign(b"message")
    verify(signature, b"message", public=key.public)
    for wrong in ((signature, b"massage", key.public), (signature, b"message", other.public)):
        with pytest.raises(SignatureError):
            verify(wrong[0], wrong[1], public=wrong[2])


def test_public_keys_of_another_length_are_refused():
    with pytest.raises(InputError):
        verify(b"x" * 64, b"message", public=b"short")
    with pytest.raises(InputError):
        exchange_public(b"short")

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, RefusalError, SealError, SignatureError
from privacy.sealing import SealingKey, SigningKey, open_envelope, seal
from privacy.sealing.envelope import HEADER_BYTES, bucket_bytes
from privacy.sealing.keys import key_id

SENDER, OTHER_SENDER = SigningKey(b"s" * 32), SigningKey(b"t" * 32)
READER, OTHER_READER = SealingKey(b"r" * 32), SealingKey(b"q" * 32)
CONTEXT = b"round 7, item 3"


def sealed(plaintext=b"hello"):
    return seal(plaintext, recipient=READER.public, context=CONTEXT, signer=SENDER)


@given(plaintext=st.binary(max_size=2000), context=st.binary(max_size=50))
@settings(deadline=None, max_examples=60)
def test_what_is_sealed_opens(plaintext, context):
    box = seal(plaintext, recipient=READER.public, context=context, signer=SENDER)
    opened = open_envelope(box, key=READER, context=context, sender=SENDER.public)
    assert opened == plaintext


def test_the_header_names_the_recipients_key():
    assert key_id(READER.public) in sealed()[:HEADER_BYTES]


def test_two_envelopes_of_one_plaintext_differ():
    assert sealed()[HEADER_BYTES:] != sealed()[HEADER_BYTES:]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"context": b"round 8, item 3"}, SignatureError),
        ({"context": b""}, SignatureError),
        ({"key": OTHER_READER}, SealError),
        ({"sender": OTHER_SENDER.public}, SignatureError),
        ({"sender": b"no key"}, InputError),
        ({"envelope": b""}, SealError),
        ({"envelope": b"FVE1"}, SealError),
        ({"envelope": sealed()[:-1]}, SignatureError),
        ({"envelope": sealed()[:HEADER_BYTES]}, SignatureError),
        ({"envelope": sealed()[: HEADER_BYTES - 1]}, SealError),
        ({"envelope": sealed() + b"\0"}, SignatureError),
        ({"envelope": b"FVE2" + sealed()[4:]}, SealError),
    ],
)
def test_a_wrong_part_is_refused(change, error):
    parts = {"envelope": sealed(), "key": READER, "context": CONTEXT, "sender": SENDER.public}
    parts |= change
    with pytest.raises(error):
        open_envelope(parts.pop("envelope"), **parts)


def test_every_flipped_bit_of_an_envelope_is_refused():
    box = sealed()
    for bit in range(0, 8 * len(box), 7):
        broken = bytearray(box)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RefusalError):
            open_envelope(bytes(broken), key=READER, context=CONTEXT, sender=SENDER.public)


def test_a_thief_cannot_put_his_own_signature_on_anothers_ciphertext():
    box = sealed(b"not his")
    ciphertext, name = box[HEADER_BYTES:], key_id(READER.public)
    message = b"fieldvote envelope 1 sign" + len(CONTEXT).to_bytes(8, "big") + CONTEXT
    stolen = b"FVE1" + name + OTHER_SENDER.sign(message + name + ciphertext) + ciphertext
    with pytest.raises(SealError, match="does not open"):
        open_envelope(stolen, key=READER, context=CONTEXT, sender=OTHER_SENDER.public)


def test_context_and_ciphertext_do_not_run_into_one_another():
    box = seal(b"x", recipient=READER.public, context=b"ab", signer=SENDER)
    with pytest.raises(SignatureError):
        open_envelope(box, key=READER, context=b"a", sender=SENDER.public)


def test_lengths_within_a_bucket_cannot_be_told_apart():
    assert len({len(sealed(b"x" * length)) for length in range(250)}) == 1


@given(st.integers(0, 10**8))
def test_padding_costs_at_most_an_eighth_and_never_cuts(length):
    padded = bucket_bytes(length)
    assert padded >= length + 4
    assert padded <= max(256, (length + 4) * 1.125)


def test_few_sizes_are_ever_seen():
    assert len({bucket_bytes(length) for length in range(100_000)}) < 150


def test_a_recipient_that_is_no_key_is_refused():
    with pytest.raises(InputError):
        seal(b"x", recipient=b"short", context=b"", signer=SENDER)

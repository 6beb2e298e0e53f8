import hmac
from hashlib import sha256

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CTR

from fieldvote.rng import keyed_entropy
from privacy.sealing.keys import SealingKey
from privacy.secagg import masks
from privacy.secagg.boxes import (
    commitment,
    deposit_pad,
    draw_secret,
    input_pad,
    open_boxes,
    opens,
    reveal_pads,
    seal_shares,
    seed_of,
)
from privacy.secagg.masks import add_streams, crypt, edge_seed, pair_key, prf, ratchet
from privacy.secagg.shamir import dealer_for
from privacy.secagg.survivors import count_valid_tags, pack_seats, unpack_seats, view_tag

SEED = bytes(range(32))

# Of the key 00 01 … 1f, seats 4 and 9; a change of these is another version of the derivations.
VECTORS = {
    "pair": "cc14f1b1450538cfbb597671b6510623db4b1b5fdc34f48cc0423634ce754279",
    "chain": "1af56306b4754faf6d03bb335057c448bd80287a74f6ee7a0cbcb8f788cc6c2b",
    "round": "b61e30ecc3c1681c88ec96a6e516222cff454a7e54d247a105ef58dccc355ba9",
    "edge": "2e69f729876014cb281c3fbf3c1b7ad7953befdee8a903251a2abd519796e8fc",
    "deposit pad": "aa093b07c8c230d758a633053bccada224442002",
    "input pad": "cf69ec3c4bc8dd31b052d9a634dfcb7732520f43",
    "view": "16916598b11be19625e110d2f5376612",
    "self": "c3233bce3bb3e424d0faad3b0bd70eaddfd92d90efb8a25ae0af7a0ce841dd72",
    "commitment": "8ec8b4384f0224017b0afc7f008c1697c33de0314da1c9334c049f817638d08e",
    "stream": "c42e03af0f4fb6ef17dd5df5c727eb3e",
}


def plain_stream(seed: bytes, size: int) -> bytes:
    """AES-128 in counter mode, as the derivation says it."""
    counter = seed[16:28] + (2).to_bytes(4, "big")
    return Cipher(AES128(seed[:16]), CTR(counter)).encryptor().update(bytes(size))


def test_the_stream_is_counter_mode() -> None:
    assert crypt(SEED, bytes(1000)) == plain_stream(SEED, 1000)


@pytest.mark.parametrize("kind", [np.uint32, np.uint64])
@pytest.mark.parametrize("length", [0, 1, 3, 1000, (1 << 16) + 5, (1 << 17) + 1])
def test_streams_are_added_as_one_by_one(kind: type, length: int) -> None:
    entropy = keyed_entropy(length, "seeds")
    plus, minus = [[entropy(32) for _ in range(count)] for count in (70, 3)]
    words = np.arange(length, dtype=kind)
    expected = words.copy()
    for seed in plus:
        expected += np.frombuffer(plain_stream(seed, expected.nbytes), dtype=kind)
    for seed in minus:
        expected -= np.frombuffer(plain_stream(seed, expected.nbytes), dtype=kind)
    add_streams(words, plus, minus)
    assert np.array_equal(words, expected)


def test_both_ends_agree_on_a_key_and_nobody_else_has_it() -> None:
    keys = [SealingKey(bytes([i]) * 32) for i in (1, 2, 3)]
    one = pair_key(keys[0], keys[1].public, digest=SEED, seat=4, other=9)
    assert one == pair_key(keys[1], keys[0].public, digest=SEED, seat=9, other=4)
    others = [
        pair_key(keys[2], keys[1].public, digest=SEED, seat=4, other=9),
        pair_key(keys[0], keys[1].public, digest=bytes(32), seat=4, other=9),
        pair_key(keys[0], keys[1].public, digest=SEED, seat=4, other=8),
    ]
    assert one not in others


def test_a_pair_key_is_hkdf_as_the_rfc_has_it() -> None:
    keys = [SealingKey(bytes([i]) * 32) for i in (1, 2)]
    shared = keys[0].exchange_key().exchange(keys[1].exchange_key().public_key())
    extracted = hmac.digest(SEED, shared, sha256)
    info = b"fieldvote secagg pair 1" + (4).to_bytes(4, "little") + (9).to_bytes(4, "little")
    expected = hmac.digest(extracted, info + b"\x01", sha256)
    assert pair_key(keys[0], keys[1].public, digest=SEED, seat=4, other=9) == expected


def test_derivations_are_the_ones_that_were_published() -> None:
    secret = np.arange(5, dtype=np.uint64)
    chains, keys = ratchet({3: SEED})
    made = {
        "pair": pair_key(
            SealingKey(b"\x01" * 32),
            SealingKey(b"\x02" * 32).public,
            digest=SEED,
            seat=4,
            other=9,
        ),
        "chain": chains[3],
        "round": keys[3],
        "edge": edge_seed(SEED),
        "deposit pad": deposit_pad(SEED, dealer=4, keeper=9),
        "input pad": input_pad(SEED, SEED, dealer=4, keeper=9),
        "view": view_tag(SEED, SEED, signer=4, reader=9),
        "self": seed_of(secret, b"self"),
        "commitment": commitment(secret),
        "stream": crypt(SEED, bytes(16)),
    }
    assert {name: value.hex() for name, value in made.items()} == VECTORS


def test_every_label_direction_and_size_gives_other_bytes() -> None:
    outputs = [
        prf(SEED, b"a"),
        prf(SEED, b"b"),
        prf(SEED, b"a", b"x"),
        prf(SEED, b"a", size=31) + b"?",
        prf(bytes(32), b"a"),
    ]
    assert len(set(outputs)) == len(outputs)
    assert deposit_pad(SEED, dealer=1, keeper=2) != deposit_pad(SEED, dealer=2, keeper=1)
    assert view_tag(SEED, SEED, signer=1, reader=2) != view_tag(SEED, SEED, signer=2, reader=1)
    assert masks.LABEL_ROUND != masks.LABEL_EDGE


def test_a_keeper_reveals_for_each_device_the_pad_of_its_fate() -> None:
    keys = {seat: bytes([seat]) * 32 for seat in range(4)}
    revealed = reveal_pads(keys, SEED, keeper=2, dealers=[0, 1, 3], survive=[True, False, True])
    assert revealed == b"".join(
        [
            input_pad(keys[0], SEED, dealer=0, keeper=2),
            deposit_pad(keys[1], dealer=1, keeper=2),
            input_pad(keys[3], SEED, dealer=3, keeper=2),
        ]
    )


def test_boxes_open_with_any_threshold_of_pads_and_with_no_wrong_one() -> None:
    entropy = keyed_entropy(1, "boxes")
    dealer = dealer_for(holders=6, threshold=4)
    secrets = [draw_secret(entropy) for _ in range(3)]
    pads = [[entropy(20) for _ in range(6)] for _ in secrets]
    boxes = [
        seal_shares(secret, dealer=dealer, pads=own, entropy=entropy)
        for secret, own in zip(secrets, pads, strict=True)
    ]
    places = np.array([0, 2, 3, 5])
    revealed = [b"".join(own[place] for own in pads) for place in places]
    opened = open_boxes(boxes, revealed, places=places)
    assert all(opens(got, commitment(secret)) for got, secret in zip(opened, secrets, strict=True))
    revealed[1] = b"\xff" * 60
    lied = open_boxes(boxes, revealed, places=places)
    assert not any(
        opens(got, commitment(secret)) for got, secret in zip(lied, secrets, strict=True)
    )


def test_a_set_of_seats_has_one_writing() -> None:
    for devices in (1, 7, 8, 9, 17):
        present = np.arange(devices) % 3 == 0
        assert np.array_equal(unpack_seats(pack_seats(present), devices=devices), present)


def test_only_genuine_tags_of_known_signers_are_counted_and_never_ones_own() -> None:
    keys = {seat: bytes([seat]) * 32 for seat in range(4)}
    tags = {seat: view_tag(keys[seat], SEED, signer=seat, reader=0) for seat in range(4)}
    assert count_valid_tags(tags, SEED, reader=0, round_keys=keys) == 3
    tags[1] = bytes(16)
    tags[7] = tags[2]
    assert count_valid_tags(tags, SEED, reader=0, round_keys=keys) == 2
    assert count_valid_tags(tags, bytes(32), reader=0, round_keys=keys) == 0

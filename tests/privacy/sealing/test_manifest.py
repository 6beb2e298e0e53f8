import random

import msgpack
import pytest

from fieldvote.errors import InputError, SignatureError
from privacy.sealing import SigningKey, sign_manifest, verify_manifest
from privacy.sealing.manifest import DOMAIN, HEADER_BYTES, MAGIC

KEY, OTHER = SigningKey(b"k" * 32), SigningKey(b"o" * 32)
FILES = {"task.toml": b"[task]", "model.onnx": bytes(1000), "functions/spam.toml": b""}


def check(blob, trusted=(KEY.public,), files=FILES):
    return verify_manifest(blob, trusted=trusted, files=files)


def signed_body(body):
    return MAGIC + KEY.public + KEY.sign(DOMAIN + body) + body


def test_a_manifest_says_what_was_signed():
    manifest = check(sign_manifest(FILES, version=7, signer=KEY))
    assert manifest.version == 7
    assert manifest.signer == KEY.public
    assert [file.name for file in manifest.files] == sorted(FILES)
    assert [file.size_bytes for file in manifest.files] == [0, 1000, 6]


def test_the_order_of_files_changes_nothing():
    backwards = dict(reversed(FILES.items()))
    assert sign_manifest(FILES, version=1, signer=KEY) == sign_manifest(
        backwards, version=1, signer=KEY
    )


def test_two_thousand_bit_flips_are_all_refused():
    blob = sign_manifest(FILES, version=7, signer=KEY)
    rng = random.Random(1)  # noqa: S311  # picks bits, protects nothing
    for _ in range(2000):
        broken = bytearray(blob)
        bit = rng.randrange(8 * len(blob))
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignatureError):
            check(bytes(broken))


@pytest.mark.parametrize("size", [0, 3, 4, HEADER_BYTES - 1, HEADER_BYTES])
def test_a_cut_manifest_is_refused(size):
    with pytest.raises(SignatureError):
        check(sign_manifest(FILES, version=7, signer=KEY)[:size])


@pytest.mark.parametrize(
    "files",
    [
        {},
        {name: FILES[name] for name in list(FILES)[:2]},
        FILES | {"extra": b""},
        FILES | {"task.toml": b"[tusk]"},
        FILES | {"task.toml": b"[task]\n"},
        FILES | {"model.onnx": bytes(999)},
    ],
)
def test_files_that_are_not_the_signed_ones_are_refused(files):
    with pytest.raises(SignatureError):
        check(sign_manifest(FILES, version=7, signer=KEY), files=files)


@pytest.mark.parametrize("trusted", [(), (OTHER.public,), (b"",)])
def test_a_key_that_is_not_trusted_signs_nothing(trusted):
    with pytest.raises(SignatureError):
        check(sign_manifest(FILES, version=7, signer=KEY), trusted=trusted)


def test_any_trusted_key_may_sign():
    blob = sign_manifest(FILES, version=7, signer=OTHER)
    assert check(blob, trusted=[KEY.public, OTHER.public]).signer == OTHER.public


def test_a_signature_for_another_purpose_signs_no_manifest():
    body = sign_manifest(FILES, version=7, signer=KEY)[HEADER_BYTES:]
    with pytest.raises(SignatureError):
        check(MAGIC + KEY.public + KEY.sign(body) + body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgpack.packb(7),
        msgpack.packb([7]),
        msgpack.packb([7, {}]),
        msgpack.packb([-1, [["a", 0]]]),
        msgpack.packb([True, []]),
        msgpack.packb([7, [["b", 0, bytes(32)], ["a", 0, bytes(32)]]]),
        msgpack.packb([7, [["a", 0, bytes(32)], ["a", 0, bytes(32)]]]),
        msgpack.packb([7, [["../a", 0, bytes(32)]]]),
        msgpack.packb([7, []]) + b"\0",
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_a_signed_body_that_is_no_manifest_is_refused(body):
    with pytest.raises(SignatureError):
        check(signed_body(body), files={})


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../up", "a/../../b", "a//b", "C:\\x", "a\\b", "a\nb", "a" * 256]
)
def test_names_that_leave_their_folder_are_not_signed(name):
    with pytest.raises(InputError):
        sign_manifest({name: b""}, version=1, signer=KEY)


@pytest.mark.parametrize("version", [-1, True, 1.0, 2**60, None])
def test_a_version_is_a_whole_number(version):
    with pytest.raises(InputError):
        sign_manifest({}, version=version, signer=KEY)

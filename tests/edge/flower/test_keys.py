"""The node's key: made once, kept to its owner, in the formats people have."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge.flower.keys import alone_with, node_key, public_path, public_pem
from fieldvote.errors import InputError, StoreError, UnavailableError


def written(path: Path, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
            form: serialization.PrivateFormat, mode: int = 0o600) -> Path:  # fmt: skip
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    path.chmod(mode)
    return path


def test_a_key_is_made_once_for_its_owner_alone_with_its_public_half(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        key = node_key(tmp_path / "node.key")
    finally:
        os.umask(old)
    assert (tmp_path / "node.key").stat().st_mode & 0o777 == 0o600
    line = public_path(tmp_path / "node.key").read_bytes()
    assert line.startswith(b"ecdsa-sha2-nistp384 ")
    public = serialization.load_ssh_public_key(line)
    assert public == key.public_key()
    assert public_pem(node_key(tmp_path / "node.key")) == public_pem(key)
    assert {path.name for path in tmp_path.iterdir()} == {"node.key", "node.key.pub"}


@pytest.mark.parametrize(
    "form",
    [
        serialization.PrivateFormat.OpenSSH,
        serialization.PrivateFormat.PKCS8,
        serialization.PrivateFormat.TraditionalOpenSSL,
    ],
)
@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256R1()], ids=["P-384", "P-256"])
def test_a_key_of_ones_own_is_taken_in_ssh_and_pem_format(
    tmp_path: Path, form: serialization.PrivateFormat, curve: ec.EllipticCurve
) -> None:
    key = ec.generate_private_key(curve)
    path = written(tmp_path / "own", key, form)
    assert public_pem(node_key(path)) == public_pem(key)
    assert public_path(path).exists()


def test_what_is_no_such_key_is_refused_without_its_content(tmp_path: Path) -> None:
    ssh = serialization.PrivateFormat.OpenSSH
    other = written(tmp_path / "a", ed25519.Ed25519PrivateKey.generate(), ssh)
    wide = written(tmp_path / "b", ec.generate_private_key(ec.SECP521R1()), ssh)
    for path in (other, wide):
        with pytest.raises(InputError, match="expected a key on P-384 or P-256"):
            node_key(path)
    (tmp_path / "c").write_text("my secret diary")
    (tmp_path / "c").chmod(0o600)
    with pytest.raises(InputError, match="no private key") as caught:
        node_key(tmp_path / "c")
    assert "diary" not in str(caught.value)


def test_a_key_others_may_read_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = written(tmp_path / "own", key, serialization.PrivateFormat.OpenSSH, mode=0o640)
    with pytest.raises(InputError, match="chmod 600"):
        node_key(path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        node_key(tmp_path / "nowhere" / "node.key")


def test_two_processes_with_one_key_are_one_too_many(tmp_path: Path) -> None:
    with (
        alone_with(tmp_path / "k"),
        pytest.raises(UnavailableError, match="give each its own"),
        alone_with(tmp_path / "k"),
    ):
        pass
    with alone_with(tmp_path / "k"):
        pass

"""The key a node is known by: an elliptic curve key on P-384, made at first start.

Keys on P-256, which earlier versions made, are read as well; Flower takes any NIST curve.

Beside it lies its public half in SSH format, as `flwr supernode register` takes it, and a lock: two
processes with one key would each receive half of the messages.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fieldvote.durable import write_over
from fieldvote.errors import InputError, StoreError
from fieldvote.locks import lock_file

_SSH = serialization.PublicFormat.OpenSSH
_CURVES = ("secp384r1", "secp256r1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a node is and where.

    Attributes:
        public_key: As the fleet protocol sends it.
        place: Names this key at this SuperLink; an id of another place is of no use here.
        register: The command that makes the key known.
    """

    public_key: bytes
    place: str
    register: str


def node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in a file, made 0600 if there is none; see that its public half is beside it.

    Args:
        path: SSH or PEM format, without a passphrase.

    Raises:
        InputError: the file is no such key, or others may read it.
        StoreError: the files cannot be read or written.
    """
    try:
        if not path.exists():
            write_over(path, _fresh())
        if path.stat().st_mode & 0o077:
            raise InputError(f"{path}: others may read the node's key; chmod 600 it")
        key = _read(path)
        public = public_path(path)
        line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, _SSH) + b"\n"
        if not public.exists() or public.read_bytes().split()[:2] != line.split()[:2]:
            public.write_bytes(line)
    except OSError as err:
        raise StoreError(f"{path}: cannot be used ({err.strerror or err})") from err
    return key


def public_path(path: Path) -> Path:
    """Return where a key's public half lies."""
    return path.with_name(path.name + ".pub")


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public half as the fleet protocol sends it."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Hold the lock beside a key.

    Raises:
        UnavailableError: another process holds it.
    """
    refusal = f"{path}: another node runs with this key; give each its own"
    with lock_file(path.with_name(path.name + ".lock"), refusal):
        yield


def _fresh() -> bytes:
    """Return a new key in SSH format."""
    return ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )


def _read(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a key in either format."""
    content = path.read_bytes()
    load = (
        serialization.load_ssh_private_key
        if b"OPENSSH" in content[:64]
        else serialization.load_pem_private_key
    )
    try:
        key = load(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise InputError(f"{path}: no private key without a passphrase in SSH or PEM") from err
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        raise InputError(
            f"{path}: expected a key on P-384 or P-256, for instance by ssh-keygen -t ecdsa -b 384"
        )
    return key

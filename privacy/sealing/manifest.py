"""Signed manifests: a list of files by size and hash, one version number, one signature.

Layout::

    magic (4)  signer's public key (32)  Ed25519 signature (64)  body (msgpack)

The body is `[version, [[name, size, sha256], ...]]`, names sorted. The signature is checked before
the body is parsed, so an attacker without a trusted key reaches no parser. Whether a version may
follow another is for the caller, who knows what is installed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256

import msgpack

from fieldvote.errors import InputError, SignatureError
from privacy.sealing.keys import KEY_BYTES, SIGNATURE_BYTES, SigningKey, key_id, verify

MAGIC = b"FVM1"
DOMAIN = b"fieldvote manifest 1"
HEADER_BYTES = len(MAGIC) + KEY_BYTES + SIGNATURE_BYTES
MAX_FILES = 10_000
MAX_NAME_CHARS = 255
MAX_MANIFEST_BYTES = 4 * 2**20
MAX_VERSION = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """What a manifest says of one file."""

    name: str
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest whose signature and files were checked.

    Attributes:
        version: Grows with every release; the caller refuses to go back.
        files: By name, sorted.
        signer: Public key that signed.
    """

    version: int
    files: tuple[ManifestFile, ...]
    signer: bytes


def sign_manifest(files: Mapping[str, bytes], *, version: int, signer: SigningKey) -> bytes:
    """Return the signed manifest of these files.

    Args:
        files: Content by relative name with forward slashes.
        version: From 0 to 2**53.
        signer: The key the devices trust.

    Raises:
        InputError: a name could point outside its folder, or there are too many files.
    """
    if type(version) is not int or not 0 <= version <= MAX_VERSION:
        raise InputError(f"a manifest's version is a whole number from 0 to 2**53, got {version!r}")
    if len(files) > MAX_FILES:
        raise InputError(f"a manifest lists at most {MAX_FILES} files, got {len(files)}")
    for name in files:
        if not _plain_name(name):
            raise InputError(f"file name {name!r} is not a plain relative name")
    body = _encode(version, [_describe(name, files[name]) for name in sorted(files)])
    if len(body) > MAX_MANIFEST_BYTES:
        raise InputError(f"the manifest would have {len(body)} bytes, over {MAX_MANIFEST_BYTES}")
    return MAGIC + signer.public + signer.sign(DOMAIN + body) + body


def verify_manifest(
    blob: bytes, *, trusted: Collection[bytes], files: Mapping[str, bytes]
) -> Manifest:
    """Return the manifest if a trusted key signed it and the files are exactly those listed.

    Args:
        blob: What sign_manifest returned.
        trusted: Public keys, any of which may sign.
        files: Content by name; one too many or too few is refused like a changed one.

    Raises:
        SignatureError: anything is not as it was signed.

    >>> key = SigningKey(b"k" * 32)
    >>> blob = sign_manifest({"task.toml": b"x"}, version=3, signer=key)
    >>> verify_manifest(blob, trusted=[key.public], files={"task.toml": b"x"}).version
    3
    """
    if not HEADER_BYTES <= len(blob) <= HEADER_BYTES + MAX_MANIFEST_BYTES:
        raise SignatureError(f"a manifest does not have {len(blob)} bytes")
    if not blob.startswith(MAGIC):
        raise SignatureError("these bytes are not a manifest of this version")
    public = blob[len(MAGIC) : len(MAGIC) + KEY_BYTES]
    if public not in trusted:
        raise SignatureError(f"the manifest is signed by key {key_id(public).hex()}, not trusted")
    body = blob[HEADER_BYTES:]
    verify(blob[len(MAGIC) + KEY_BYTES : HEADER_BYTES], DOMAIN + body, public=public)
    version, listed = _decode(body)
    _check_files(listed, files)
    return Manifest(version=version, files=listed, signer=public)


def _describe(name: str, content: bytes) -> ManifestFile:
    """Return size and hash of one file."""
    return ManifestFile(name=name, size_bytes=len(content), sha256=sha256(content).digest())


def _check_files(listed: tuple[ManifestFile, ...], files: Mapping[str, bytes]) -> None:
    """Compare names, then sizes and hashes."""
    names = {file.name for file in listed}
    if names != set(files):
        strange, missing = len(set(files) - names), len(names - set(files))
        raise SignatureError(f"{missing} signed files are missing, {strange} are not signed")
    for file in listed:
        if _describe(file.name, files[file.name]) != file:
            raise SignatureError(f"file {file.name!r} is not the one that was signed")


def _encode(version: int, files: Collection[ManifestFile]) -> bytes:
    """Write the body."""
    packed: bytes = msgpack.packb(
        [version, [[file.name, file.size_bytes, file.sha256] for file in files]]
    )
    return packed


def _decode(body: bytes) -> tuple[int, tuple[ManifestFile, ...]]:
    """Read the body; a trusted signer's mistake is refused too."""
    try:
        version, rows = msgpack.unpackb(
            body, strict_map_key=True, max_array_len=MAX_FILES, max_str_len=4 * MAX_NAME_CHARS
        )
        files = tuple(ManifestFile(name=n, size_bytes=s, sha256=h) for n, s, h in rows)
        names = [file.name for file in files]
        # One writing for one meaning: sorted, once each, shortest msgpack form.
        if names != sorted(set(names)) or _encode(version, files) != body:
            raise ValueError("not canonical")
    except (ValueError, TypeError, msgpack.exceptions.UnpackException) as err:
        raise SignatureError("the manifest is signed but not in the form written here") from err
    if type(version) is not int or version < 0 or not all(_well_formed(file) for file in files):
        raise SignatureError("the manifest is signed but holds fields of another type")
    return version, files


def _well_formed(file: ManifestFile) -> bool:
    """Whether the fields of a file read from the wire are of their types."""
    return (
        _plain_name(file.name)
        and type(file.size_bytes) is int
        and isinstance(file.sha256, bytes)
        and len(file.sha256) == sha256().digest_size
    )


def _plain_name(name: object) -> bool:
    """Whether a name stays inside the folder it is unpacked to, on any system."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        return False
    return not set(name) & set("\\:") and all(
        part not in ("", ".", "..") for part in name.split("/")
    )

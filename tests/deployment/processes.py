"""Real programs on loopback: started in sessions of their own, stopped by their PID, looked for."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

BIN = Path(sys.executable).parent
FIELDVOTE = str(BIN / "fieldvote")
CERTIFICATES = {"ca": "ca.pem", "certificate": "server.pem", "key": "server.key"}
# Flower's own command, once for each key: starting it takes longer than what it does
_REGISTER = """
import sys
from flwr.cli.app import app
link, *keys = sys.argv[1:]
for key in keys:
    app(["supernode", "register", key, link], standalone_mode=False)
"""


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """Return what every program sees: a home of its own in this folder, and no calls home."""
    return {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "HOME": str(folder),
        "FLWR_HOME": str(folder / "flower"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def running(
    command: list[str], folder: Path, log: str, *, home: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, at home in its folder or another; it is gone in the end."""
    with (folder / log).open("ab") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(home or folder), stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(20)


@contextmanager
def nobody_left(folder: Path) -> Iterator[None]:
    """Whatever a test does, end what still works for its folder."""
    try:
        yield
    finally:
        for pid in programs_of(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def programs_of(folder: Path, word: str = "") -> dict[int, str]:
    """Return command lines by PID that name a folder, or whose environment does, and hold a word.

    This process and those that started it are left out, as are programs that have ended.
    """
    ours = {os.getpid(), os.getppid()}
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            around = (place / "environ").read_bytes().decode(errors="replace")
            if int(place.name) not in ours and str(folder) in line + around and word in line:
                found[int(place.name)] = line.strip()
    return found


def call(folder: Path, *words: str, typed: str = "") -> str:
    """Run one of our commands to its end; return what it printed."""
    done = subprocess.run(
        [FIELDVOTE, *words],
        cwd=folder,
        env=environment(folder),
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def register(keys: Iterable[Path], link: str, folder: Path, *, flower: Path) -> None:
    """Make devices' public keys known to a SuperLink of this name in Flower's home."""
    done = subprocess.run(
        [sys.executable, "-c", _REGISTER, link, *map(str, keys)],
        cwd=folder,
        env=environment(folder) | {"FLWR_HOME": str(flower)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wait_for(what: Callable[[], bool], limit_s: float, folder: Path) -> None:
    """Return when something has become true; show the end of every log if it does not."""
    end = time.monotonic() + limit_s
    while not what():
        if time.monotonic() > end:
            logs = [f"== {p.name}\n{p.read_text('utf-8')[-2000:]}" for p in folder.rglob("*.log")]
            raise AssertionError(f"not within {limit_s:.0f} s\n" + "\n".join(logs))
        time.sleep(0.1)


def make_certificates(folder: Path) -> None:
    """Write CERTIFICATES for 127.0.0.1, good for six hours, and other-ca.pem, which signs nothing.

    The authority's own key is thrown away.
    """
    authority, other, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    for path, content in {
        "ca.pem": _certificate("authority", authority),
        "other-ca.pem": _certificate("another", other),
        "server.pem": _certificate("server", server, issuer="authority", signer=authority),
    }.items():
        (folder / path).write_bytes(content.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: str = "",
    signer: ec.EllipticCurvePrivateKey | None = None,
) -> x509.Certificate:
    """Return a certificate; without a signer, an authority's own."""
    now, itself = datetime.now(UTC), signer is None
    signer = signer or key
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=itself, crl_sign=itself, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer or name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=6))
        .add_extension(x509.BasicConstraints(ca=itself, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(authority, critical=False)
        .add_extension(address, critical=False)
        .sign(signer, hashes.SHA256())
    )


def _named(words: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, words)])

"""The registrar as a program: over TLS, bounded, killed between spending and answering."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Event, Thread

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from coordinator.keys import registrar_server
from coordinator.keys.enrolled import BOOK_FILE
from coordinator.keys.registrar import Registrar
from coordinator.keys.registrar_server import MAX_REQUEST_BYTES, listening
from edge.registrar_line import enrol, renew
from fieldvote.errors import RefusalError, SignatureError, UnavailableError, WireError
from fieldvote.frames import Frames
from privacy.sealing.authority import issue, to_pem
from privacy.sealing.enrolment import Word
from tests.deployment.processes import environment, wait_for
from tests.doubles.certificates import Phone, SmallFleet
from tests.doubles.registrars import HOST, Owner, a_registrar, an_owner

ONE, TWO = Phone("one"), Phone("two")
ROOT = Path(__file__).parents[3]


def plain_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def a_line(owner: Owner) -> Iterator[Frames]:
    """Yield a line to a registrar, with TLS and no manners."""
    with (
        socket.create_connection((HOST, owner.port), 10) as plain,
        plain_tls().wrap_socket(plain) as line,
    ):
        yield Frames(line, most_bytes=1 << 20, limit_s=20)


def test_a_device_is_enrolled_and_renewed_over_tls(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        enrolled = enrol(ONE.with_token(owner.invite()), now=owner.clock())
        assert enrolled.certificate.keys == ONE.keys
        owner.clock.passes(days=16)
        chain, after = renew(
            enrolled.registrar, enrolled.grant.certificate, ONE.signing,
            fleet=enrolled.fleet, now=owner.clock(),
        )  # fmt: skip
        assert chain != enrolled.grant.certificate
        assert after.ends > enrolled.certificate.ends
        with pytest.raises(RefusalError, match="its key is another"):
            renew(enrolled.registrar, chain, TWO.signing, fleet=enrolled.fleet, now=owner.clock())


def test_a_device_takes_no_certificate_over_other_keys_than_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue_as_asked = Registrar._issue
    with a_registrar(tmp_path / "owner") as owner:
        monkeypatch.setattr(
            Registrar, "_issue", lambda it, _, name: issue_as_asked(it, TWO.keys, name)
        )
        with pytest.raises(SignatureError, match="other keys, or another name"):
            enrol(ONE.with_token(owner.invite("phone0")), now=owner.clock())
        monkeypatch.setattr(Registrar, "_issue", issue_as_asked)
        one = enrol(ONE.with_token(owner.invite("phone0")), now=owner.clock())
        two = enrol(TWO.with_token(owner.invite("phone2")), now=owner.clock())
        monkeypatch.setattr(Registrar, "_next", lambda *_: two.grant.certificate)
        with pytest.raises(SignatureError, match="than before"):
            renew(
                one.registrar, one.grant.certificate, ONE.signing, fleet=one.fleet,
                now=owner.clock(),
            )  # fmt: skip


def test_nothing_that_is_secret_crosses_in_the_clear_or_lies_in_the_book(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        token = owner.invite()
        grant = enrol(ONE.with_token(token), now=owner.clock()).grant
    book = (owner.folder / BOOK_FILE).read_bytes()
    for secret in (token.secret, grant.sketch_secret, ONE.signing.to_bytes()):
        assert secret not in book
        assert not any(str(secret) in line or secret.hex() in line for line in owner.said)
    assert (owner.folder / BOOK_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("copied", [False, True], ids=["his own root", "our root, copied"])
def test_a_man_in_the_middle_with_his_own_certificate_learns_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    heard: list[bytes] = []
    receive, introduce = Frames.receive, Registrar._introduce

    def listens(frames: Frames) -> bytes:
        heard.append(receive(frames))
        return heard[-1]

    with a_registrar(tmp_path / "his") as man, a_registrar(tmp_path / "ours") as owner:
        ours = owner.registrar
        monkeypatch.setattr(Frames, "receive", listens)
        if copied:
            monkeypatch.setattr(Registrar, "_introduce", lambda _, line: introduce(ours, line))
        token = replace(owner.invite(), address=f"{HOST}:{man.port}")
        with pytest.raises(SignatureError, match="fleet"):
            enrol(ONE.with_token(token), now=owner.clock())
        assert not any(message.startswith(Word.ENROL) for message in heard)
        assert owner.names() == man.names() == []


def test_a_devices_certificate_is_no_registrars(tmp_path: Path) -> None:
    owner = an_owner(tmp_path / "owner")
    authority = owner.authority
    chain = issue(
        ONE.keys, "phone1", authority=authority.certificate, key=authority.key,
        now=owner.clock(), entropy=os.urandom,
    )  # fmt: skip
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(_pem_of(ONE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    door, stop = listening(f"{HOST}:0"), Event()
    owner.port = door.getsockname()[1]
    (owner.folder / "registrar.toml").write_text(
        f'desk = "desk.pub"\nlisten = "{HOST}:{owner.port}"\n'
    )
    serving = Thread(
        target=registrar_server.serve_talks,
        args=(owner.registrar, owner.folder, door, context, stop),
    )
    serving.start()
    try:
        with pytest.raises(SignatureError, match="not this fleet's registrar"):
            enrol(TWO.with_token(owner.invite()), now=owner.clock())
    finally:
        stop.set()
        serving.join(10)
        door.close()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"?",
        b"GET / HTTP/1.1\r\n\r\n",
        Word.ENROL,
        Word.RENEW + b"x",
        b"\0" * MAX_REQUEST_BYTES,
    ],
)
def test_a_stranger_is_refused_in_one_line(tmp_path: Path, message: bytes) -> None:
    with a_registrar(tmp_path / "owner") as owner, a_line(owner) as line:
        line.send(message)
        answer = line.receive()
        assert answer.startswith(Word.REFUSED)
        assert len(answer) < 200


def test_a_message_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        for announced in (MAX_REQUEST_BYTES + 1, 0xFFFFFFFF):
            with a_line(owner) as line:
                line._line.sendall(announced.to_bytes(4, "big"))
                with pytest.raises(UnavailableError):
                    line.receive()
        with socket.create_connection((HOST, owner.port), 10) as plain:
            plain.sendall(b"\x16\x03 this is no TLS at all" * 100)
        assert enrol(ONE.with_token(owner.invite()), now=owner.clock())


def test_whoever_says_nothing_holds_no_line_for_long_and_blocks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar_server, "TALK_S", 0.6)
    with a_registrar(tmp_path / "owner") as owner:
        silent = [socket.create_connection((HOST, owner.port), 10) for _ in range(20)]
        try:
            time.sleep(0.4)
            with pytest.raises(UnavailableError):  # as many as may be are talking
                enrol(ONE.with_token(owner.invite()), now=owner.clock())
            time.sleep(1.2)
            assert enrol(ONE.with_token(owner.invite()), now=owner.clock())
            assert [peer.recv(1) for peer in silent] == [b""] * 20
        finally:
            for peer in silent:
                peer.close()


class Drip:
    """A socket that gives a byte at a time, each after two seconds."""

    def settimeout(self, _: float) -> None:
        pass

    def recv(self, _: int) -> bytes:
        return b"\0"


def test_a_peer_that_sends_a_byte_at_a_time_has_no_more_time_than_others() -> None:
    ticks = count(0.0, 2.0)
    frames = Frames(Drip(), most_bytes=100, limit_s=5.0, now_s=lambda: next(ticks))  # type: ignore[arg-type]  # all of a socket that is used
    with pytest.raises(UnavailableError, match="too long"):
        frames.receive()


def test_frames_refuse_what_is_too_long_before_they_read_it() -> None:
    near, far = socket.socketpair()
    with closing(near), closing(far):
        one, other = (Frames(end, most_bytes=8, limit_s=5.0) for end in (near, far))
        one.send(b"12345678")
        assert other.receive() == b"12345678"
        one.send(b"123456789")
        with pytest.raises(WireError, match="limit of 8"):
            other.receive()
        far.close()
        with pytest.raises(UnavailableError):
            one.receive()


# a registrar as it is, except that it dies after the book was written, before it answers
_DIES = """
import os, sys
import coordinator.keys.registrar as registrar
def dies(*_, **__):
    os._exit(9)
if sys.argv[2] == "dies":
    registrar.seal_grant = dies
from pathlib import Path
from coordinator.keys.registrar_server import serve_registrar
serve_registrar(Path(sys.argv[1]), lambda line: print(line, flush=True))
"""


def test_a_registrar_killed_between_spending_and_answering_answers_after_its_restart(
    tmp_path: Path,
) -> None:
    with closing(listening(f"{HOST}:0")) as probe:
        port = probe.getsockname()[1]
    owner = an_owner(tmp_path / "owner", port=port)
    token, started = owner.invite(), []

    def start(how: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{how}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _DIES, str(owner.folder), how], cwd=ROOT,
                env=environment(tmp_path), stdout=log, stderr=log,
            )  # fmt: skip
        started.append(process)
        wait_for(lambda: b"devices enrol" in (tmp_path / f"{how}.log").read_bytes(), 30, tmp_path)
        return process

    try:
        dying = start("dies")
        with pytest.raises(UnavailableError):
            enrol(ONE.with_token(token), now=owner.clock())
        assert dying.wait(10) == 9
        assert owner.names() == ["phone1"]  # spent
        living = start("lives")
        with pytest.raises(RefusalError, match="was spent"):
            enrol(TWO.with_token(token), now=owner.clock())
        assert enrol(ONE.with_token(token), now=owner.clock()).certificate.name == "phone1"
        living.terminate()
        assert living.wait(10) == 0
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait(10)
    assert owner.names() == ["phone1"]


def test_nobody_answers_is_said_as_such(tmp_path: Path) -> None:
    owner = an_owner(tmp_path / "owner", port=1)
    with pytest.raises(UnavailableError, match="no registrar answers"):
        enrol(ONE.with_token(owner.invite()), now=owner.clock())


def test_another_fleets_root_does_not_vouch_for_a_registrar(tmp_path: Path) -> None:
    other = SmallFleet("theirs")
    with a_registrar(tmp_path / "owner") as owner:
        enrolled = enrol(ONE.with_token(owner.invite()), now=owner.clock())
        with pytest.raises(SignatureError):
            renew(
                enrolled.registrar, enrolled.grant.certificate, ONE.signing,
                fleet=to_pem(other.root), now=owner.clock(),
            )  # fmt: skip


def _pem_of(phone: Phone) -> bytes:
    return ed25519.Ed25519PrivateKey.from_private_bytes(phone.signing.to_bytes()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

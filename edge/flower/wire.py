"""One call of the fleet protocol: a signed protocol buffer over HTTP/1.1 that keeps its connection.

Every call carries the node's public key, the time, and a signature of the time; the body is
protected by TLS alone, so TLS may only be left out on loopback. A failure says in one line what to
do about it.
"""

import base64
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol, TypeVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge.flower.keys import public_pem
from edge.flower.line import Answer, Line
from edge.flower.protobuf import decode, encode
from fieldvote.errors import SettingsError, UnavailableError

FLOWER_VERSIONS = ("1.40", "1.41", "1.42")
"""Versions whose fleet protocol is the one spoken here, as tests found; oldest first."""

R = TypeVar("R")
_MEDIA = "application/protobuf"
_PATH = "/v1/fleet/"
# the server closes a connection after 5 s without a word; a call into that moment may be lost
_KEPT_S = 4.0
_CLOCK_AHEAD_S, _CLOCK_BEHIND_S = 5.0, 305.0  # what the SuperLink accepts


class FleetError(UnavailableError):
    """The SuperLink answered, and said no."""

    def __init__(self, call: str, status: int, code: int, clock: str) -> None:
        """Remember the answer; clock says what is wrong with ours, if anything is."""
        super().__init__(clock or f"the SuperLink refused {call} (HTTP {status}, code {code})")
        self.status, self.code, self.clock = status, code, clock


class FleetWire(Protocol):
    """What a session needs of a version of the protocol."""

    def calls(
        self, name: str, requests: Sequence[object], reply: type[R], *, timeout_s: float = 30.0
    ) -> list[R]:
        """Send the same call several times over at once, and return the answers in order.

        Raises:
            FleetError: the SuperLink said no.
            UnavailableError: there was no answer.
        """

    def close(self) -> None:
        """Let go of the connection."""


def flower_version(installed: Callable[[str], str] = version) -> str:
    """Return the version of Flower we present ourselves as.

    That is the installed one, if Flower is installed beside us; we do not need it to be.

    Raises:
        UnavailableError: the installed one is none we were tested with.
    """
    try:
        found = installed("flwr")
    except PackageNotFoundError:
        return f"{FLOWER_VERSIONS[1]}.0"
    if ".".join(found.split(".")[:2]) not in FLOWER_VERSIONS:
        raise UnavailableError(
            f"Flower {found} is installed, this node speaks {', '.join(FLOWER_VERSIONS)}: install "
            "one of them, or leave [flower] out and run a stock SuperNode on the agent's socket"
        )
    return found


def trust(ca: Path | None) -> ssl.SSLContext | None:
    """Return what the SuperLink's certificate is checked against; nothing without TLS.

    Raises:
        SettingsError: the file holds no certificate.
    """
    if ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError) as err:
        raise SettingsError(
            f"[flower] ca: {ca} holds no certificate in PEM ({err.strerror or 'unreadable'})"
        ) from err


class HttpWire:
    """The protocol of Flower 1.40 to 1.42. One instance a thread."""

    def __init__(
        self, address: str, context: ssl.SSLContext | None, key: ec.EllipticCurvePrivateKey
    ) -> None:
        """Talk to the SuperLink at host:port; without a context, in the clear."""
        self._address = address
        self._context = context
        self._key = key
        self._line: Line | None = None
        self._used_s = 0.0
        self._headers = {
            "host": address,
            "content-type": _MEDIA,
            "accept": _MEDIA,
            "flwr-package-name": "flwr",
            "flwr-package-version": flower_version(),
            "flwr-component-name": "SuperNode",
            "flwr-public-key": base64.b64encode(public_pem(key)).decode(),
        }

    def calls(
        self, name: str, requests: Sequence[object], reply: type[R], *, timeout_s: float = 30.0
    ) -> list[R]:
        """Return the answers, over the kept connection or a new one."""
        bodies = [encode(request) for request in requests]
        kept = self._line is not None and time.monotonic() - self._used_s < _KEPT_S
        try:
            try:
                answers = self._post(name, bodies, timeout_s, new=not kept)
            except (OSError, http.client.HTTPException):
                if not kept:
                    raise
                answers = self._post(name, bodies, timeout_s, new=True)
        except (OSError, http.client.HTTPException) as err:
            self.close()
            raise UnavailableError(self._sentence(err)) from err
        for status, date, answer in answers:
            if status != http.client.OK:
                raise FleetError(name, status, _code_in(answer), _clock_line(status, date))
        return [decode(answer, reply) for _, _, answer in answers]

    def close(self) -> None:
        """Let go of the connection."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _post(self, name: str, bodies: list[bytes], timeout_s: float, *, new: bool) -> list[Answer]:
        """Send requests one behind the other, then read the answers."""
        if new or self._line is None:
            self.close()
            self._line = Line(self._address, self._context, timeout_s)
        headers = self._headers | self._signed_now()
        answers = self._line.exchange(_PATH + name, headers, bodies, timeout_s)
        self._used_s = time.monotonic()
        if self._line.ended:
            self.close()
        return answers

    def _signed_now(self) -> dict[str, str]:
        """Return the two headers that change from call to call."""
        now = datetime.now(UTC).isoformat()
        signature = self._key.sign(now.encode(), ec.ECDSA(hashes.SHA256()))
        return {"flwr-timestamp": now, "flwr-signature": base64.b64encode(signature).decode()}

    def _sentence(self, err: Exception) -> str:
        """Say why there was no answer, and what to do."""
        match err:
            case ssl.SSLCertVerificationError():
                return (
                    f"the SuperLink at {self._address} is not vouched for by [flower] ca "
                    f"({err.verify_message}): copy the CA file its operator gives out"
                )
            case ssl.SSLError():
                return (
                    f"no TLS with {self._address} ({err.reason}): start the SuperLink with "
                    "--ssl-certfile and --ssl-keyfile"
                )
            case socket.gaierror():
                return f"no machine is named as in [flower] superlink = '{self._address}'"
            case OSError():
                reason = err.strerror or type(err).__name__
            case _:
                reason = type(err).__name__
        return f"no SuperLink answers at {self._address} ({reason}): is it up and reachable?"


def _code_in(answer: bytes) -> int:
    """Return Flower's own number of an error, 0 if it has none."""
    try:
        code = json.loads(answer).get("code", 0)
    except (ValueError, AttributeError, RecursionError):
        return 0
    return code if isinstance(code, int) else 0


def _clock_line(status: int, date: str) -> str:
    """Say that this device's clock is why we are not believed; nothing if it is not."""
    if status != http.client.UNAUTHORIZED:
        return ""
    try:
        behind_s = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return ""
    # the date has whole seconds: one more of doubt on either side
    if -_CLOCK_AHEAD_S + 1 < behind_s < _CLOCK_BEHIND_S - 1:
        return ""
    # in tens, so that the same trouble is the same line at the next try
    side = "behind" if behind_s > 0 else "ahead of"
    off = f"about {round(abs(behind_s), -1):.0f} s {side}"
    return (
        f"this device's clock is {off} the SuperLink's, which accepts {_CLOCK_BEHIND_S:.0f} s "
        f"behind to {_CLOCK_AHEAD_S:.0f} s ahead: set the clock, for instance with NTP"
    )

"""A fleet's certificates and a device's keys, made from words: the same word, the same key."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from privacy.sealing.authority import issue, make_intermediate, make_root
from privacy.sealing.certificate import fingerprint
from privacy.sealing.device_keys import DeviceKeys, node_der
from privacy.sealing.enrolment import Applicant
from privacy.sealing.keys import SealingKey, SigningKey
from privacy.sealing.token import Token, make_token

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
TOKEN_KEY = b"t" * 32
ADDRESS = "127.0.0.1:9440"


def entropy_of(word: str) -> Callable[[int], bytes]:
    """Return entropy that follows from a word; each call goes on."""
    count = iter(range(1 << 30))

    def draw(size: int) -> bytes:
        blob = b"".join(
            sha256(f"{word} {next(count)}".encode()).digest() for _ in range(-(-size // 32))
        )
        return blob[:size]

    return draw


@dataclass
class SmallFleet:
    """A root and an intermediate."""

    word: str = "ours"

    @cached_property
    def root_key(self) -> SigningKey:
        return SigningKey(sha256(f"root {self.word}".encode()).digest())

    @cached_property
    def key(self) -> SigningKey:
        return SigningKey(sha256(f"intermediate {self.word}".encode()).digest())

    @cached_property
    def root(self) -> x509.Certificate:
        return make_root(self.root_key, "ours", now=NOW, entropy=entropy_of(self.word))

    @cached_property
    def authority(self) -> x509.Certificate:
        return make_intermediate(
            self.key.public, "ours", root=self.root, key=self.root_key, now=NOW,
            entropy=entropy_of(self.word),
        )  # fmt: skip

    def chain(
        self,
        device: "Phone",
        name: str = "phone1",
        *,
        now: datetime = NOW,
        life: timedelta = timedelta(days=30),
    ) -> bytes:
        """Return a device's chain."""
        return issue(
            device.keys, name, authority=self.authority, key=self.key, now=now,
            entropy=entropy_of(f"{name} {now}"), life=life,
        )  # fmt: skip

    def token(self, name: str = "phone1", *, key: bytes = TOKEN_KEY, now: datetime = NOW) -> Token:
        """Return a token."""
        return make_token(
            key, name=name, root=fingerprint(self.root), address=ADDRESS, now=now,
            entropy=entropy_of(f"token {name} {now}"),
        )  # fmt: skip


@dataclass
class Phone:
    """The secret keys of one device."""

    word: str = "one"

    @cached_property
    def signing(self) -> SigningKey:
        return SigningKey(sha256(f"signing {self.word}".encode()).digest())

    @cached_property
    def sealing(self) -> SealingKey:
        return SealingKey(sha256(f"sealing {self.word}".encode()).digest())

    @cached_property
    def node(self) -> ec.EllipticCurvePrivateKey:
        secret = int.from_bytes(sha256(f"node {self.word}".encode()).digest(), "big")
        return ec.derive_private_key(secret, ec.SECP384R1())

    @property
    def keys(self) -> DeviceKeys:
        return DeviceKeys(
            signing=self.signing.public,
            sealing=self.sealing.public,
            node=node_der(self.node.public_key()),
        )

    def with_token(self, token: Token) -> Applicant:
        """Return this device with a token."""
        return Applicant(token=token, signing=self.signing, sealing=self.sealing, node=self.node)

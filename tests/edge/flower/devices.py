"""Light nodes under test: a journal on disk, a key, and the double at the other end."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from cryptography.hazmat.primitives.asymmetric import ec

from edge.flower.journal import Journal
from edge.flower.keys import Identity, node_key, public_pem
from edge.flower.node import LightNode
from edge.flower.session import Session
from edge.flower.wire import HttpWire
from edge.pool import Pool
from tests.doubles.superlink import SuperLinkDouble

OPENED: list[Journal | HttpWire] = []


@dataclass
class Rig:
    """One device; open it again and it is the same one after a crash."""

    folder: Path
    link: SuperLinkDouble
    answer: Callable[[bytes], bytes] = lambda request: b"re:" + request
    said: list[str] = field(default_factory=list)
    stop: Event = field(default_factory=Event)

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The device's key, made at first use."""
        return node_key(self.folder / "node.key")

    def wire(self) -> HttpWire:
        """Return a connection of this device."""
        made = HttpWire(self.link.address, None, self.key)
        OPENED.append(made)
        return made

    def open(self) -> tuple[LightNode, Session, Journal]:
        """Return a process's worth of node."""
        database = self.folder / "pool.sqlite"
        Pool(database).close()
        journal = Journal(database)
        OPENED.append(journal)
        identity = Identity(
            public_key=public_pem(self.key), place="here", register="flwr supernode register PUB"
        )
        session = Session(
            self.wire,
            identity,
            journal,
            say=self.said.append,
            stop=self.stop,
            rng=random.Random(1),  # noqa: S311  # jitter
        )
        node = LightNode(session, journal, self.answer, stop=self.stop, say=self.said.append)
        return node, session, journal

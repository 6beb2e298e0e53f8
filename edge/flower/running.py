"""Putting a light node together from a device's settings, beside its agent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from edge.flower.journal import Journal
from edge.flower.keys import Identity, alone_with, node_key, public_path, public_pem
from edge.flower.node import LightNode
from edge.flower.session import Session
from edge.flower.wire import FleetWire, HttpWire, trust
from edge.locked import Locker
from edge.settings import FlowerSettings

_FINISH_S = 1.0  # what a message in progress gets on the way out; the journal has it anyway
_FAREWELL_S = 0.7


@contextmanager
def on_flower(
    settings: FlowerSettings,
    database: Path,
    answer: Callable[[bytes], bytes],
    *,
    locker: Locker | None = None,
    say: Callable[[str], None],
    stop: Event,
) -> Iterator[None]:
    """Answer the fleet's messages in a thread until the block ends; then leave the fleet.

    Args:
        settings: Where the SuperLink is and which key is ours.
        database: The device's own, with the pool's tables.
        answer: Request bytes to reply bytes; called from another thread.
        locker: Has the key of the pool, if it is locked.
        say: Takes the operator's lines; called from another thread.
        stop: Ends the node's work at once; set here when the block ends.

    Raises:
        SettingsError: the CA file is none.
        InputError: the key file is none of ours.
        UnavailableError: another process runs with this key, or an unknown Flower is installed.
    """
    path = Path(settings.key)
    key = node_key(path)
    context = trust(None if settings.insecure else Path(settings.ca))

    def wires() -> FleetWire:
        return HttpWire(settings.superlink, context, key)

    public = public_pem(key)
    identity = Identity(
        public_key=public,
        place=f"{settings.superlink} {public.decode().splitlines()[2]}",
        register=f"flwr supernode register {public_path(path).resolve()}",
    )
    with alone_with(path):
        journal = Journal(database, locker)
        try:
            session = Session(wires, identity, journal, say=say, stop=stop)
            node = LightNode(session, journal, answer, stop=stop, say=say)
            thread = Thread(target=node.run, name="flower-node", daemon=True)
            thread.start()
            session.run_heart()
            try:
                yield
            finally:
                stop.set()
                thread.join(_FINISH_S)
                session.leave(_FAREWELL_S)
        finally:
            journal.close()

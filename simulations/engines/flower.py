"""The flower engine: a rehearsal over Flower's own simulation with Ray, on one machine or many.

Each Flower node is a gateway in front of many devices (:mod:`simulations.engines.gateways`). The
ServerApp and the ClientApp are those of a deployment; they carry parcels here.

Where the devices live: Flower hands a node's message to whichever of its Ray actors is idle, so
such an actor can keep nothing from one message to the next, and Flower's own answer, a Context that
travels with every message, would carry whole pools around. So each gateway is a Ray actor of our
own, named after its node, and the ClientApp forwards to it, as in a deployment it forwards to the
agent over a socket. A device has one home, in memory: no file is shared between machines, and no
copy of a ledger can be out of date. An actor that dies is not started again, for its devices would
come back with empty ledgers: the rehearsal stops and says so.

Ray is started for the rehearsal and stopped with it, its files in a folder of ours. Where
RAY_ADDRESS names a cluster, that one is used, and every machine needs fieldvote and the data.
"""

import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING
from uuid import uuid4

from flwr.app import Context
from flwr.simulation import run_simulation
from flwr.supercore import telemetry

from coordinator.app import GridTransport, build_server_app
from coordinator.transport import Came, Transport
from edge.app import build_client_app
from fieldvote.errors import FieldvoteError, MissingExtraError, UnavailableError
from fieldvote.records import DeviceId
from simulations.engines.gateways import Gateway, GatewayTransport
from simulations.engines.seam import Account, Carry, Engine, T
from simulations.population import Population

if TYPE_CHECKING:
    from ray import ObjectRef

_UNSIGNED = (1 << 64) - 1
_CLUSTER = "RAY_ADDRESS"
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns of what it will change one day
}
_LONGEST_TEMP = 24  # Ray adds up to 75 characters, and a Unix socket's path may have 107
_LOOK_S, _WAIT_S = 0.02, 0.4
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def flower_engine() -> Engine:
    """Return the engine, if Ray is installed.

    Raises:
        MissingExtraError: it is not.
    """
    try:
        import ray
    except ImportError as err:
        raise MissingExtraError("the flower engine", "ray") from err

    def engine(population: Population, work: Callable[[Carry], T], /) -> T:
        with _stopping() as over, _ray_started(ray), _quiet_flower():
            over.heed_signals()  # again: Ray has put its own habits in their place
            return _simulate(ray, population, work, over)

    return engine


def _simulate(
    ray: ModuleType, population: Population, work: Callable[[Carry], T], over: threading.Event
) -> T:
    """Run Flower's simulation, and in its ServerApp the work, until it is done or over."""
    cpus = int(ray.cluster_resources().get("CPU", 1))
    count = max(1, min(cpus, population.dataset.devices))
    results: list[T] = []

    def go_on() -> None:
        if over.is_set():
            raise UnavailableError("the simulation was stopped")

    def lead(transport: GridTransport, _context: Context) -> None:
        nodes = _nodes(transport, count, go_on)
        gateways = _Gateways(ray, population, nodes, go_on)
        results.append(work(gateways.carry_over(_Heeding(transport, go_on))))

    try:
        run_simulation(
            build_server_app(lead),
            build_client_app(_gateway_door),
            num_supernodes=count,
            backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
        )
    except FieldvoteError:
        raise
    except RuntimeError as err:
        raise UnavailableError(f"Flower's simulation stopped: {err}") from err
    finally:
        over.set()
    return results[0]


def _nodes(transport: Transport, count: int, go_on: Callable[[], None]) -> tuple[DeviceId, ...]:
    """Return Flower's nodes once all are there; the ServerApp starts before them."""
    while len(nodes := transport.devices()) < count:
        go_on()
        time.sleep(_LOOK_S)
    return nodes


class _Heeding:
    """A transport that ends when the simulation is to end."""

    def __init__(self, transport: Transport, go_on: Callable[[], None]) -> None:
        """Ask whether to go on before every look for replies."""
        self._transport = transport
        self._go_on = go_on

    def devices(self) -> tuple[DeviceId, ...]:
        """Return who is there."""
        return self._transport.devices()

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> Mapping[str, DeviceId]:
        """Send requests."""
        return self._transport.push(requests, ttl_s=ttl_s)

    def pull(self, tickets: Collection[str], *, wait_s: float) -> Sequence[Came]:
        """Return replies.

        Raises:
            UnavailableError: the simulation was stopped.
        """
        self._go_on()
        return self._transport.pull(tickets, wait_s=wait_s)


class _Gateways:
    """The gateways of one simulation, an actor behind every node."""

    def __init__(
        self,
        ray: ModuleType,
        population: Population,
        nodes: tuple[DeviceId, ...],
        go_on: Callable[[], None],
    ) -> None:
        """Start them.

        They take no CPU from Ray's count: the actor of Flower's that waits for one has it already.
        """
        self._ray, self._nodes, self._go_on = ray, nodes, go_on
        self._devices = population.dataset.devices
        actor = ray.remote(Gateway)
        self._actors = [
            actor.options(
                name=_name(node), num_cpus=0, max_restarts=0, scheduling_strategy="SPREAD"
            ).remote(population.scenario, population.seed, place=place, gateways=len(nodes))
            for place, node in enumerate(nodes)
        ]

    def carry_over(self, transport: Transport) -> Carry:
        """Return what carries a campaign in parcels over this transport, whose devices we are."""

        def carry(drive: Callable[[Transport], None]) -> Account:
            self._results([actor.open.remote() for actor in self._actors])
            drive(GatewayTransport(transport, self._nodes, self._devices))
            accounts = self._results([actor.account.remote() for actor in self._actors])
            return sum(accounts, start=Account())

        return carry

    def _results(self, waiting: "list[ObjectRef[T]]") -> list[T]:
        """Return what the gateways come back with."""
        missing = waiting
        while missing:
            self._go_on()
            _, missing = self._ray.wait(waiting, num_returns=len(waiting), timeout=_WAIT_S)
        try:
            found: list[T] = self._ray.get(waiting)
        except self._ray.exceptions.RayTaskError as err:
            if isinstance(err.cause, FieldvoteError):
                raise err.cause from err
            raise UnavailableError(f"a gateway failed: {err.cause!r}") from err
        except self._ray.exceptions.RayError as err:
            raise UnavailableError(f"a gateway has gone: {type(err).__name__}") from err
        return found


def _gateway_door(context: Context) -> Callable[[bytes], bytes]:
    """Return what answers a parcel for this node; runs in an actor of Flower's."""
    import ray

    gateway = ray.get_actor(_name(context.node_id))

    def answer(parcel: bytes) -> bytes:
        coming: ray.ObjectRef[bytes] = gateway.answer.remote(parcel)
        try:
            return ray.get(coming)
        except ray.exceptions.RayActorError as err:
            raise UnavailableError("the gateway has gone") from err

    return answer


def _name(node: int) -> str:
    """Return what a node's gateway is called; Flower counts nodes without a sign."""
    return f"gateway-{node & _UNSIGNED}"


@contextmanager
def _ray_started(ray: ModuleType) -> Iterator[None]:
    """Have Ray running; without a cluster to use, start one here and leave nothing of it behind."""
    if ray.is_initialized():
        raise UnavailableError("Ray runs in this process already: call ray.shutdown() first")
    cluster = _CLUSTER in os.environ
    with ExitStack() as stack:
        stack.enter_context(_environment())
        local: dict[str, object] = {}
        if not cluster:
            folder = stack.enter_context(_short_folder())
            local = {"address": "local", "include_dashboard": False, "_temp_dir": str(folder)}
        stack.callback(ray.shutdown)
        try:
            ray.init(
                namespace=f"fieldvote-{uuid4().hex}",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **local,
            )
        except (ConnectionError, OSError, RuntimeError, ValueError) as err:
            raise UnavailableError(f"Ray cannot be started: {err}") from err
        yield


@contextmanager
def _environment() -> Iterator[None]:
    """Tell Ray to send nothing home; its own processes read this from the environment."""
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update(_SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Over(threading.Event):
    """Set when the simulation is to end; remembers which signal asked for it.

    Flower's simulation and Ray do not survive an exception in the middle of what they do: the one
    waits for its ServerApp for ever, the other may crash. So a signal only sets this event, the
    ServerApp ends, and everything else after it.
    """

    because: int | None = None

    def heed_signals(self) -> None:
        """Take the two signals that end a program."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._take)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self.because = number
        self.set()


@contextmanager
def _stopping() -> Iterator[_Over]:
    """Lend the word that it is over; when all is cleared away, pass on the signal that said so."""
    over = _Over()
    kept = {number: signal.getsignal(number) for number in _SIGNALS}
    over.heed_signals()
    try:
        yield over
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, habit in kept.items():
                signal.signal(number, habit)
            if over.because is not None:
                signal.raise_signal(over.because)


@contextmanager
def _short_folder() -> Iterator[Path]:
    """Lend a folder whose path leaves room for the names of Ray's sockets."""
    usual = tempfile.gettempdir()
    short = usual if len(usual) <= _LONGEST_TEMP else "/tmp"  # noqa: S108  # made 0700, unguessable
    # Ray's last process may still write its log while the folder goes
    with tempfile.TemporaryDirectory(
        prefix="fv-ray-", dir=short, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


@contextmanager
def _quiet_flower() -> Iterator[None]:
    """Let Flower speak of errors only, and send nothing home.

    It read the environment when it was imported, maybe long ago, and would note who we are in a
    file of the user's home even where nothing is sent; no public call says no to either.
    """
    logger = logging.getLogger("flwr")
    level, enabled = logger.level, telemetry.FLWR_TELEMETRY_ENABLED
    logger.setLevel(logging.ERROR)
    telemetry.FLWR_TELEMETRY_ENABLED = "0"
    with telemetry.state_lock:
        telemetry.state["source"] = "unavailable"
    try:
        yield
    finally:
        logger.setLevel(level)
        telemetry.FLWR_TELEMETRY_ENABLED = enabled

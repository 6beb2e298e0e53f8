"""The in-process engine: the very ServerApp and ClientApps, joined by a Grid in memory.

Every message is taken apart by Flower's own serialisation and put together again on the other side,
so no object is shared and every byte is counted. A tap sees what crosses upwards, as an auditor on
the wire would.

Flower's Message reads who it is from ``TaskIdentity``, which no public call sets outside a running
SuperLink, and only ``_get_computed_object_ids`` keeps Flower from serialising a part again for each
look at its name; these private names are used here and nowhere else.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    _get_computed_object_ids,
    get_object_id,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from coordinator.app import build_server_app
from coordinator.transport import Transport
from edge.app import build_client_app
from fieldvote.errors import InternalError
from fieldvote.records import DeviceId
from simulations.devices import set_up_devices
from simulations.engines.seam import Account, Carry, T, Traffic
from simulations.population import Population

CLIENT_APP_RAISED = 2  # Flower's code for an exception in a ClientApp
NODE_UNAVAILABLE = 5  # Flower's code for a node that is not there
_RUN_ID = 1
_SERVER_NODE = 1


@dataclass(slots=True)
class InProcessGrid(Grid):
    """A Grid over ClientApps in this process.

    Attributes:
        client_app: Answers for every node.
        nodes: Configuration by node id.
        tap: Sees every object that crosses upwards, before the coordinator does.
        online: Nodes that are there; all at first.
        traffic: What crossed so far.
    """

    client_app: ClientApp
    nodes: Mapping[int, Mapping[str, str | int]]
    tap: Callable[[int, bytes], None] = lambda _node, _blob: None
    online: set[int] = field(default_factory=set)
    traffic: Traffic = field(default_factory=Traffic)
    _contexts: dict[int, Context] = field(default_factory=dict)
    _waiting: dict[str, Message] = field(default_factory=dict)
    _count: int = 0
    _run: Run = field(default_factory=lambda: Run.create_empty(run_id=_RUN_ID))

    def __post_init__(self) -> None:
        """Say who this process is, and put every node online."""
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = _RUN_ID, 1, _SERVER_NODE
        self.online = self.online or set(self.nodes)
        self._contexts = {
            node: Context(
                run_id=_RUN_ID,
                node_id=node,
                node_config=dict(config),
                state=RecordDict(),
                run_config={},
            )
            for node, config in self.nodes.items()
        }

    def set_run(self, run: Run) -> None:
        """Take part in this run."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run this grid belongs to."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes that are online."""
        return sorted(self.online)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return the nodes that are online, as Flower describes them."""
        return [NodeInfo(node_id=node) for node in self.get_node_ids()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Take messages in; they are executed when they are pulled, in that order."""
        names = []
        for message in messages:
            name = self._name()
            message.metadata.__dict__["_message_id"] = name
            self._waiting[name] = message
            names.append(name)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Execute what was pushed under these names, and return the replies."""
        return [self._execute(self._waiting.pop(n)) for n in message_ids if n in self._waiting]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Push and pull in one call."""
        return self.pull_messages(self.push_messages(messages))

    def _execute(self, message: Message) -> Message:
        """Carry a message to its node and the reply back."""
        node = message.metadata.dst_node_id
        if node not in self.online:
            return self._named(Message(Error(NODE_UNAVAILABLE, "node offline"), reply_to=message))
        name = message.metadata.message_id
        arrived, size, _ = _cross(message)
        arrived.metadata.__dict__["_message_id"] = name
        self.traffic.down += size
        try:
            reply = self.client_app(arrived, self._contexts[node])
        except Exception as err:  # as a SuperNode does: an app that raises is an error reply
            reply = Message(Error(CLIENT_APP_RAISED, type(err).__name__), reply_to=arrived)
        returned, size, blobs = _cross(self._named(reply))
        self.traffic.up += size
        self.traffic.replies += 1
        for blob in blobs:
            self.tap(node, blob)
        return self._named(returned)

    def _named(self, message: Message) -> Message:
        """Give a message a name of fixed length."""
        message.metadata.__dict__["_message_id"] = self._name()
        return message

    def _name(self) -> str:
        self._count += 1
        return f"{self._count:032x}"


def _cross(message: Message) -> tuple[Message, int, tuple[bytes, ...]]:
    """Return a message as it comes out on the other side, its size, and its bytes.

    An error is not an object tree; Flower sends it inside the message's own frame.
    """
    if message.has_error():
        reason = (message.error.reason or "").encode()
        return message, len(reason), (reason,)
    # within this block Flower names each object once, as its own SuperLink client does
    with no_object_id_recompute():
        objects: dict[str, bytes] = {}
        _take_apart(message, objects)
        blobs = tuple(objects.values())
        inflated = inflate_object_from_contents(message.object_id, objects)
    if not isinstance(inflated, Message):
        raise InternalError("Flower put something else together than it took apart")
    return inflated, sum(len(blob) for blob in blobs), blobs


def _take_apart(part: InflatableObject, objects: dict[str, bytes]) -> None:
    """Put the bytes of an object's parts under their names, then its own."""
    if isinstance(part, Message):
        inside: Iterable[InflatableObject] = (part.content,)
    else:
        inside = part.values() if isinstance(part, RecordDict) else (part.children or {}).values()
    for each in inside:
        _take_apart(each, objects)
    blob = part.deflate()
    name = get_object_id(blob)
    objects[name] = blob
    # what it is inside of asks for its name, and need not serialise it again to know
    part.__dict__["_object_id"] = name
    _get_computed_object_ids().add(name)


def run_in_process(server_app: ServerApp, grid: InProcessGrid) -> None:
    """Run a ServerApp to its end over this grid."""
    context = Context(
        run_id=_RUN_ID, node_id=_SERVER_NODE, node_config={}, state=RecordDict(), run_config={}
    )
    server_app(grid, context)


class LocalFleet:
    """Some devices of a population in this process, behind a grid.

    Attributes:
        grid: Reaches them.
    """

    def __init__(self, population: Population, numbers: Iterable[int]) -> None:
        """Set these devices of the population up, with nothing learnt and nothing spent."""
        self._pools = ExitStack()
        self._devices = set_up_devices(population, numbers, self._pools)
        self._sent: list[bytes] = []
        self.grid = InProcessGrid(
            client_app=build_client_app(
                lambda context: self._devices[DeviceId(context.node_id)].agent.handle
            ),
            nodes={int(device): {} for device in self._devices},
            tap=lambda _node, blob: self._sent.append(blob),
        )

    def account(self) -> Account:
        """Return what these devices gave away so far."""
        spent: dict[str, int] = {}
        for device in self._devices.values():
            for kind, part in device.ledger.spent.by_kind.items():
                spent[kind] = spent.get(kind, 0) + part.size_bytes
        return Account(
            traffic=self.grid.traffic,
            spent=spent,
            candidates=sum(device.ledger.spent.candidates for device in self._devices.values()),
            sent=tuple(self._sent),
            micro_rho=max(
                (device.ledger.spent.micro_rho for device in self._devices.values()), default=0
            ),
        )

    def close(self) -> None:
        """Let go of the pools."""
        self._pools.close()


def in_process(population: Population, work: Callable[[Carry], T]) -> T:
    """Work with every device in this process."""

    def carry(drive: Callable[[Transport], None]) -> Account:
        numbers = range(population.dataset.devices)
        with closing(LocalFleet(population, numbers)) as fleet:
            run_in_process(build_server_app(lambda transport, _: drive(transport)), fleet.grid)
            return fleet.account()

    return work(carry)

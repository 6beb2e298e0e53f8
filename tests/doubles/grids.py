"""Grids in this process: devices that echo, and grids that are slow, broken or lied to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event, Lock

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from coordinator.app import FIELD, RECORD
from simulations.engines.in_process import InProcessGrid


def client(answer: Callable[[int, object], RecordDict]) -> ClientApp:
    app = ClientApp()

    @app.query()
    def query(message: Message, context: Context) -> Message:
        body = message.content.config_records[RECORD][FIELD]
        return Message(answer(context.node_id, body), reply_to=message)

    return app


def ours(body: bytes | str) -> RecordDict:
    return RecordDict({RECORD: ConfigRecord({FIELD: body})})


def echo(node: int, body: object) -> RecordDict:
    assert isinstance(body, bytes)
    return ours(body + b" from %d" % node)


def grid_of(
    answer: Callable[[int, object], RecordDict] = echo, nodes: Iterable[int] = (1, 2, 3)
) -> InProcessGrid:
    return InProcessGrid(client_app=client(answer), nodes={node: {} for node in nodes})


@dataclass(slots=True)
class SlowGrid(InProcessGrid):
    """Hands nothing out until it was asked a few times; some replies never come."""

    patience: int = 3
    never: int = 0
    looks: int = 0

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.looks += 1
        if self.looks <= self.patience:
            return []
        wanted = [
            name for name in message_ids if self._waiting[name].metadata.dst_node_id != self.never
        ]
        return InProcessGrid.pull_messages(self, wanted)


@dataclass(slots=True)
class LaneGrid(InProcessGrid):
    """A grid whose replies are pulled in many threads, and some of them do not come to an end."""

    hanging: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    foreign: list[Message] = field(default_factory=list)
    impostor: int = 0
    broken: bool = False
    pushes: list[int] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: Lock = field(default_factory=Lock)
    over: Event = field(default_factory=Event)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Take messages in, some not."""
        group = list(messages)
        self.pushes.append(len(group))
        names = list(InProcessGrid.push_messages(self, group))
        nodes = [message.metadata.dst_node_id for message in group]
        return [
            # as Flower does, whatever its types say
            None if node in self.refused else name  # type: ignore[misc]  # see above
            for name, node in zip(names, nodes, strict=True)
        ]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return one reply, late or never."""
        if self.broken:
            raise ConnectionError("the run is over")
        [name] = message_ids
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            hangs = self._waiting[name].metadata.dst_node_id in self.hanging
        if hangs:
            self.over.wait(20)
        with self._lock:
            self._at_once -= 1
            came = list(InProcessGrid.pull_messages(self, [name]))
        for message in came if self.impostor else []:
            message.metadata.__dict__["_src_node_id"] = self.impostor
        return [*self.foreign, *came]


def lane_grid(nodes: int) -> LaneGrid:
    return LaneGrid(client_app=client(echo), nodes={node: {} for node in range(1, nodes + 1)})

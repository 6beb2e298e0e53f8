"""The Flower ServerApp: a thin driver that lends a Grid to the scheduler.

Flower's own ``send_and_receive`` sleeps three seconds between looks; this loop pushes, pulls in
short steps, and keeps its own deadline. Payloads travel as one bytes field, so a reply is one
object. What a grid raises is not caught: it has lost its run, and whoever supervises submits a new
one.
"""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from coordinator.transport import Came, node_of
from fieldvote.errors import FieldvoteError, SettingsError
from fieldvote.records import DeviceId

RECORD, FIELD = "fieldvote", "message"
_FIRST_WAIT_S = 0.01
# A reply that is seen while its sender still uploads it costs a second of Flower's own waiting, and
# every look takes time from the SuperLink that the upload needs: look late rather than often.
_FIRST_LOOK_S, _NEXT_LOOK_S = 0.35, 0.3
_NODES = 1 << 64
_LANES = 16  # pulls under way at once, hanging ones apart
_HANGS_S = 2.0
_LOOKS_PER_S = 50.0  # a look costs a SuperLink about 5 ms
_KEPT_S = 60.0  # how long after its end a request is still known
_PUSHED_AT_ONCE = 16  # so that the first devices work while the last requests are on their way


class GridTransport:
    """Reaches devices through a Flower Grid: node ids are device ids."""

    def __init__(self, grid: Grid, *, lanes: int = 0) -> None:
        """Use this grid for every exchange.

        Args:
            grid: Where the devices are.
            lanes: Replies that are pulled at once, each in a thread of its own. 0 pulls all of them
                in this thread, for a grid that runs its devices there.
        """
        self._grid = grid
        self._pulls = _InLanes(self._look, lanes) if lanes else _Here(self._look)
        self._lanes = lanes
        self._asked: dict[str, tuple[DeviceId, float]] = {}  # and when the answer is of no use

    def apart(self) -> "GridTransport":
        """Return another transport over the same grid, for a thread of its own.

        Flower's grid pushes its own objects from several threads at once, and keeps what it
        computes for a message in the thread that sends it.
        """
        return GridTransport(self._grid, lanes=max(self._lanes, 1))

    def devices(self) -> tuple[DeviceId, ...]:
        """Return the nodes that are connected now."""
        return tuple(sorted(_device(node) for node in self._grid.get_node_ids()))

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> dict[str, DeviceId]:
        """Send requests in small groups; return who was sent which message."""
        now_s = time.monotonic()
        self._asked = {name: it for name, it in self._asked.items() if it[1] > now_s}
        tickets: dict[str, DeviceId] = {}
        devices = list(requests)
        for start in range(0, len(devices), _PUSHED_AT_ONCE):
            group = devices[start : start + _PUSHED_AT_ONCE]
            names = self._grid.push_messages(
                [self._message(device, requests[device], ttl_s) for device in group]
            )
            # Flower has no name for a message it did not take: that device has just gone
            tickets |= {name: who for name, who in zip(names, group, strict=False) if name}
        self._asked |= {name: (who, now_s + ttl_s + _KEPT_S) for name, who in tickets.items()}
        return tickets

    def pull(self, tickets: Collection[str], *, wait_s: float) -> list[Came]:
        """Return replies to these messages, each from the device that was asked."""
        came = []
        for message in self._pulls([name for name in tickets if name in self._asked], wait_s):
            name = message.metadata.reply_to_message_id
            device, _ = self._asked.pop(name, (None, 0.0))
            if device is None:
                continue
            body = None if message.has_error() else _body(message)
            if _device(message.metadata.src_node_id) != device:
                body = None
            came.append(Came(ticket=name, device=device, reply=body))
        return came

    def _look(self, names: Collection[str]) -> list[Message]:
        """Return the replies to these messages that are there."""
        return list(self._grid.pull_messages(sorted(names)))

    @staticmethod
    def _message(device: DeviceId, blob: bytes, ttl_s: float) -> Message:
        """Wrap a request; its life ends with the exchange, so no device answers a dead round."""
        content = RecordDict({RECORD: ConfigRecord({FIELD: blob})})
        return Message(content, node_of(device), "query", ttl=ttl_s + 1.0)


Look = Callable[[Collection[str]], list[Message]]


class _Here:
    """Looks for everything at once, in this thread."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def __call__(self, names: Collection[str], wait_s: float) -> list[Message]:
        """Return what is there, or comes while we wait."""
        end_s, pause_s = time.monotonic() + wait_s, _FIRST_WAIT_S
        while names:
            came = self._look(names)
            left_s = end_s - time.monotonic()
            if came or left_s <= 0:
                return came
            time.sleep(min(pause_s, left_s))
            pause_s *= 2
        return []


class _InLanes:
    """Looks for each reply alone, a few at once.

    A look that finds a reply whose sender died while uploading it waits for the rest, up to three
    minutes, and with it whatever else that look has found. So no two replies share a look, and one
    that hangs holds no lane. Its thread is a daemon: it does not keep the process from ending.
    """

    def __init__(self, look: Look, lanes: int) -> None:
        self._look = look
        self._lanes = lanes
        self._done: SimpleQueue[tuple[str, list[Message] | Exception]] = SimpleQueue()
        self._due_s: dict[str, float] = {}
        self._began_s: dict[str, float] = {}  # looks under way
        self._found: dict[str, list[Message]] = {}  # for whoever asks next

    def __call__(self, names: Collection[str], wait_s: float) -> list[Message]:
        """Return what is there, or comes while we wait.

        Raises:
            Exception: whatever a look raised: the grid has lost its run.
        """
        now_s = time.monotonic()
        end_s, wanted = now_s + wait_s, set(names)
        # another exchange may look in turns with this one: what it looks for stays due
        self._due_s = {
            n: due_s
            for n, due_s in self._due_s.items()
            if n in wanted | set(self._began_s) or due_s > now_s - _KEPT_S
        }
        for name in wanted - set(self._due_s):
            self._due_s[name] = now_s + _FIRST_LOOK_S
        while wanted:
            while not self._done.empty():
                self._wait(0.0, len(wanted))
            came = [m for n in wanted & set(self._found) for m in self._found.pop(n)]
            now_s = time.monotonic()
            if not came:
                self._start(wanted, now_s)  # also for who does not wait, and will look again
            if came or now_s > end_s:
                return came
            next_s = min((self._due_s[n] for n in wanted - set(self._began_s)), default=end_s)
            self._wait(
                min(max(next_s - now_s, _FIRST_WAIT_S), max(end_s - now_s, 0.0)), len(wanted)
            )
        return []

    def _start(self, wanted: Collection[str], now_s: float) -> None:
        """Begin the looks that are due, as far as lanes are free."""
        free = self._lanes - sum(now_s - begin_s < _HANGS_S for begin_s in self._began_s.values())
        ready = [n for n in wanted if n not in self._began_s and self._due_s[n] <= now_s]
        for name in sorted(ready, key=lambda n: self._due_s[n])[: max(free, 0)]:
            self._began_s[name] = now_s
            Thread(target=self._look_for, args=(name,), daemon=True).start()

    def _wait(self, seconds: float, waiting: int) -> None:
        """Wait for a look to end, and take in what it found."""
        try:
            name, came = self._done.get(timeout=max(seconds, 0.001))
        except Empty:
            return
        self._began_s.pop(name, None)
        if isinstance(came, Exception):
            raise came
        self._due_s[name] = time.monotonic() + max(_NEXT_LOOK_S, waiting / _LOOKS_PER_S)
        if came:
            self._found[name] = came

    def _look_for(self, name: str) -> None:
        """Look for one reply."""
        try:
            self._done.put((name, self._look([name])))
        except Exception as err:  # raised again where the exchange is
            self._done.put((name, err))


def _device(node: int) -> DeviceId:
    """Undo node_of."""
    return DeviceId(node - _NODES if node >= _NODES // 2 else node)


def _body(message: Message) -> bytes | None:
    """Return the bytes a reply carries; None if it is not a reply of ours."""
    record = message.content.get(RECORD)
    body = record.get(FIELD) if isinstance(record, ConfigRecord) else None
    return body if isinstance(body, bytes) else None


def drive_from_config(transport: GridTransport, context: Context) -> None:
    """Drive the campaign whose settings file the run configuration names."""
    from coordinator.driving import drive
    from coordinator.pulse import Pulse
    from coordinator.service import LOG_FILE, CoordinatorSettings

    config = context.run_config.get("config")
    if not isinstance(config, str) or not config:
        raise SettingsError("the run has no config: start it with 'fieldvote coordinator serve'")
    log = Path(CoordinatorSettings.load(Path(config)).folder) / LOG_FILE

    def say(line: str) -> None:
        with log.open("a", encoding="utf-8") as said:
            said.write(f"{line}\n")

    pulse = Pulse(say)
    try:
        drive(Path(config), transport, pulse, courier=transport.apart)
    except FieldvoteError as err:
        pulse(f"the campaign cannot go on: {err}")
        raise


def build_server_app(
    drive: Callable[[GridTransport, Context], None], *, lanes: int = 0
) -> ServerApp:
    """Return a ServerApp that drives a campaign over its grid."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        drive(GridTransport(grid, lanes=lanes), context)

    return app


app = build_server_app(drive_from_config, lanes=_LANES)

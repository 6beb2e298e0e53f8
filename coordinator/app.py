"""The Flower ServerApp: a thin driver that lends a Grid to the scheduler.

Flower's own ``send_and_receive`` sleeps three seconds between looks; this loop pushes, pulls in
short steps, and keeps its own deadline. Payloads travel as one bytes field, so a reply is one
object. What a grid raises is not caught: it has lost its run, and whoever supervises submits a new
one.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from fieldvote.errors import FieldvoteError, SettingsError
from fieldvote.records import DeviceId

RECORD, FIELD = "fieldvote", "message"
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.01, 0.4
# A reply that is seen while its sender still uploads it costs a second of Flower's own waiting, and
# every look takes time from the SuperLink that the upload needs: look late rather than often.
_FIRST_LOOK_S, _NEXT_LOOK_S = 0.35, 0.3
_NODES = 1 << 64
_LANES = 16  # pulls under way at once, hanging ones apart
_HANGS_S = 2.0
_LOOKS_PER_S = 50.0  # a look costs a SuperLink about 5 ms
_PUSHED_AT_ONCE = 16  # so that the first devices work while the last requests are on their way


class GridTransport:
    """Reaches devices through a Flower Grid: node ids are device ids.

    Attributes:
        tell: Told in one line, at every step, how far an exchange is.
    """

    def __init__(self, grid: Grid, *, lanes: int = 0) -> None:
        """Use this grid for every exchange.

        Args:
            grid: Where the devices are.
            lanes: Replies that are pulled at once, each in a thread of its own. 0 pulls all of them
                in this thread, for a grid that runs its devices there.
        """
        self._grid = grid
        self._lanes = lanes
        self.tell: Callable[[str], None] = lambda _: None

    def apart(self) -> "GridTransport":
        """Return another transport over the same grid, for threads whose progress is not told.

        Flower's grid pushes its own objects from several threads at once, and keeps what it
        computes for a message in the thread that sends it.
        """
        return GridTransport(self._grid, lanes=max(self._lanes, 1))

    def devices(self) -> tuple[DeviceId, ...]:
        """Return the nodes that are connected now."""
        return tuple(sorted(_device(node) for node in self._grid.get_node_ids()))

    def exchange(
        self, requests: Mapping[DeviceId, bytes], *, deadline_s: float
    ) -> Mapping[DeviceId, bytes]:
        """Push every request, pull until all have answered or the deadline is over.

        Only a reply to a message of this exchange is taken, and only from the device it went to.
        """
        end = time.monotonic() + deadline_s
        asked = self._push(requests, deadline_s)
        waiting = set(asked)
        replies: dict[DeviceId, bytes] = {}
        for came in self._pull(waiting):
            for message in came:
                name = message.metadata.reply_to_message_id
                if name not in waiting:
                    continue
                waiting.discard(name)
                body = None if message.has_error() else _body(message)
                if body is not None and _device(message.metadata.src_node_id) == asked[name]:
                    replies[asked[name]] = body
            if not waiting or time.monotonic() > end:
                break
            self.tell(f"{len(asked) - len(waiting)} of {len(asked)} devices have answered")
        return replies

    def _push(self, requests: Mapping[DeviceId, bytes], deadline_s: float) -> dict[str, DeviceId]:
        """Send requests in small groups. Return who was sent which message."""
        asked: dict[str, DeviceId] = {}
        devices = list(requests)
        for start in range(0, len(devices), _PUSHED_AT_ONCE):
            group = devices[start : start + _PUSHED_AT_ONCE]
            names = self._grid.push_messages(
                [self._message(device, requests[device], deadline_s) for device in group]
            )
            # Flower has no name for a message it did not take: that device has just gone
            asked |= {name: who for name, who in zip(names, group, strict=False) if name}
        return asked

    def _pull(self, waiting: Collection[str]) -> Iterator[list[Message]]:
        """Yield replies as they come, and at least every 0.4 s, for what is still waited for."""
        if self._lanes:
            return _pull_in_lanes(self._look, waiting, self._lanes)
        return _pull_here(self._look, waiting)

    def _look(self, names: Collection[str]) -> list[Message]:
        """Return the replies to these messages that are there."""
        return list(self._grid.pull_messages(sorted(names)))

    @staticmethod
    def _message(device: DeviceId, blob: bytes, deadline_s: float) -> Message:
        """Wrap a request; its life ends with the exchange, so no device answers a dead round."""
        content = RecordDict({RECORD: ConfigRecord({FIELD: blob})})
        return Message(content, _node(device), "query", ttl=deadline_s + 1.0)


Look = Callable[[Collection[str]], list[Message]]


def _pull_here(look: Look, waiting: Collection[str]) -> Iterator[list[Message]]:
    """Look for everything at once, in this thread."""
    wait_s = _FIRST_WAIT_S
    while waiting:
        came = look(waiting)
        yield came
        if waiting and not came:
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def _pull_in_lanes(look: Look, waiting: Collection[str], lanes: int) -> Iterator[list[Message]]:
    """Look for each reply alone, a few at once.

    A look that finds a reply whose sender died while uploading it waits for the rest, up to three
    minutes, and with it whatever else that look has found. So no two replies share a look, and one
    that hangs holds no lane. Its thread is a daemon: it does not keep the process from ending.
    """
    done: SimpleQueue[tuple[str, list[Message] | Exception]] = SimpleQueue()
    due_s = dict.fromkeys(waiting, time.monotonic() + _FIRST_LOOK_S)
    began_s: dict[str, float] = {}  # looks under way

    def look_for(name: str) -> None:
        try:
            done.put((name, look([name])))
        except Exception as err:  # raised again where the exchange is
            done.put((name, err))

    while waiting:
        now_s = time.monotonic()
        free = lanes - sum(now_s - begin_s < _HANGS_S for begin_s in began_s.values())
        ready = sorted((n for n in waiting if n not in began_s), key=lambda n: due_s[n])
        for name in ready[: max(free, 0)]:
            if due_s[name] <= now_s:
                began_s[name] = now_s
                Thread(target=look_for, args=(name,), daemon=True).start()
        next_s = min((due_s[n] for n in waiting if n not in began_s), default=now_s + 1.0)
        try:
            name, came = done.get(timeout=min(max(next_s - now_s, _FIRST_WAIT_S), _LONGEST_WAIT_S))
        except Empty:
            yield []
            continue
        if isinstance(came, Exception):
            raise came
        del began_s[name]
        due_s[name] = time.monotonic() + max(_NEXT_LOOK_S, len(waiting) / _LOOKS_PER_S)
        yield came


def _device(node: int) -> DeviceId:
    """Return a node as a device: Flower counts nodes without a sign, databases and arrays with."""
    return DeviceId(node - _NODES if node >= _NODES // 2 else node)


def _node(device: DeviceId) -> int:
    """Undo _device."""
    return device % _NODES


def _body(message: Message) -> bytes | None:
    """Return the bytes a reply carries; None if it is not a reply of ours."""
    record = message.content.config_records.get(RECORD)
    body = None if record is None else record.get(FIELD)
    return body if isinstance(body, bytes) else None


def drive_from_config(transport: GridTransport, context: Context) -> None:
    """Drive the campaign whose settings file the run configuration names."""
    from coordinator.pulse import Pulse
    from coordinator.service import LOG_FILE, CoordinatorSettings, drive

    config = context.run_config.get("config")
    if not isinstance(config, str) or not config:
        raise SettingsError("the run has no config: start it with 'fieldvote coordinator serve'")
    log = Path(CoordinatorSettings.load(Path(config)).folder) / LOG_FILE

    def say(line: str) -> None:
        with log.open("a", encoding="utf-8") as said:
            said.write(f"{line}\n")

    pulse = Pulse(say)
    transport.tell = lambda line: pulse.waiting(f"waiting for replies: {line}")
    try:
        drive(Path(config), transport, pulse, courier=transport.apart())
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

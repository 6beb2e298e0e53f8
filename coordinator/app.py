"""The Flower ServerApp: a thin driver that lends a Grid to the scheduler.

Flower's own ``send_and_receive`` sleeps three seconds between looks; this loop pushes, pulls in
short steps, and keeps its own deadline. Payloads travel as one bytes field, so a reply is one
object.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

from fieldvote.errors import SettingsError
from fieldvote.records import DeviceId

RECORD, FIELD = "fieldvote", "message"
_LONGEST_WAIT_S = 0.4
_NODES = 1 << 64


class GridTransport:
    """Reaches devices through a Flower Grid: node ids are device ids."""

    def __init__(self, grid: Grid) -> None:
        """Use this grid for every exchange."""
        self._grid = grid

    def devices(self) -> tuple[DeviceId, ...]:
        """Return the nodes that are connected now."""
        return tuple(sorted(_device(node) for node in self._grid.get_node_ids()))

    def exchange(
        self, requests: Mapping[DeviceId, bytes], *, deadline_s: float
    ) -> Mapping[DeviceId, bytes]:
        """Push every request, pull until all have answered or the deadline is over."""
        waiting = set(
            self._grid.push_messages(
                [self._message(device, blob, deadline_s) for device, blob in requests.items()]
            )
        )
        replies: dict[DeviceId, bytes] = {}
        end, wait_s = time.monotonic() + deadline_s, 0.01
        while waiting:
            came = list(self._grid.pull_messages(sorted(waiting)))
            waiting -= {message.metadata.reply_to_message_id for message in came}
            for message in came:
                body = None if message.has_error() else _body(message)
                if body is not None:
                    replies[_device(message.metadata.src_node_id)] = body
            if time.monotonic() > end:
                break
            if waiting and not came:
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        return replies

    @staticmethod
    def _message(device: DeviceId, blob: bytes, deadline_s: float) -> Message:
        """Wrap a request; its life ends with the exchange, so no device answers a dead round."""
        content = RecordDict({RECORD: ConfigRecord({FIELD: blob})})
        return Message(content, _node(device), "query", ttl=deadline_s + 1.0)


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
    from coordinator.service import drive
    from coordinator.superlink import SAID

    config = context.run_config.get("config")
    if not isinstance(config, str) or not config:
        raise SettingsError("the run has no config: start it with 'fieldvote coordinator serve'")
    drive(Path(config), transport, lambda line: print(SAID + line, flush=True))


def build_server_app(drive: Callable[[GridTransport, Context], None]) -> ServerApp:
    """Return a ServerApp that drives a campaign over its grid."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        drive(GridTransport(grid), context)

    return app


app = build_server_app(drive_from_config)

"""The Flower ClientApp: a thin door that hands sealed bytes to the agent and back.

In a deployment Flower runs this in a process of its own, so it holds no item and no key: it
forwards over the agent's Unix socket, named in the node's configuration as ``socket``. A rehearsal
puts agents behind the same app.
"""

from collections.abc import Callable
from pathlib import Path

from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from edge.asking import ask
from edge.flower.objects import FIELD, RECORD, REFUSED
from fieldvote.errors import FieldvoteError, SettingsError, WireError

Door = Callable[[Context], Callable[[bytes], bytes]]
"""A node's context to the function that answers for its device."""


def build_client_app(door: Door) -> ClientApp:
    """Return a ClientApp that answers through this door."""
    app = ClientApp()

    @app.query()
    def query(message: Message, context: Context) -> Message:
        try:
            reply = door(context)(_request_in(message))
        except FieldvoteError as err:
            return Message(Error(REFUSED, f"{type(err).__name__}: {err}"), reply_to=message)
        return Message(RecordDict({RECORD: ConfigRecord({FIELD: reply})}), reply_to=message)

    return app


def _request_in(message: Message) -> bytes:
    """Return the bytes a message carries.

    Raises:
        WireError: it carries none.
    """
    record = message.content.get(RECORD)
    request = record.get(FIELD) if isinstance(record, ConfigRecord) else None
    if not isinstance(request, bytes):
        raise WireError(f"the message field is {type(request).__name__}, not bytes")
    return request


def socket_door(context: Context) -> Callable[[bytes], bytes]:
    """Return the function that asks the agent on this node."""
    path = context.node_config.get("socket")
    if not isinstance(path, str) or not path:
        raise SettingsError("the node has no socket: start it with --node-config 'socket=\"PATH\"'")
    return lambda request: ask(Path(path), request)


app = build_client_app(socket_door)

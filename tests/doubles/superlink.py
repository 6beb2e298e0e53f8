"""The other side of the fleet protocol in memory, written with Flower's own messages and objects.

It keeps Flower's rules where they matter to a device: a message is handed out once, a reply is
taken once for each message and only from whom it was sent to, and every call must be signed by a
clock that is right.
"""

import base64
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import ConfigRecord, Message, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import (
    inflate_object_from_contents,
    validate_object_content,
)

FLEET = "/v1/fleet/"
REQUESTS = {
    "register-node": fleet_pb2.RegisterNodeFleetRequest,
    "activate-node": fleet_pb2.ActivateNodeRequest,
    "deactivate-node": fleet_pb2.DeactivateNodeRequest,
    "send-node-heartbeat": heartbeat_pb2.SendNodeHeartbeatRequest,
    "pull-messages": fleet_pb2.PullMessagesRequest,
    "pull-object": message_pb2.PullObjectRequest,
    "confirm-message-received": message_pb2.ConfirmMessageReceivedRequest,
    "push-messages": fleet_pb2.PushMessagesRequest,
    "push-object": message_pb2.PushObjectRequest,
}


class RefusedError(Exception):
    """What the SuperLink says no with."""

    def __init__(self, status: int, code: int) -> None:
        self.status, self.code = status, code


@dataclass
class SuperLinkDouble:
    """A SuperLink with one run."""

    open_to_all: bool = True
    clock_off_s: float = 0.0
    run_over: bool = False
    nodes: dict[bytes, int] = field(default_factory=dict)
    online: set[int] = field(default_factory=set)
    waiting: list[Any] = field(default_factory=list)
    uploading: dict[str, int] = field(default_factory=dict)  # looks until an object is there
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: dict[str, Message] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)  # by the message they reply to
    trees: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    faults: dict[str, list[RefusedError | None]] = field(default_factory=dict)
    sessions: int = 0
    pending: dict[str, set[str]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    port: int = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def send(self, body: object, *, kind: str = "query", ttl: float = 60.0, late: int = 0,
             content: RecordDict | None = None) -> str:  # fmt: skip
        """Put a message to the only node in its place; return its name."""
        if content is None:
            content = RecordDict({"fieldvote": ConfigRecord({"message": body})})  # type: ignore[dict-item]  # wrong types are sent on purpose
        (node,) = self.nodes.values()
        metadata = Metadata(
            run_id=7, message_id="", src_node_id=1, dst_node_id=node, reply_to_message_id="",
            group_id="", created_at=time.time(), ttl=ttl, message_type=kind,
        )  # fmt: skip
        message = make_message(metadata, content)
        name = message.object_id
        metadata.__dict__["_message_id"] = name
        parts = {key: part.deflate() for key, part in get_all_nested_objects(message).items()}
        with self.lock:
            self.objects |= parts
            self.uploading |= dict.fromkeys(parts, late)
            self.asked[name] = message
            slim = message_to_proto(remove_content_from_message(message))
            self.waiting.append((slim, get_object_tree(message)))
        return name

    def reply_to(self, name: str) -> Message | None:
        """Return a whole reply, as the coordinator would read it; None while parts are missing."""
        if name not in self.answers:
            return None
        reply = self.answers[name].metadata.message_id
        names = [each.object_id for each in iterate_object_tree(self.trees[reply])]
        if not all(each in self.objects for each in names):
            return None
        message = inflate_object_from_contents(reply, {n: self.objects[n] for n in names})
        assert isinstance(message, Message)
        return message

    def answer(self, call: str, headers: Any, body: bytes) -> Any:
        """Do what a call asks for."""
        with self.lock:
            self.calls.append(call)
            faults = self.faults.get(call)
            fault = faults.pop(0) if faults else None
            if fault is not None:
                raise fault
            request = REQUESTS[call].FromString(body)
            self._authenticate(headers, request)
            return getattr(self, "_" + call.replace("-", "_"))(request)

    def _authenticate(self, headers: Any, request: Any) -> None:
        pem = base64.b64decode(headers["flwr-public-key"])
        stamp, signature = headers["flwr-timestamp"], base64.b64decode(headers["flwr-signature"])
        age_s = time.time() + self.clock_off_s - datetime.fromisoformat(stamp).timestamp()
        key = serialization.load_pem_public_key(pem)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        try:
            key.verify(signature, stamp.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise RefusedError(401, 0) from None
        claimed = getattr(request, "public_key", None)
        if claimed is None:
            node = request.node.node_id if hasattr(request, "node") else request.node_id
            known = self.nodes.get(pem) == node
        else:
            known = claimed == pem
        if not -5 < age_s < 305 or not known:
            raise RefusedError(401, 0)

    def _register_node(self, request: Any) -> Any:
        if not self.open_to_all:
            raise RefusedError(412, 2001)
        self.nodes.setdefault(request.public_key, 2**63 + len(self.nodes))
        return fleet_pb2.RegisterNodeFleetResponse(node_id=self.nodes[request.public_key])

    def _activate_node(self, request: Any) -> Any:
        node = self.nodes.get(request.public_key)
        if node is None or node in self.online or request.heartbeat_interval < 10:
            raise RefusedError(412, 2004)
        self.online.add(node)
        return fleet_pb2.ActivateNodeResponse(node_id=node)

    def _deactivate_node(self, request: Any) -> Any:
        self.online.discard(request.node_id)
        return fleet_pb2.DeactivateNodeResponse()

    def _send_node_heartbeat(self, request: Any) -> Any:
        self.online.add(request.node.node_id)
        return heartbeat_pb2.SendNodeHeartbeatResponse(success=True)

    def _pull_messages(self, _: Any) -> Any:
        given, self.waiting = self.waiting[:1], self.waiting[1:]
        return fleet_pb2.PullMessagesResponse(
            messages_list=[one for one, _ in given], message_object_trees=[one for _, one in given]
        )

    def _pull_object(self, request: Any) -> Any:
        self._check_run()
        name = request.object_id
        self.uploading[name] = self.uploading.get(name, 0) - 1
        there = self.uploading[name] < 0
        return message_pb2.PullObjectResponse(
            object_found=name in self.objects,
            object_available=name in self.objects and there,
            object_content=self.objects.get(name, b"") if there else b"",
        )

    def _confirm_message_received(self, request: Any) -> Any:
        self._check_run()
        replies = self.trees.values()
        shared = {each.object_id for tree in replies for each in iterate_object_tree(tree)}
        for name in set(get_all_nested_objects(self.asked[request.message_object_id])) - shared:
            self.objects.pop(name, None)
        return message_pb2.ConfirmMessageReceivedResponse()

    def _push_messages(self, request: Any) -> Any:
        self._check_run()
        message = message_from_proto(request.messages_list[0])
        asked = self.asked[message.metadata.reply_to_message_id].metadata
        tree = request.message_object_trees[0]
        assert message.metadata.src_node_id == asked.dst_node_id == request.node.node_id
        assert message.metadata.dst_node_id == asked.src_node_id
        assert tree.object_id == message.metadata.message_id
        lasts = message.metadata.created_at + message.metadata.ttl
        assert message.metadata.ttl > 0
        assert abs(lasts - asked.created_at - asked.ttl) < 1e-3
        first = self.answers.setdefault(asked.message_id, request.messages_list[0])
        self.trees[tree.object_id] = tree
        self.sessions += 1
        session = str(self.sessions)
        wanted = []
        if first.metadata.message_id == tree.object_id:
            names = [each.object_id for each in iterate_object_tree(tree)]
            wanted = [name for name in names if name not in self.objects]
        self.pending[session] = set(wanted)
        return fleet_pb2.PushMessagesResponse(
            objects_to_push=wanted, session_id=session, results={tree.object_id: 0}
        )

    def _push_object(self, request: Any) -> Any:
        self._check_run()
        validate_object_content(request.object_content)
        stored = request.object_id in self.pending.get(request.session_id, ())
        if stored:
            self.pending[request.session_id].discard(request.object_id)
            self.objects[request.object_id] = request.object_content
        return message_pb2.PushObjectResponse(stored=stored)

    def _check_run(self) -> None:
        if self.run_over:
            raise RefusedError(403, 2007)


@contextmanager
def listening(double: SuperLinkDouble, context: ssl.SSLContext | None = None) -> Iterator[None]:
    """Serve a double on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, content = 200, b""
            try:
                content = double.answer(
                    self.path.removeprefix(FLEET), self.headers, body
                ).SerializeToString()
            except RefusedError as err:
                status, content = err.status, json.dumps({"code": err.code}).encode()
            if status == 0:  # the answer is lost with its connection
                self.close_connection = True
                return
            self.send_response_only(status)
            now = datetime.fromtimestamp(time.time() + double.clock_off_s, UTC)
            self.send_header("date", format_datetime(now, usegmt=True))
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", double.port), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # failed handshakes are what some tests are about
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    double.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

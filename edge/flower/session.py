"""A node's place in the fleet: joining, staying, and coming back.

::

    never joined ──join──> online ──no answer, refused──> retrying ──join──> online
                              └──────────stop──────────> stopped

Rules it keeps:

- A node that was here before comes back with a heartbeat under its old id. The SuperLink takes that
  at once; activating would be refused until the lease of the life before is over, 60 s after a
  crash.
- A refusal that says "not you" (HTTP 401) sends us back to joining; one that says "not this" is the
  caller's to deal with; anything else is tried again, ever more slowly, until the node is stopped.
- An operator sees one line for each reason, not one for each try.
"""

import random
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import TypeVar

from edge.flower.cadence import pause_s, retry_s
from edge.flower.fleet import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    Empty,
    Node,
    RegisterNodeFleetRequest,
    RegisterNodeFleetResponse,
    SendNodeHeartbeatRequest,
    SendNodeHeartbeatResponse,
)
from edge.flower.journal import Journal, NodeState, NodeStatus
from edge.flower.keys import Identity
from edge.flower.wire import FleetError, FleetWire
from fieldvote.errors import UnavailableError

HEARTBEAT_S = 30.0  # the lease is twice that
_EARLY_S = 5.0
_UNAUTHORIZED, _REFUSED_FOR_GOOD = 401, range(400, 500)
_ACTIVATION_FAILED = 2004

R = TypeVar("R")


class Session:
    """One node at one SuperLink. All but the heartbeat belongs to one thread."""

    def __init__(
        self,
        wires: Callable[[], FleetWire],
        identity: Identity,
        journal: Journal,
        *,
        say: Callable[[str], None],
        stop: Event,
        rng: random.Random | None = None,
    ) -> None:
        """Take what a node is made of; wires makes one connection for each thread."""
        self._wires = wires
        self._wire = wires()
        self._identity = identity
        self._journal = journal
        self._say = say
        self._stop = stop
        self._rng = rng or random.Random()  # noqa: S311  # jitter; nothing secret hangs on it
        self._status = NodeStatus()
        self._lost = Event()
        self._lost.set()  # the first call joins
        self._node_id = journal.node_id(identity.place) or 0

    @property
    def node(self) -> Node:
        """Who we are, as calls name it."""
        return Node(node_id=self._node_id)

    def run_heart(self) -> Thread:
        """Keep the lease in a thread of its own, so that no long handler loses it."""
        thread = Thread(target=self._beat_until_stopped, name="flower-heartbeat", daemon=True)
        thread.start()
        return thread

    def join(self) -> None:
        """Return once we are online.

        Raises:
            UnavailableError: the node was stopped first.
        """
        failures = 0
        while True:
            try:
                self._lost.clear()
                self._join_once()
                return self._online()
            except UnavailableError as err:
                failures += 1
                self.retry_after(self._line(err), failures)

    def calls(
        self, name: str, requests: Sequence[Callable[[Node], object]], reply: type[R]
    ) -> list[R]:
        """Return the answers to calls sent at once, however long it takes.

        Args:
            name: The call.
            requests: Each makes one, for the node we are at that moment.
            reply: What an answer is.

        Raises:
            FleetError: the SuperLink refused for good.
            UnavailableError: the node was stopped first.
        """
        failures = 0
        while True:
            try:
                if self._lost.is_set():
                    self.join()
                answers = self._wire.calls(name, [make(self.node) for make in requests], reply)
            except UnavailableError as err:
                if isinstance(err, FleetError) and err.status == _UNAUTHORIZED:
                    self._lost.set()
                elif isinstance(err, FleetError) and err.status in _REFUSED_FOR_GOOD:
                    raise
                failures += 1
                self.retry_after(self._line(err), failures)
            else:
                self._online()
                return answers

    def wait(self, silence_s: float, look_s: float = 0.0) -> None:
        """Wait until it is time to look for messages again."""
        self._stop.wait(pause_s(silence_s, self._rng, look_s=look_s))

    def retry_after(self, line: str, failures: int) -> None:
        """Remember and say what went wrong, and wait: longer for each failure in a row.

        Raises:
            UnavailableError: the node was stopped.
        """
        if not self._stop.is_set():
            self._move(NodeStatus(state=NodeState.RETRYING, reason=line, node_id=self._node_id))
        if self._stop.wait(retry_s(failures, self._rng)):
            raise UnavailableError("the node is stopping")

    def leave(self, timeout_s: float) -> None:
        """Go offline, if the SuperLink answers in time; the lease ends by itself otherwise."""
        wire = self._wires()
        try:
            if self._node_id and self._status.state is NodeState.ONLINE:
                request = DeactivateNodeRequest(node_id=self._node_id)
                wire.calls("deactivate-node", [request], Empty, timeout_s=timeout_s)
        except UnavailableError as err:
            self._say(f"left without a word: {err}")
        finally:
            wire.close()
            self._wire.close()
        self._move(NodeStatus(state=NodeState.STOPPED, node_id=self._node_id))

    def _join_once(self) -> None:
        """Come back under the old id, or ask for one."""
        if self._node_id:
            try:
                if self._beat(self._wire):
                    return
            except FleetError as err:
                if err.status not in _REFUSED_FOR_GOOD or err.clock:
                    raise
        self._node_id = self._activate()
        self._journal.keep_node_id(self._identity.place, self._node_id)

    def _activate(self) -> int:
        """Come online by our key; where anyone may, register it first."""
        key = self._identity.public_key
        request = ActivateNodeRequest(public_key=key, heartbeat_interval=HEARTBEAT_S)
        try:
            return self._wire.calls("activate-node", [request], ActivateNodeResponse)[0].node_id
        except FleetError as err:
            if err.code != _ACTIVATION_FAILED:
                raise
            try:
                self._wire.calls(
                    "register-node",
                    [RegisterNodeFleetRequest(public_key=key)],
                    RegisterNodeFleetResponse,
                )
            except FleetError as closed:
                raise err from closed  # only the operator registers here
        return self._wire.calls("activate-node", [request], ActivateNodeResponse)[0].node_id

    def _beat(self, wire: FleetWire) -> bool:
        """Send one heartbeat; return whether the SuperLink knows us."""
        request = SendNodeHeartbeatRequest(node=self.node, heartbeat_interval=HEARTBEAT_S)
        reply = SendNodeHeartbeatResponse
        return wire.calls("send-node-heartbeat", [request], reply, timeout_s=5.0)[0].success

    def hang_up(self) -> None:
        """Let go of the line; whoever calls has made the last call of this session's thread."""
        self._wire.close()

    def _beat_until_stopped(self) -> None:
        """Send heartbeats a little early, and say when we are not known any more."""
        wire = self._wires()
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            wait_s = (HEARTBEAT_S - _EARLY_S) * self._rng.uniform(0.7, 0.9)
            if self._status.state is not NodeState.ONLINE:
                wait_s = 1.0
                continue
            try:
                if not self._beat(wire):
                    self._lost.set()
            except FleetError:
                self._lost.set()
            except UnavailableError:
                wait_s = _EARLY_S
        wire.close()

    def _line(self, err: UnavailableError) -> str:
        """Return what the operator should read."""
        if isinstance(err, FleetError) and err.code == _ACTIVATION_FAILED:
            return (
                f"the SuperLink does not take this node's key; if it does not know it, run: "
                f"{self._identity.register} (if it does, it will within a minute)"
            )
        if isinstance(err, FleetError) and err.status == _UNAUTHORIZED and not err.clock:
            return "the SuperLink does not know this node any more; joining again"
        return str(err)

    def _online(self) -> None:
        """Remember that all is well."""
        self._move(NodeStatus(state=NodeState.ONLINE, node_id=self._node_id))

    def _move(self, status: NodeStatus) -> None:
        """Write down and say what has changed."""
        if status == self._status:
            return
        self._status = status
        match status.state:
            case NodeState.ONLINE:
                self._say(f"node {status.node_id} is online")
            case NodeState.RETRYING:
                self._say(f"retrying: {status.reason}")
        self._journal.keep_status(status)

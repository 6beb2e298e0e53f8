"""Bringing the campaign's signed task to devices that run another: piece by piece, and resuming.

It runs beside the rounds, in threads of its own, so that a device on a slow link holds nobody up.
Each device gets one piece at a time and the next only after the reply to the last; what it has said
it has is never sent again, whatever is lost, cut or started anew in between. A piece whose reply is
missing is asked after before anything else is sent.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread

from coordinator.transport import Transport, exchange, node_of
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.errors import InputError
from fieldvote.records import DeviceId, decode, encode
from fieldvote.task import Task
from privacy.sealing.roles import Role, Targets
from privacy.sealing.signed import reopen
from privacy.sealing.signed_task import check_task

LANES = 4
_SMALLEST, _FIRST, _LARGEST = 8 * 1024, 64 * 1024, 4 * 2**20
_QUICK_S, _SLOW_S = 15.0, 45.0
_SLOWEST_BYTES_S = 4000.0  # half of 64 kbit/s: a piece is late when it is slower than this
_PATIENCE_S, _LEAST_PATIENCE_S, _TIMES_EXPECTED = 60.0, 20.0, 6.0
_SILENCES = 5
_REST_S = 600.0
_TELL_S = 5.0
_LONGEST_REFUSAL = 200
_LARGE_BYTES = 32 * 1024  # what is larger is left out of a thin bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is delivered.

    Attributes:
        bundle: The packed task.
        name: What people call it.
        version: What it was signed as.
        thin: The same without its large files, which a device may have already; tried first.
    """

    bundle: Bundle
    name: str
    version: int = 0
    thin: Bundle | None = None

    @staticmethod
    def load(folder: Path, task: Task) -> "Parcel | None":
        """Pack a task folder, if it is signed.

        Raises:
            SignatureError: the targets are not about these files: no device would install them.
            TaskError: the folder cannot be read.
        """
        bundle = Bundle.load(folder)
        return None if bundle is None else Parcel.of(bundle, task.name)

    @staticmethod
    def of(bundle: Bundle, name: str) -> "Parcel":
        """Return a signed bundle of a task as it is delivered.

        Raises:
            SignatureError: the targets are not about these files: no device would install them.
        """
        files = unpack(bundle.content)
        # who may sign is for the devices to say: here the signer's own word is enough
        targets = reopen(files.pop(TARGETS_FILE), Targets, Role.TARGETS)
        check_task(targets.value, files, name)
        small = {path: held for path, held in files.items() if len(held) <= _LARGE_BYTES}
        thin = Bundle.of({**small, TARGETS_FILE: targets.blob}) if small != files else None
        version = targets.value.version
        return Parcel(bundle=bundle, name=f"{name} v{version}", version=version, thin=thin)

    @property
    def targets(self) -> bytes:
        """What its owner signed."""
        return unpack(self.bundle.content)[TARGETS_FILE]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much a device is sent at once: as much as its link carries in a quarter of a minute.

    A small piece costs round trips for little; a large one begins anew when its connection is cut,
    and where that happens too often for it, only a smaller one ever arrives.

    Attributes:
        size_bytes: Of a piece.
        expected_s: How long that should take; none before anything was seen.

    >>> Pace().after(3.0).size_bytes // 1024, Pace().after(None).size_bytes // 1024
    (128, 32)
    """

    size_bytes: int = _FIRST
    expected_s: float | None = None

    @property
    def deadline_s(self) -> float:
        """How long the reply to such a piece is waited for."""
        longest_s = _PATIENCE_S + self.size_bytes / _SLOWEST_BYTES_S
        if self.expected_s is None:
            return longest_s
        return min(longest_s, max(_LEAST_PATIENCE_S, _TIMES_EXPECTED * self.expected_s))

    def after(self, took_s: float | None) -> "Pace":
        """Return the next pace, after an exchange that took so long or, with None, was lost."""
        if took_s is None or took_s > _SLOW_S:
            return Pace(size_bytes=max(self.size_bytes // 2, _SMALLEST))
        if took_s < _QUICK_S:
            return Pace(size_bytes=min(self.size_bytes * 2, _LARGEST), expected_s=2 * took_s)
        return Pace(size_bytes=self.size_bytes, expected_s=took_s)


class Delivery:
    """Deliveries under way, each in a thread; others wait for one that is free."""

    def __init__(
        self,
        parcel: Parcel | None,
        courier: Callable[[], Transport],
        say: Callable[[str], None],
        *,
        lanes: int = LANES,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Deliver this over transports of our own.

        Args:
            parcel: The signed task; without one nothing is delivered, and that is said once.
            courier: Makes a transport for each thread.
            say: Takes the operator's lines; called from several threads.
            lanes: Devices that are served at once.
            now_s: A clock that only goes forward.
        """
        self._parcel, self._courier, self._say, self._now_s = parcel, courier, say, now_s
        self._waiting: SimpleQueue[DeviceId | None] = SimpleQueue()
        self._lanes, self._started = lanes, 0
        self._lock = Lock()
        self._held: set[DeviceId] = set()
        self._rests: dict[DeviceId, float] = {}
        self._told_s = -_TELL_S
        self._told_why = False
        self._stop = Event()

    def held(self) -> frozenset[DeviceId]:
        """Return the devices that are being served, wait for it, or rest after a refusal."""
        with self._lock:
            now_s = self._now_s()
            self._rests = {d: until_s for d, until_s in self._rests.items() if until_s > now_s}
            return frozenset(self._held | set(self._rests))

    def bring(self, devices: Collection[DeviceId]) -> None:
        """Begin to deliver to devices that run another task; return at once."""
        if self._parcel is None:
            if devices and not self._told_why:
                self._told_why = True
                self._say(
                    f"{len(devices)} devices run another task, and get none: sign the task folder"
                    " of this campaign, or install it on them"
                )
            return
        for device in sorted(set(devices) - self.held()):
            with self._lock:
                self._held.add(device)
            self._waiting.put(device)
            if self._started < self._lanes:
                self._started += 1
                Thread(target=self._serve, args=(self._parcel,), daemon=True).start()

    def close(self) -> None:
        """Send nothing more; an exchange under way ends by itself."""
        self._stop.set()
        for _ in range(self._started):
            self._waiting.put(None)

    def _serve(self, parcel: Parcel) -> None:
        """Serve one device after the other."""
        transport = self._courier()
        while (device := self._waiting.get()) is not None:
            rests = True
            try:
                rests = not self._deliver(transport, device, parcel)
            except Exception as err:  # a grid that has lost its run ends the rounds, not this
                if not self._stop.is_set():
                    self._say(
                        f"device {node_of(device)}: delivery broken off ({type(err).__name__})"
                    )
            finally:
                with self._lock:
                    self._held.discard(device)
                    if rests:
                        self._rests[device] = self._now_s() + _REST_S

    def _deliver(self, transport: Transport, device: DeviceId, parcel: Parcel) -> bool:
        """Send what is missing. Return whether to ask the device who it is; else it rests."""
        bundle = parcel.thin or parcel.bundle
        pace, have, silences, sent, began_at_s = Pace(), -1, 0, 0, self._now_s()
        while device in transport.devices() and not self._stop.is_set():
            # of what a device holds only the device knows: ask, at first and after any silence
            piece = bundle.content[have : have + pace.size_bytes] if have >= 0 else b""
            began_s, sent = self._now_s(), sent + len(piece)
            reply = self._exchange(transport, device, bundle, max(have, 0), piece, pace.deadline_s)
            if reply is None:
                pace, have, silences = pace.after(None), -1, silences + 1
                if silences == _SILENCES:
                    self._say(
                        f"device {node_of(device)}: silent, {parcel.name} is tried again later"
                    )
                    return False
                continue
            silences = 0
            if reply.missing and bundle is parcel.thin:
                bundle, have = parcel.bundle, -1  # the whole of it, from where that stopped
                continue
            if reply.refusal:
                self._say(
                    f"device {node_of(device)} takes no {parcel.name}: {_plain(reply.refusal)}"
                )
                return False
            if reply.installed:
                self._say(
                    f"device {node_of(device)} has installed {parcel.name}:"
                    f" {sent} bytes sent in {self._now_s() - began_at_s:.0f} s"
                )
                return True
            if sent > 2 * (bundle.size_bytes + (parcel.thin.size_bytes if parcel.thin else 0)):
                self._say(f"device {node_of(device)} loses what it was sent of {parcel.name}")
                return False
            if piece:
                pace = pace.after(self._now_s() - began_s)
            have = reply.have
            self._tell(
                f"device {node_of(device)}: {_megabytes(have, bundle)} of task {parcel.name}"
            )
        return True

    def _exchange(
        self,
        transport: Transport,
        device: DeviceId,
        bundle: Bundle,
        offset: int,
        piece: bytes,
        deadline_s: float,
    ) -> BundleReply | None:
        """Send one piece; return the reply, if one came that makes sense."""
        request = BundleRequest(
            bundle=bundle.name, size=bundle.size_bytes, offset=offset, content=piece
        )
        came = exchange(transport, {device: encode(request)}, deadline_s=deadline_s)
        try:
            reply = decode(came[device], BundleReply) if device in came else None
        except InputError:
            return None
        if reply is None or reply.bundle != bundle.name or not 0 <= reply.have <= bundle.size_bytes:
            return None
        return reply

    def _tell(self, line: str) -> None:
        """Say how far a delivery is, unless another was told of just now."""
        with self._lock:
            due = self._now_s() - self._told_s >= _TELL_S
            if due:
                self._told_s = self._now_s()
        if due:
            self._say(line)


def _megabytes(have: int, bundle: Bundle) -> str:
    """Return how much of a bundle is there."""
    return f"{have / 1e6:.1f} of {bundle.size_bytes / 1e6:.1f} MB"


def _plain(sentence: str) -> str:
    """Return what a device says as it may stand in a log: one line, and not endless."""
    return "".join(char if char.isprintable() else "?" for char in sentence)[:_LONGEST_REFUSAL]

"""Asking devices one leg after the other, without waiting: a generator that yields until it knows.

Whoever drives it calls it again when there may be something new. A device that is away is asked
when it is back; asked again with the same bytes, it answers with the same bytes.
"""

from collections.abc import Callable, Generator, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from coordinator.transport import Transport
from fieldvote.records import DeviceId

Replies: TypeAlias = dict[DeviceId, bytes]
Asked: TypeAlias = Generator[None, None, Replies]

_LOOK_AGAIN = timedelta(seconds=1)  # for devices that were away


class Asker:
    """Asks over a transport.

    Attributes:
        wait_s: How long a look for replies may wait, set by whoever drives.
        down: Bytes sent so far.
        up: Bytes received so far.
    """

    def __init__(self, transport: Transport, now: Callable[[], datetime]) -> None:
        """Ask over this transport, by this clock."""
        self._transport, self._now = transport, now
        self.wait_s = 0.0
        self.down = 0
        self.up = 0

    def ask(self, requests: Mapping[DeviceId, bytes], *, patience_s: float) -> Asked:
        """Return what devices answer, when all have or when patience is over.

        A device that refuses is not waited for, nor are those that have left since they were asked,
        once they are all that is missing: who leaves a fleet politely is gone at once.
        """
        open_, came = dict(requests), Replies()
        tickets: dict[str, DeviceId] = {}
        looked: datetime | None = None
        gone = False
        until = self._now() + timedelta(seconds=patience_s)
        while open_:
            now = self._now()
            if looked is None or now - looked >= _LOOK_AGAIN:
                looked = now
                there = self.here()
                if gone and not there & set(open_) and len(tickets) == len(open_):
                    break
                gone = not there & set(open_)
                away = set(open_) - set(tickets.values())
                fresh = {device: open_[device] for device in sorted(away & there)}
                if fresh:
                    self.down += sum(len(blob) for blob in fresh.values())
                    tickets |= self._transport.push(fresh, ttl_s=patience_s)
            found = False
            for each in self._transport.pull(tuple(tickets), wait_s=self.wait_s) if tickets else ():
                if tickets.pop(each.ticket, None) != each.device:
                    continue
                found = True
                del open_[each.device]
                if each.reply is not None:
                    self.up += len(each.reply)
                    came[each.device] = each.reply
            if not open_ or self._now() >= until:
                break
            if not found:
                yield
        return came

    def pause(self, seconds: float) -> Generator[None, None, None]:
        """Return when so much time has passed."""
        until = self._now() + timedelta(seconds=seconds)
        while self._now() < until:
            yield

    def here(self) -> set[DeviceId]:
        """Return who can be reached now."""
        return set(self._transport.devices())

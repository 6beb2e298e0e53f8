from collections.abc import Collection, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.transport import Came, exchange
from fieldvote.records import DeviceId

ONE, TWO = DeviceId(1), DeviceId(2)


class Scripted:
    """A transport over which these things come, one look after the other; a look takes a second."""

    def __init__(self, *looks: list[Came]) -> None:
        self._looks = list(looks)
        self.now_s = 0.0

    def devices(self) -> tuple[DeviceId, ...]:
        return (ONE, TWO)

    def push(self, requests: Mapping[DeviceId, bytes], *, ttl_s: float) -> dict[str, DeviceId]:
        return {str(device): device for device in requests}

    def pull(self, tickets: Collection[str], *, wait_s: float) -> list[Came]:
        assert 0.0 <= wait_s <= 0.4
        assert tickets
        self.now_s += 1.0
        return self._looks.pop(0) if self._looks else []


def came(ticket: str, device: DeviceId, reply: bytes | None) -> Came:
    return Came(ticket=ticket, device=device, reply=reply)


def asked(*looks: list[Came], deadline_s: float = 9.0) -> tuple[dict[DeviceId, bytes], float]:
    """Ask two devices. Return the replies, and when that was over."""
    network = Scripted(*looks)
    replies = exchange(
        network, {ONE: b"", TWO: b""}, deadline_s=deadline_s, now_s=lambda: network.now_s
    )
    return replies, network.now_s


@pytest.mark.parametrize(
    ("looks", "replies", "took_s"),
    [
        ([[came("1", ONE, b"a"), came("2", TWO, b"b")]], {ONE: b"a", TWO: b"b"}, 1),
        ([[], [came("2", TWO, b"b")], [came("1", ONE, b"a")]], {ONE: b"a", TWO: b"b"}, 3),
        # who refused is not waited for, and who says it twice is heard once
        ([[came("1", ONE, None)], [came("2", TWO, b"b"), came("2", TWO, b"c")]], {TWO: b"b"}, 2),
        ([[came("1", TWO, b"in the name of one"), came("2", TWO, b"b")]], {TWO: b"b"}, 1),
        ([[came("3", ONE, b"nobody asked"), came("2", TWO, b"b")]], {TWO: b"b"}, 10),
        ([], {}, 10),
    ],
)
def test_an_exchange_is_over_with_the_last_ticket_or_the_deadline(
    looks: list[list[Came]], replies: dict[DeviceId, bytes], took_s: int
) -> None:
    assert asked(*looks) == (replies, took_s)


CAME = st.builds(
    came,
    st.sampled_from(["1", "2", "3"]),
    st.sampled_from([ONE, TWO]),
    st.none() | st.sampled_from([b"a", b"b"]),
)


@settings(deadline=None)
@given(st.lists(st.lists(CAME, max_size=3), max_size=12))
def test_whatever_comes_no_reply_is_another_devices_or_later_than_the_deadline(
    looks: list[list[Came]],
) -> None:
    replies, took_s = asked(*looks, deadline_s=5.0)
    assert took_s <= 6
    first: dict[str, Came] = {}
    for each in (each for look in looks[:6] for each in look):
        first.setdefault(each.ticket, each)
    for device, reply in replies.items():
        assert (first[str(device)].device, first[str(device)].reply) == (device, reply)


def test_an_exchange_with_nobody_asks_nobody() -> None:
    assert exchange(Scripted(), {}, deadline_s=1.0) == {}

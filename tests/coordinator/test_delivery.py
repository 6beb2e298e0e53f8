"""Deliveries: what a device has said it has is never sent again, whatever the network does."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.delivery import Delivery, Pace, Parcel
from fieldvote.bundle import Bundle
from fieldvote.delivery import CHUNK_LIMIT, BundleReply, BundleRequest
from fieldvote.errors import SignatureError, UnavailableError
from fieldvote.records import DeviceId, decode, encode
from tests.doubles.owner import OWNER
from tests.doubles.phones import NEW, Phone, news_of, owned
from tests.doubles.tasks import task_of, text_files, write_task
from tests.doubles.transport import MemoryTransport

ONE, TWO = DeviceId(1), DeviceId(2)


@dataclass(slots=True)
class Wire:
    """A device at the end of a bad line, and what was sent to it.

    Attributes:
        take: The device.
        fates: What becomes of each exchange in turn: fine, lost on the way, its reply lost, or
            carried twice. When they are over all is fine.
        sent: Every request that was sent.
        confirmed: The most the coordinator was told the device has.
        again: Bytes that were sent after the coordinator was told the device has them.
    """

    take: Callable[[BundleRequest], BundleReply]
    fates: Iterator[str] = field(default_factory=lambda: iter(()))
    sent: list[BundleRequest] = field(default_factory=list)
    confirmed: int = 0
    again: int = 0

    def __call__(self, blob: bytes) -> bytes:
        request = decode(blob, BundleRequest)
        self.sent.append(request)
        end = request.offset + len(request.content)
        self.again += max(0, min(self.confirmed, end) - request.offset)
        fate = next(self.fates, "fine")
        if fate == "lost":
            raise UnavailableError("the line was cut")
        for _ in range(2 if fate == "twice" else 1):
            reply = self.take(request)
        if fate == "reply lost":
            raise UnavailableError("the line was cut on the way back")
        self.confirmed = max(self.confirmed, reply.have)
        return encode(reply)


def parcel_of(bundle: Bundle) -> Parcel:
    return Parcel(bundle=bundle, name="offers v4")


def delivered(
    handlers: Mapping[DeviceId, Callable[[bytes], bytes]],
    parcel: Parcel | None,
    *,
    away: tuple[DeviceId, ...] = (),
) -> tuple[Delivery, list[str]]:
    """Deliver to every device that is there, and return when nobody is being served."""
    said: list[str] = []
    delivery = Delivery(parcel, lambda: MemoryTransport(handlers, away=set(away)), said.append)
    delivery.bring(list(handlers))
    end = time.monotonic() + 20
    while delivery._held and time.monotonic() < end:
        time.sleep(0.002)
    delivery.close()
    return delivery, said


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Phone]:
    made = Phone(tmp_path, tries=False)
    made.hear(news_of(owned(4)))  # hello has told it before anything is sent
    with closing(made.pool):
        yield made


FATES = st.lists(st.sampled_from(["fine", "lost", "reply lost", "twice"]), max_size=30)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(fates=FATES, pieces=st.integers(1, 3))
def test_a_bundle_arrives_over_a_line_that_loses_and_nothing_confirmed_is_sent_again(
    fates: list[str], pieces: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # never so many in a row that the coordinator gives up for now
    calm: list[str] = []
    for fate in fates:
        if "lost" not in fate or not all("lost" in last for last in (calm[-3:] or ["fine"])):
            calm.append(fate)
    phone = Phone(tmp_path_factory.mktemp("phone"), tries=False)
    bundle = Bundle.of({"filler": np.random.default_rng(1).bytes(pieces * 200_000)})
    wire = Wire(phone.arrivals.take, iter(calm))
    with closing(phone.pool):
        _, said = delivered({ONE: wire}, parcel_of(bundle))
        # it arrived as it was sent, and is no task: the device says so
        assert said[-1].startswith("device 1 takes no offers v4: ")
        assert "pinned" in said[-1]
    assert wire.again == 0
    # what was sent twice is at most the one piece whose fate was unknown, each time
    most = max(len(request.content) for request in wire.sent)
    lost = sum("lost" in fate for fate in calm)
    total = sum(len(request.content) for request in wire.sent)
    assert total <= bundle.size_bytes + lost * most
    assert most < CHUNK_LIMIT


def test_a_signed_task_is_installed_and_the_operator_is_told(phone: Phone) -> None:
    wire = Wire(phone.arrivals.take)
    delivery, said = delivered({ONE: wire}, parcel_of(owned(4)))
    size = owned(4).size_bytes
    assert said == [
        f"device 1: 0.0 of {size / 1e6:.1f} MB of task offers v4",
        f"device 1 has installed offers v4: {size} bytes sent in 0 s",
    ]
    assert phone.arrivals.installed
    assert delivery.held() == frozenset()  # so that it is asked who it is


def test_a_delivery_goes_on_where_another_run_or_coordinator_left_it(phone: Phone) -> None:
    phone.send(owned(4), 0, 700)
    wire = Wire(phone.arrivals.take)
    delivered({ONE: wire}, parcel_of(owned(4)))
    assert [request.offset for request in wire.sent] == [0, 700]
    assert wire.sent[0].content == b""


def test_a_device_that_has_it_is_asked_and_sent_nothing(phone: Phone) -> None:
    wire = Wire(phone.arrivals.take)
    _, said = delivered({ONE: wire}, parcel_of(owned(3)))
    assert said == ["device 1 has installed offers v4: 0 bytes sent in 0 s"]
    assert len(wire.sent) == 1


def test_a_device_that_refuses_is_not_asked_again_for_a_while() -> None:
    wire = Wire(lambda request: refusing(request, "no\nthank\tyou" + "!" * 500))
    delivery, said = delivered({ONE: wire}, parcel_of(owned(4)))
    assert said == ["device 1 takes no offers v4: no?thank?you" + "!" * 188]
    assert delivery.held() == {ONE}
    delivery.bring([ONE])
    assert len(wire.sent) == 1


def refusing(request: BundleRequest, reason: str) -> BundleReply:
    return BundleReply(bundle=request.bundle, have=0, installed=False, refusal=reason)


def test_a_device_that_is_silent_rests_and_one_that_has_gone_is_let_go() -> None:
    def never(_: bytes) -> bytes:
        raise UnavailableError("nobody")

    delivery, said = delivered({ONE: never, TWO: never}, parcel_of(owned(4)), away=(TWO,))
    assert said == ["device 1: silent, offers v4 is tried again later"]
    assert delivery.held() == {ONE}


@pytest.mark.parametrize(
    "strange",
    [
        lambda r: BundleReply(bundle=bytes(32), have=0, installed=True, refusal=""),
        lambda r: BundleReply(bundle=r.bundle, have=r.size + 1, installed=False, refusal=""),
        lambda r: BundleReply(bundle=r.bundle, have=-1, installed=False, refusal=""),
    ],
)
def test_a_reply_that_makes_no_sense_is_none(
    strange: Callable[[BundleRequest], BundleReply],
) -> None:
    _, said = delivered({ONE: Wire(strange)}, parcel_of(owned(4)))
    assert said == ["device 1: silent, offers v4 is tried again later"]


def test_a_device_that_keeps_losing_what_it_confirmed_is_not_sent_to_without_end() -> None:
    def forgetful(request: BundleRequest) -> BundleReply:
        return BundleReply(bundle=request.bundle, have=0, installed=False, refusal="")

    wire = Wire(forgetful)
    _, said = delivered({ONE: wire}, parcel_of(owned(4)))
    assert said[-1] == "device 1 loses what it was sent of offers v4"
    assert sum(len(request.content) for request in wire.sent) <= 4 * owned(4).size_bytes


def test_bytes_that_are_no_reply_are_no_reply() -> None:
    _, said = delivered({ONE: lambda _: b"rubbish"}, parcel_of(owned(4)))
    assert said == ["device 1: silent, offers v4 is tried again later"]


def test_an_error_of_the_grid_ends_one_delivery_and_not_the_thread() -> None:
    def broken(_: bytes) -> bytes:
        raise ConnectionError

    _, said = delivered({ONE: broken, TWO: broken}, parcel_of(owned(4)))
    assert sorted(said) == [
        f"device {number}: delivery broken off (ConnectionError)" for number in (1, 2)
    ]


def test_many_devices_are_served_by_a_few_threads(tmp_path: Path) -> None:
    phones = {}
    for number in range(1, 10):
        (tmp_path / f"{number}").mkdir()
        phones[DeviceId(number)] = Phone(tmp_path / f"{number}", tries=False)
        phones[DeviceId(number)].hear(news_of(owned(4)))
    _, said = delivered(
        {device: Wire(made.arrivals.take) for device, made in phones.items()}, parcel_of(owned(4))
    )
    assert sum("has installed" in line for line in said) == 9
    assert len(said) == 10  # who installs is told; how far they are, seldom
    for made in phones.values():
        assert made.digest() == task_of(NEW).digest
        made.pool.close()


def test_without_a_signed_task_nothing_is_delivered_and_that_is_said_once() -> None:
    wire = Wire(lambda request: refusing(request, ""))
    delivery, said = delivered({ONE: wire, TWO: wire}, None)
    delivery.bring([ONE])
    assert said == [
        "2 devices run another task, and get none: sign the task folder of this campaign, or"
        " install it on them"
    ]
    assert wire.sent == []
    assert delivery.held() == frozenset()


def test_a_parcel_is_what_was_signed_and_named_by_its_version(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "task", text_files())
    assert Parcel.load(folder, task_of(text_files())) is None
    OWNER.sign_task(folder, 12)
    parcel = Parcel.load(folder, task_of(text_files()))
    assert parcel is not None
    assert (parcel.name, parcel.bundle) == ("offers v12", Bundle.load(folder))
    (folder / "policy.toml").write_bytes(NEW["policy.toml"])
    with pytest.raises(SignatureError, match="not the one that was signed"):
        Parcel.load(folder, task_of(NEW))
    (folder / "targets.msgpack").write_bytes(b"")
    with pytest.raises(SignatureError):
        Parcel.load(folder, task_of(NEW))


def large(functions: bytes, model: bytes) -> dict[str, bytes]:
    """Return a task whose model is too large for a thin bundle."""
    return {**NEW, "functions.toml": functions, "model.onnx": model}


def test_a_file_the_device_has_is_not_sent_again(tmp_path: Path) -> None:
    model, said_before = bytes(200_000), NEW["functions.toml"]
    functions = said_before.replace(b"voucher", b"coupon")
    phone = Phone(tmp_path, tries=False)
    with closing(phone.pool):
        first = Parcel.of(OWNER.bundle(large(said_before, model), 4), "offers")
        phone.hear(news_of(first.bundle))
        _, said = delivered({ONE: Wire(phone.arrivals.take)}, first)
        assert "has installed offers v4" in said[-1]
        # the thin one was tried in vain, then all was sent
        sent = int(said[-1].split(" bytes")[0].split()[-1])
        assert first.thin is not None
        assert sent == first.bundle.size_bytes + first.thin.size_bytes
        second = Parcel.of(OWNER.bundle(large(functions, model), 5), "offers")
        phone.hear(news_of(second.bundle))
        phone.restart()
        wire = Wire(phone.arrivals.take)
        _, said = delivered({ONE: wire}, second)
        assert "has installed offers v5" in said[-1]
        assert sum(len(request.content) for request in wire.sent) < 5000
        assert Bundle.load(phone.task) == second.bundle
        # a file of the right name that is not the right one does not count as here
        third = Parcel.of(OWNER.bundle(large(functions, bytes(200_001)), 6), "offers")
        phone.hear(news_of(third.bundle))
        _, said = delivered({ONE: Wire(phone.arrivals.take)}, third)
        assert "has installed offers v6" in said[-1]
        assert Bundle.load(phone.task) == third.bundle


@settings(deadline=None, max_examples=60)
@given(st.lists(st.none() | st.floats(0.01, 300), max_size=30))
def test_a_pace_stays_within_its_bounds_and_waits_as_long_as_a_slow_link_needs(
    took: list[float | None],
) -> None:
    pace = Pace()
    for took_s in took:
        pace = pace.after(took_s)
        assert 8 * 1024 <= pace.size_bytes <= 4 * 2**20 < CHUNK_LIMIT
        assert 20 <= pace.deadline_s <= 60 + pace.size_bytes / 4000
        if pace.expected_s is not None:
            assert pace.deadline_s >= min(6 * pace.expected_s, pace.size_bytes / 8000)


def test_a_link_of_64_kbit_s_settles_at_pieces_of_128_kib() -> None:
    pace, sizes = Pace(), []
    for _ in range(6):
        sizes.append(pace.size_bytes // 1024)
        pace = pace.after(3.0 + pace.size_bytes / 8000)
    assert sizes == [64, 128, 128, 128, 128, 128]

"""Sums that are not there when their exchange is closed, and devices that come after them."""

from collections.abc import Callable, Iterator

import pytest

from coordinator.rounds.machine import Phase
from fieldvote.errors import UnavailableError
from fieldvote.records import REQUESTS, DeviceId, Request, SurveyRequest, decode
from fieldvote.summed_fields import question_of
from fieldvote.sums import SummedRequest, UnmaskRequest
from tests.coordinator.rounds.campaign import TASK, totals_of
from tests.coordinator.summing.fleets import Secure, make_fleet

_MOST_TURNS = 3000


@pytest.fixture(name="secure")
def _secure() -> Iterator[Secure]:
    campaign = Secure(make_fleet())
    yield campaign
    campaign.close()


def _until(campaign: Secure, over: Callable[[], bool]) -> None:
    for _ in range(_MOST_TURNS):
        if over():
            return
        if campaign.scheduler.turn() is not None:
            campaign.clock.sleep(1.0)
    raise AssertionError("it does not come to its end")


def _refusing(campaign: Secure, kind: type[Request], when: Callable[[], bool]) -> None:
    """Let every device refuse one kind of request for a while."""

    def handler(device: DeviceId) -> Callable[[bytes], bytes]:
        handle = campaign.agents[device].handle

        def refuses(request: bytes) -> bytes:
            if when() and isinstance(decode(request, *REQUESTS), kind):
                raise UnavailableError("not now")
            return handle(request)

        return refuses

    campaign.network.handlers = {device: handler(device) for device in campaign.agents}


def test_a_sum_that_is_opened_after_its_exchange_was_closed_is_counted(secure: Secure) -> None:
    held = [True]
    fitting = Phase.FITTING

    def when() -> bool:
        return held[0] and secure.scheduler.state.phase is fitting

    _refusing(secure, UnmaskRequest, when)
    _until(secure, lambda: secure.scheduler.state.phase is Phase.SNAPSHOT)
    assert "anchors" not in totals_of(secure.store)
    held[0] = False
    _until(secure, lambda: "anchors" in totals_of(secure.store))
    plain = Secure(make_fleet(task=TASK), task=TASK)
    _until(plain, lambda: plain.scheduler.state.phase is Phase.SNAPSHOT)
    for name in ("anchors", "labeled"):
        assert totals_of(secure.store)[name] == totals_of(plain.store)[name]
    plain.close()
    _until(secure, lambda: secure.scheduler.state.phase is Phase.DONE)
    _until(secure, lambda: not secure.store.overdue(5))
    assert not secure.parts.inbox.dropped


def test_a_device_that_comes_late_answers_what_is_beside_the_sum(secure: Secure) -> None:
    away = DeviceId(2)
    gone = [True]

    def when() -> bool:
        return gone[0]

    handle = secure.agents[away].handle
    seen: list[SummedRequest] = []

    def late(request: bytes) -> bytes:
        message = decode(request, *REQUESTS)
        if when() and isinstance(message, SummedRequest):
            raise UnavailableError("not now")
        if isinstance(message, SummedRequest):
            seen.append(message)
        return handle(request)

    secure.network.handlers = {**secure.network.handlers, away: late}
    _until(secure, lambda: secure.scheduler.state.phase is Phase.SELECTED)
    assert not [offer for offer in secure.store.offers(1) if offer.device == away]
    gone[0] = False
    _until(secure, lambda: any(offer.device == away for offer in secure.store.offers(1)))
    [asked] = [each for each in seen if isinstance(question_of(each), SurveyRequest)]
    assert asked.deposit is None
    assert not secure.fleet.pools[away].column("summed").any()

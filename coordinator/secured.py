"""What whoever asks over a transport needs to know of sums, whether it makes any or not."""

from collections.abc import Callable, Mapping
from datetime import datetime

from coordinator.store.campaign import Store
from coordinator.summing import Summing
from coordinator.transport import Transport
from fieldvote.cohort_policy import CohortPolicy
from fieldvote.records import DeviceId


def secured(
    transport: Transport,
    store: Store,
    policy: CohortPolicy,
    *,
    now: Callable[[], datetime],
    admits: Callable[[DeviceId], bool] = lambda _: True,
) -> Transport:
    """Return a transport over which sums are made as a task's policy asks for."""
    if not policy.secure:
        return transport
    return Summing(transport, store, policy, now=now, admits=admits)


def with_cohort(
    transport: Transport, requests: Mapping[DeviceId, bytes]
) -> Mapping[DeviceId, bytes]:
    """Return requests with the one for their sums, where this transport makes any."""
    return transport.with_cohort(requests) if isinstance(transport, Summing) else requests


def too_few(transport: Transport, requests: Mapping[DeviceId, bytes]) -> str:
    """Return why these requests cannot be answered over this transport; nothing if they can."""
    return transport.too_few(requests) if isinstance(transport, Summing) else ""


def standing(transport: Transport) -> str:
    """Return why sums are waited for, for people; nothing where none are, or nothing is wrong."""
    return transport.standing if isinstance(transport, Summing) else ""


def for_late(transport: Transport) -> Transport:
    """Return how devices are reached after an exchange was closed."""
    return transport.late() if isinstance(transport, Summing) else transport


def least_asked(transport: Transport) -> int:
    """Return how many devices must be asked at least for their answers to count."""
    return transport.policy.least_cohort if isinstance(transport, Summing) else 1

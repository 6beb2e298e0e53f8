"""Sharing a round's labels out: over classes that miss some of their quota, and over devices."""

from collections.abc import Mapping, Sequence

from coordinator.rounds.machine import RoundState
from coordinator.rounds.selection import FleetWishes
from coordinator.settings import CampaignSettings
from coordinator.steering_settings import AllocationSettings
from coordinator.steering_settings import ClassShare as ClassShare  # quotas are made of these
from fieldvote.errors import SettingsError, nearest

_DIGITS = 6


def check_classes(settings: CampaignSettings, classes: Sequence[str]) -> None:
    """Return if every class that has a quota is one of the task's.

    Raises:
        SettingsError: one is not.
    """
    for each in settings.allocation.classes:
        if each.name not in classes:
            raise SettingsError(
                f"allocation.classes: no class '{each.name[:64]}'; {nearest(each.name, classes)}"
            )


def aims_of(
    allocation: AllocationSettings,
    classes: Sequence[str],
    labels: Mapping[int, int],
    budget: int,
    drift: Sequence[float] = (),
) -> tuple[float, ...]:
    """Return the least share of a round's picks for each class; empty where none has one.

    Args:
        allocation: The quotas.
        classes: Names of the task's classes.
        labels: How many labels there are of each class.
        budget: How many the round may buy.
        drift: Shares that an alarm asks for; a class gets the larger of the two.

    >>> quota = AllocationSettings(classes=(ClassShare(name="rare", share=0.2),))
    >>> aims_of(quota, ["usual", "rare"], {0: 40}, 20)
    (0.0, 0.6)
    >>> aims_of(quota, ["usual", "rare"], {0: 40, 1: 20}, 20)
    ()
    """
    shares = [0.0] * len(classes)
    total = sum(labels.values()) + budget
    for each in allocation.classes:
        if each.name in classes and budget > 0:
            place = classes.index(each.name)
            missing = each.share * total - labels.get(place, 0)
            shares[place] = min(max(missing / budget, 0.0), 1.0)
    shares = [max(pair) for pair in zip(shares, drift or shares, strict=True)]
    scale = 10**_DIGITS * min(1.0 / max(sum(shares), 1e-9), 1.0)
    # rounded down: together they must not be more than all
    aims = tuple(int(share * scale) / 10**_DIGITS for share in shares)
    return aims if any(aims) else ()


def wishes_of(state: RoundState, settings: CampaignSettings) -> FleetWishes:
    """Return what a round's choice keeps to besides its budget.

    >>> wishes_of(RoundState(aims=(0.0, 0.5)), CampaignSettings(name="a")).class_shares
    {1: 0.5}
    """
    shares = {place: share for place, share in enumerate(state.aims) if share > 0}
    rule = settings.allocation
    return FleetWishes(
        class_shares=shares,
        per_device_floor=rule.per_device,
        per_device_most=rule.per_device_most,
    )

"""How many partners, how many keepers, which threshold: from exact bounds, never by feel.

Two random choices are made each epoch after it is settled who is corrupt: who masks with whom (each
device has `degree` partners) and who keeps shares (`keepers` of all devices). What can go wrong is
a hypergeometric tail, summed here in whole numbers:

========================================================================  =========
a device has so many corrupt partners that too few honest ones are left    security
the honest survivors fall into two parts with no mask between them         security
so many keepers are corrupt that two survivor sets could both be opened    security
a survivor has too few surviving partners                                  correctness
too few keepers survive                                                    correctness
========================================================================  =========

The first three together happen with at most 2⁻⁴⁰, the last two with at most 2⁻²⁰. In a small fleet
everybody masks with everybody and everybody is a keeper: nothing is left to chance.

Source: Bell et al. 2020, arXiv:2004.04567, section 3 (partners); Ma et al. 2023, IACR 2022/714
(keepers, there called decryptors).
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb

from fieldvote.errors import InputError

SECURITY_BITS = 40
CORRECTNESS_BITS = 20
COMPLETE_UP_TO = 32  # devices; below, a sparse graph would save next to nothing
MAX_DEVICES = 1 << 15  # seats are exact in the field and in the float64 matrices of shamir.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The sizes an epoch is run with.

    Attributes:
        degree: Partners of each device; even, or all others.
        least_partners: How many of them must be in a cohort, and in a survivor set.
        keepers: Devices that hold shares.
        threshold: Keepers that open a secret, and whose confirmation makes a survivor set valid.
    """

    degree: int
    least_partners: int
    keepers: int
    threshold: int

    def __post_init__(self) -> None:
        if not (1 <= self.least_partners <= self.degree and 1 <= self.threshold <= self.keepers):
            raise InputError(
                f"least partners {self.least_partners} of {self.degree} and threshold"
                f" {self.threshold} of {self.keepers} keepers do not fit"
            )


@lru_cache(maxsize=256)
def choose_parameters(
    devices: int, *, corrupt: int, gone: int, least_sum: int = 5, robust: bool = True
) -> Parameters:
    """Return the cheapest sizes for which every bound holds.

    Args:
        devices: All devices of the epoch.
        corrupt: How many of them may work with a curious or lying coordinator.
        gone: How many may vanish in one round.
        least_sum: Honest devices in the smallest sum that can ever be opened.
        robust: Whether the coordinator may lie about who survived.

    Raises:
        InputError: no sizes can keep the promise for so many corrupt and gone devices.

    >>> choose_parameters(10, corrupt=2, gone=3)
    Parameters(degree=9, least_partners=6, keepers=10, threshold=7)
    """
    if not 2 <= devices <= MAX_DEVICES or corrupt < 0 or gone < 0 or least_sum < 2:
        raise InputError(f"{devices} devices, {corrupt} corrupt, {gone} gone: not a fleet")
    if devices - gone < corrupt + least_sum:
        raise InputError(f"with {gone} of {devices} gone and {corrupt} corrupt no sum hides any")
    degree, least = _partners(devices, corrupt, gone, least_sum)
    keepers, threshold = _keepers(devices, corrupt, gone, robust)
    return Parameters(degree=degree, least_partners=least, keepers=keepers, threshold=threshold)


@lru_cache(maxsize=256)
def insecurity(
    devices: int, chosen: Parameters, *, corrupt: int, least_sum: int = 5, robust: bool = True
) -> Fraction:
    """Bound the chance that an epoch with these sizes protects somebody less than promised.

    What a device checks before it takes part: it knows how many may be corrupt from its own policy,
    and believes nobody else's arithmetic.

    >>> insecurity(10, choose_parameters(10, corrupt=2, gone=3), corrupt=2) == 0
    True
    """
    partners = devices * tail(
        devices - 1, corrupt, chosen.degree, chosen.least_partners - least_sum + 2
    )
    return partners + tail(devices, corrupt, chosen.keepers, _too_many(chosen, robust))


@lru_cache(maxsize=4096)
def tail(population: int, marked: int, drawn: int, least: int) -> Fraction:
    """Return the chance that at least so many of those drawn without replacement are marked.

    >>> tail(4, 2, 2, 2)
    Fraction(1, 6)
    """
    most = min(marked, drawn)
    start = max(least, 0, drawn + marked - population)
    if start > most:
        return Fraction(0)
    term = comb(marked, start) * comb(population - marked, drawn - start)
    total = term
    for hit in range(start, most):
        # exact: both sides of the division are products of binomials
        term = (
            term
            * ((marked - hit) * (drawn - hit))
            // ((hit + 1) * (population - marked - drawn + hit + 1))
        )
        total += term
    return Fraction(total, comb(population, drawn))


def disconnection(devices: int, degree: int, bad: int) -> Fraction:
    """Bound the chance that the good devices of a random ring fall apart.

    They do only if two runs of half the degree hold no good device; any two such runs are degree
    places, all bad.
    """
    if degree >= devices - 1:
        return Fraction(0)
    pairs = Fraction(devices * (devices - 1), 2)
    return pairs * Fraction(comb(bad, degree), comb(devices, degree))


def _too_many(chosen: Parameters, robust: bool) -> int:
    """Return how many corrupt keepers break the promise."""
    return 2 * chosen.threshold - chosen.keepers if robust else chosen.threshold


def _partners(devices: int, corrupt: int, gone: int, least_sum: int) -> tuple[int, int]:
    """Return degree and least number of partners."""
    risk = Fraction(1, 3 << SECURITY_BITS)
    failure = Fraction(1, 2 << CORRECTNESS_BITS)
    sparse = range(2, devices - 1, 2) if devices > COMPLETE_UP_TO else ()
    least = least_sum - 1
    for degree in (*sparse, devices - 1):
        while devices * tail(devices - 1, corrupt, degree, least - least_sum + 2) > risk:
            least += 1
        lost = devices * tail(devices - 1, gone, degree, degree - least + 1)
        if lost <= failure and disconnection(devices, degree, corrupt + gone) <= risk:
            return degree, least
    raise InputError(f"{devices} devices cannot hide {corrupt} corrupt with {gone} gone")


def _keepers(devices: int, corrupt: int, gone: int, robust: bool) -> tuple[int, int]:
    """Return how many keepers and their threshold."""
    risk = Fraction(1, 3 << SECURITY_BITS)
    failure = Fraction(1, 2 << CORRECTNESS_BITS)
    most = 0  # corrupt keepers to be reckoned with; like least above it only grows with the sample
    for keepers in range(1 if devices > COMPLETE_UP_TO else devices, devices + 1):
        while tail(devices, corrupt, keepers, most + 1) > risk:
            most += 1
        threshold = (keepers + most) // 2 + 1 if robust else most + 1
        if threshold <= keepers and (
            tail(devices, gone, keepers, keepers - threshold + 1) <= failure
        ):
            return keepers, threshold
    raise InputError(
        f"{devices} devices with {corrupt} corrupt and {gone} gone leave no threshold to trust"
    )

"""What epsilon buys and what it costs for this cohort, in words, before a campaign begins."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from privacy.dp.amounts import MICRO, probability, whole
from privacy.dp.mechanisms import plan_noise, sure_shares
from privacy.dp.policy import EVALUATION, HONEST_DEVICES, SUMMARIES, TRAINING, PrivacyPolicy, Unit
from privacy.dp.sensitivity import counted_once, of_unit, of_votes


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Who a campaign would ask.

    Attributes:
        devices: How many take part in a sum.
        records: How many records each of them has at most.
        functions: How many labeling functions vote.
        cap: How many of them count on one record.
        width: How many inputs the head has.
        missing_share: Part of the devices that may drop out of a sum.
        corrupt_share: Part of them that may tell their noise to whoever sees the sum.
    """

    devices: int
    records: int
    functions: int
    cap: int = 5
    width: int = 256
    missing_share: float = 0.1
    corrupt_share: float = 0.1

    def __post_init__(self) -> None:
        for name in ("devices", "records", "functions", "width"):
            whole(name, getattr(self, name), least=1)
        whole("cap", self.cap, least=1)
        for name in ("missing_share", "corrupt_share"):
            if getattr(self, name):
                probability(name, getattr(self, name))

    @property
    def items(self) -> int:
        """How many records the whole cohort has at most."""
        return self.devices * self.records

    @property
    def shares(self) -> int:
        """How many draws of noise are sure."""
        return sure_shares(
            cohort=self.devices,
            missing=math.ceil(self.devices * self.missing_share),
            corrupt=math.ceil(self.devices * self.corrupt_share),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a policy means for a cohort.

    Attributes:
        guess: How often somebody is right at best who sees everything that is released and must say
            whether a unit took part, where both were equally likely.
        vote_error: Typical error of the rate at which two functions agree, from noise alone; 1 is
            all of it. None where the policy gives votes no share.
        accuracy_error: Typical error of a measured accuracy, from noise alone.
        hidden: Directions of the head's inputs which hold less than this part of the records are
            hidden by the noise; above 1 / width, the average one is.
        advised: Whether the campaign is worth running so.
        lines: All of it as sentences.
    """

    guess: float
    vote_error: float | None
    accuracy_error: float | None
    hidden: float | None
    advised: bool
    lines: tuple[str, ...]


def explain(policy: PrivacyPolicy, cohort: Cohort) -> Explanation:
    """Return what a policy buys and costs, each kind of sum released once.

    >>> found = explain(PrivacyPolicy(), Cohort(devices=100, records=200, functions=10))
    >>> print(found.lines[0])
    Protects one record of one device: epsilon 4 with delta 1e-06 over the whole campaign.
    >>> print(found.lines[2])
    Votes: a rate over all 20,000 records is off by 0.1 points.
    """
    budgets = policy.micro_rho_by_kind
    guess = _best_guess(policy.micro_rho)
    votes = _noise(policy, cohort, budgets.get(SUMMARIES, 0), of_votes(cohort.cap), _pairs(cohort))
    counts = _noise(policy, cohort, budgets.get(EVALUATION, 0), counted_once(), 4)
    entries = cohort.width * (cohort.width + 1) // 2
    gram = _noise(policy, cohort, budgets.get(TRAINING, 0), _HEAD_LENGTH, entries)
    vote_error = None if votes is None else votes / cohort.items
    accuracy_error = None if counts is None else counts / max(cohort.items / 10.0, 1.0)
    # A symmetric matrix of noise reaches 2 stddev sqrt(width) in every direction (Wigner).
    hidden = None if gram is None else 2.0 * gram / _HEAD_STEPS * math.sqrt(cohort.width)
    hidden = None if hidden is None else hidden / cohort.items
    advised = policy.unit is Unit.RECORD or cohort.devices >= HONEST_DEVICES
    return Explanation(
        guess=guess,
        vote_error=vote_error,
        accuracy_error=accuracy_error,
        hidden=hidden,
        advised=advised,
        lines=tuple(_lines(policy, cohort, guess, vote_error, accuracy_error, hidden)),
    )


# In steps of which 7 make the unit of the Gram matrix, one record whose inputs have length 1 moves
# it and the cross products by 34, squared (strategies.aggregation.private_ridge).
_HEAD_LENGTH, _HEAD_STEPS = 34, 7


def _lines(
    policy: PrivacyPolicy,
    cohort: Cohort,
    guess: float,
    vote_error: float | None,
    accuracy_error: float | None,
    hidden: float | None,
) -> Iterator[str]:
    """Yield the sentences."""
    unit = "record" if policy.unit is Unit.RECORD else "device"
    yield (
        f"Protects {policy.unit.value}: epsilon {policy.epsilon:g} with delta {policy.delta:g} "
        "over the whole campaign."
    )
    yield (
        f"Whoever sees every sum and bets on one {unit} being in is right in {100 * guess:.0f} of "
        "100 cases at most; without noise in all of them."
    )
    if vote_error is not None:
        yield (
            f"Votes: a rate over all {cohort.items:,} records is off by "
            f"{100 * vote_error:.1f} points."
        )
    if accuracy_error is not None:
        yield (
            "Evaluation: an accuracy measured on a tenth of the records is off by "
            f"{100 * accuracy_error:.1f} points."
        )
    if hidden is not None:
        yield (
            "Training: the noise hides directions of the inputs that hold less than "
            f"{100 * hidden:.1f} % of the records, of which there are {cohort.width}; more records "
            "bring that down in proportion."
        )
    if policy.unit is Unit.DEVICE and cohort.devices < HONEST_DEVICES:
        yield (
            f"Not advised: {cohort.devices} devices cannot hide one of themselves and still say "
            f"something; it takes about {HONEST_DEVICES:,}. Protect records instead, or switch "
            "epsilon off and rely on sums over many devices, which are then exact."
        )


def _noise(
    policy: PrivacyPolicy, cohort: Cohort, micro_rho: int, l2_squared: int, length: int
) -> float | None:
    """Return the standard deviation of each number of a sum, where all devices' draws arrive."""
    if not micro_rho:
        return None
    moved = of_unit(l2_squared, unit=policy.unit, records=cohort.records)
    shares = cohort.shares
    plan = plan_noise(micro_rho, l2_squared=moved, length=length, shares=shares)
    return plan.stddev * math.sqrt(cohort.devices / shares)


def _pairs(cohort: Cohort) -> int:
    """Return how many numbers a vote summary has."""
    return 1 + cohort.functions**2


def _best_guess(micro_rho: int) -> float:
    """Return the best balanced accuracy: half of one plus half the distance of the two worlds.

    The divergence of the two is at most rho nats, and their distance at most sqrt(rho / 2)
    (Pinsker), or sqrt(1 - exp(-rho)) where that is less (Bretagnolle and Huber).
    """
    rho = micro_rho / MICRO
    return 0.5 + 0.5 * min(math.sqrt(rho / 2.0), math.sqrt(-math.expm1(-rho)))

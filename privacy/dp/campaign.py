"""What a campaign releases under a privacy policy, what each release costs, and its noise.

Device and coordinator both work this out from the signed policy, so that neither can name a price:

==============  ============  =======================================================  ==========
statistic       of the share  what is summed                                           released
==============  ============  =======================================================  ==========
``moments``     1/5           length and direction of embeddings, bounded              once
``votes``       2/5           votes of the functions, their pairs, and how many voted  once
``anchors``     2/5           votes on answered items, by the answer                   each round
``gram``        1/4           products of every record's inputs                        once
``cross``       3/4           inputs times what the head gets wrong                    each round
``evaluation``  1             right and wrong on items that are never trained on       each round
``arrivals``    1             histograms of items that are in none yet                 each round
==============  ============  =======================================================  ==========

Where whole devices are hidden it releases less, as each number must hide all that a device has:
``update``, a head trained on the device, for all that training may cost, and ``verdict``, right and
wrong as ``evaluation`` counts them, cut to a length that no device passes.

Of records, the first three share what summaries may cost, the next two what training may. What is
released each round grows by three tenths from round to round, for sixteen rounds: early heads have
seen few labels, and what their noise spoils the later ones mend. Releases of an unchanged pool are
charged one by one and add up. ``arrivals`` are apart: a record is in those of one round and never
again, so all rounds together tell of it what the dearest of them does, and that is what they cost.

Source: McSherry 2009, "Privacy integrated queries", SIGMOD, theorem 4 (parallel composition).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType

from fieldvote.errors import InputError, LedgerSpentError, RefusalError, nearest
from fieldvote.privacy_policy import PrivacySettings
from privacy.dp.amounts import whole
from privacy.dp.mechanisms import NoisePlan, plan_noise
from privacy.dp.policy import EVALUATION, SUMMARIES, TRAINING, WATCH, PrivacyPolicy, Unit

_GROWTH = Fraction(13, 10)
_GROWING = 15  # turns after the first; were it for good, nothing would be left for early rounds
_PARTS_PER = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What a statistic takes of its kind's budget.

    Attributes:
        kind: Whose budget it is.
        part: Which part of that.
        again: Whether it is released in every round; else once.
        unit: Whom it can hide.
        apart: Whether no record is in two of its releases.
    """

    kind: str
    part: Fraction
    again: bool
    unit: str = "record"
    apart: bool = False


_SHARES: Mapping[str, _Share] = MappingProxyType(
    {
        "moments": _Share(kind=SUMMARIES, part=Fraction(1, 5), again=False),
        "votes": _Share(kind=SUMMARIES, part=Fraction(2, 5), again=False),
        "anchors": _Share(kind=SUMMARIES, part=Fraction(2, 5), again=True),
        "gram": _Share(kind=TRAINING, part=Fraction(1, 4), again=False),
        "cross": _Share(kind=TRAINING, part=Fraction(3, 4), again=True),
        "evaluation": _Share(kind=EVALUATION, part=Fraction(1), again=True),
        "arrivals": _Share(kind=WATCH, part=Fraction(1), again=True, apart=True),
        "update": _Share(kind=TRAINING, part=Fraction(1), again=True, unit="device"),
        "verdict": _Share(kind=EVALUATION, part=Fraction(1), again=True, unit="device"),
    }
)
STATISTICS = tuple(_SHARES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one release may cost, and which share of a budget it is taken from."""

    kind: str
    micro_rho: int


def policy_of(settings: PrivacySettings) -> PrivacyPolicy:
    """Return what the signed policy promises.

    Raises:
        InputError: the policy hides nobody.

    >>> policy_of(PrivacySettings(unit="record")).micro_rho
    311064
    """
    if not settings.on:
        raise InputError("the policy adds no noise: its sums are exact")
    split = settings.split
    parts = {
        TRAINING: split.training,
        SUMMARIES: split.summaries,
        EVALUATION: split.evaluation,
    } | ({WATCH: split.watch} if split.watch else {})
    return PrivacyPolicy(
        unit=Unit.RECORD if settings.unit == "record" else Unit.DEVICE,
        epsilon=settings.epsilon,
        delta=settings.delta,
        # rounded down: parts that add up to 1 as floats add up to no more than 1 here
        shares={kind: Fraction(int(part * _PARTS_PER), _PARTS_PER) for kind, part in parts.items()},
    )


def is_repeated(about: str) -> bool:
    """Return whether a statistic is released in every round.

    Raises:
        InputError: there is no such statistic.
    """
    if about not in _SHARES:
        raise InputError(f"no statistic '{about}': {nearest(about, STATISTICS)}")
    return _SHARES[about].again


def is_apart(about: str) -> bool:
    """Return whether no record is in two releases of a statistic: the dearest is what all cost.

    Raises:
        InputError: there is no such statistic.
    """
    is_repeated(about)
    return _SHARES[about].apart


def price_of(settings: PrivacySettings, about: str, turn: int) -> Price:
    """Return what a release may cost.

    Args:
        settings: The policy's.
        about: Which statistic.
        turn: Which of the releases of it, from 0.

    Raises:
        LedgerSpentError: so many releases are not in the budget.
        InputError: there is no such statistic, or turn is no whole number.
        RefusalError: it hides somebody else than the policy promises to, or is not to leave.

    >>> price_of(PrivacySettings(unit="record"), "gram", 0)
    Price(kind='training', micro_rho=38883)
    >>> price_of(PrivacySettings(unit="record", rounds=2), "cross", 1)
    Price(kind='training', micro_rho=65932)
    """
    again, share = is_repeated(about), _SHARES[about]
    if share.unit != settings.unit:
        raise RefusalError(f"{about} hides one {share.unit}, the policy one {settings.unit}")
    whole("turn", turn)
    turns = settings.rounds if again else 1
    if turn >= turns:
        raise LedgerSpentError(
            f"the budget is for {turns} releases of {about}, and this would be number {turn + 1}"
        )
    if share.kind not in _budgets(settings):
        raise RefusalError(f"the policy lets no {about} leave: privacy.split.{share.kind} is 0")
    budget = _budgets(settings)[share.kind] * share.part
    if share.apart:
        return Price(kind=share.kind, micro_rho=int(budget))
    part = _grown(turn) / sum(_grown(one) for one in range(turns))
    return Price(kind=share.kind, micro_rho=int(budget * part))


def shares_of(settings: PrivacySettings, *, secure: bool) -> int:
    """Return how many draws of noise are sure to be in a sum.

    Args:
        settings: The policy's.
        secure: Whether nobody sees a single reply. Where somebody may, a share of the noise would
            hide nothing from him: against a coordinator every device then adds all of it.
    """
    return settings.sure if secure or settings.against == "outsiders" else 1


def plan_of(
    settings: PrivacySettings,
    about: str,
    turn: int,
    *,
    l2_squared: int,
    length: int,
    secure: bool,
) -> NoisePlan:
    """Return the noise that a release holds, and in which steps it is counted.

    Args:
        settings: The policy's.
        about: Which statistic.
        turn: Which of the releases of it, from 0.
        l2_squared: Squared length by which one record moves the sum.
        length: How many numbers it has.
        secure: Whether nobody sees a single reply.

    Raises:
        LedgerSpentError, InputError: as price_of does.
    """
    price = price_of(settings, about, turn)
    return _planned(price.micro_rho, l2_squared, length, shares_of(settings, secure=secure))


def planned_spending(settings: PrivacySettings, rounds: int) -> int:
    """Return what so many rounds cost at most, in micro-rho.

    >>> planned_spending(PrivacySettings(unit="record"), 0)
    0
    >>> planned_spending(PrivacySettings(unit="record"), 8) <= 311064
    True
    """
    turns = min(rounds, settings.rounds)
    return sum(
        price_of(settings, about, turn).micro_rho
        for about, share in _SHARES.items()
        if share.unit == settings.unit and share.kind in _budgets(settings)
        for turn in range(turns if share.again and not share.apart else min(turns, 1))
    )


def _grown(turn: int) -> Fraction:
    """Return what a turn may cost, over what the first may."""
    return _GROWTH ** min(turn, _GROWING)


@lru_cache(maxsize=8)
def _budgets(settings: PrivacySettings) -> Mapping[str, int]:
    """Return what each kind may cost; the search behind it is worth keeping."""
    return policy_of(settings).micro_rho_by_kind


@lru_cache(maxsize=64)
def _planned(micro_rho: int, l2_squared: int, length: int, shares: int) -> NoisePlan:
    """Return the noise of a price; every device of a rehearsal asks for the same."""
    return plan_noise(micro_rho, l2_squared=l2_squared, length=length, shares=shares)

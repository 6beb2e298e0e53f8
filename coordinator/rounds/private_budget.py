"""Privacy as a campaign's budget: what it buys, what is spent, and when no round is planned."""

from collections.abc import Iterator
from math import sqrt

from coordinator.rounds.private_sums import PrivateLeg, plan_for
from fieldvote.privacy_policy import PrivacySettings
from fieldvote.task import Task
from privacy.dp import Accountant
from privacy.dp.campaign import planned_spending, policy_of, shares_of
from privacy.dp.explanation import Cohort, explain
from strategies.aggregation.clipping import STEPS
from strategies.aggregation.private_steps import CROSS_L2_SQUARED

_RECORDS = 100  # of a device that nobody has asked, in what is said before a campaign


def spent_reason(privacy: PrivacySettings, rounds: int) -> str:
    """Return why no round is planned after so many; nothing if one may be.

    >>> spent_reason(PrivacySettings(unit="record", rounds=2), 2)
    'the privacy budget is spent: epsilon 4 was for 2 rounds (privacy.rounds)'
    """
    if not privacy.on or rounds < privacy.rounds:
        return ""
    return (
        f"the privacy budget is spent: epsilon {privacy.epsilon:g} was for {privacy.rounds} rounds"
        " (privacy.rounds)"
    )


def short_reason(task: Task, devices: int) -> str:
    """Return why so few training devices cannot sum anything; nothing if they can.

    Args:
        task: Its policy says among how many the noise is divided.
        devices: How many training devices are there.
    """
    privacy = task.policy.privacy
    if not privacy.on:
        return ""
    least = shares_of(privacy, secure=task.policy.cohort.secure)
    if devices >= least:
        return ""
    return (
        f"the noise of a sum is divided among devices of which {least} are sure, and {devices}"
        " training devices are there: start more, or name a smaller privacy.cohort"
    )


def spent_epsilon(privacy: PrivacySettings, rounds: int) -> float:
    """Return what a device that took part in so many rounds has spent at most, at delta."""
    spent = planned_spending(privacy, rounds)
    return Accountant(micro_rho=spent).epsilon(delta=privacy.delta)


def privacy_rows(task: Task, *, rounds: int, devices: int) -> dict[str, str]:
    """Return what a campaign's status says of sums with noise in them.

    Args:
        task: What it is about, its policy above all.
        rounds: How many have begun.
        devices: How many train.
    """
    privacy, cohort = task.policy.privacy, task.policy.cohort
    spent = spent_epsilon(privacy, rounds)
    rows = {
        "sums": in_words(privacy, secure=cohort.secure),
        "epsilon": (
            f"{spent:.2f} of {privacy.epsilon:g} spent after {rounds} of {privacy.rounds} rounds,"
            f" {max(privacy.epsilon - spent, 0.0):.2f} left (delta {privacy.delta:g})"
        ),
        "outside_epsilon": "offers, shipped candidates and what people answer",
        "calibration": "none: how sure a head is would be one more release of the judged records",
    }
    return rows | {"privacy": " ".join(explained(task, devices=devices or privacy.cohort))}


def in_words(privacy: PrivacySettings, *, secure: bool) -> str:
    """Return who adds which noise to sums, and whom it holds against."""
    unit = f"noised, one {privacy.unit} is hidden"
    if shares_of(privacy, secure=secure) == 1:
        return f"{unit} from whoever sees a single reply: every device adds all of the noise"
    if secure:
        return f"{unit} from the coordinator too: nobody sees less than a sum"
    return (
        f"{unit} from whoever sees sums and heads, not from the coordinator, which sees single"
        " replies with a share of the noise"
    )


def explained(task: Task, *, devices: int, records: int = _RECORDS) -> tuple[str, ...]:
    """Return what epsilon buys and costs for a fleet, before it is asked for anything.

    Args:
        task: The task.
        devices: How many devices train.
        records: How many records each has, about.
    """
    privacy = task.policy.privacy
    cohort = Cohort(
        devices=max(devices, 1),
        records=records,
        functions=max(len(task.functions), 1),
        cap=privacy.cap_votes,
        missing_share=privacy.dropouts,
        corrupt_share=privacy.corrupt,
    )
    said = explain(policy_of(privacy), cohort)
    # how much privacy is bought hangs on the policy alone, what it costs on the campaign's releases
    advice = said.lines[-1:] if not said.advised else ()
    return (*said.lines[:2], *_costs(task, max(devices, 1), records), *advice)


def _costs(task: Task, devices: int, records: int) -> Iterator[str]:
    """Yield what the noise of each release is, as people read it."""
    privacy, items, last = task.policy.privacy, devices * records, task.policy.privacy.rounds - 1
    if privacy.unit == "device":
        share = _stddev(task, "update", last, devices) / STEPS / devices
        yield (
            f"Training: in the last of {privacy.rounds} rounds, noise on each weight of the mean"
            f" update is {100 * share:.1f} % of the longest update."
        )
        return
    if task.functions:
        votes = _stddev(task, "votes", 0, devices) / items
        yield (
            f"Votes: a rate over all {items:,} records ({records} on a device) is off by"
            f" {100 * votes:.2g} points."
        )
    first, late = (_stddev(task, "evaluation", turn, devices) for turn in (0, last))
    tenth = max(items / 10, 1.0)
    yield (
        "Evaluation: an accuracy measured on a tenth of the records is off by"
        f" {100 * first / tenth:.2g} points in the first of {privacy.rounds} rounds, by"
        f" {100 * late / tenth:.2g} in the last."
    )
    if privacy.split.watch:
        yield (
            "Watch: noise on each count of the items that are new in a round is as large as"
            f" {_stddev(task, 'arrivals', 0, devices):.0f} of them; more must move to be seen."
        )
    unit = sqrt(CROSS_L2_SQUARED)
    first, late = (_stddev(task, "cross", turn, devices) / unit for turn in (0, last))
    yield (
        "Training: on each number that a head is made from, noise is as large as what"
        f" {first:.0f} labelled records say together in the first round, and {late:.0f} in the"
        " last; noise does not shrink where labels are few. Deeper layers are not trained."
    )


def _stddev(task: Task, about: str, turn: int, devices: int) -> float:
    """Return the noise on each number of a sum over so many devices, in its own unit."""
    plan = plan_for(task, PrivateLeg(about=about, turn=turn))
    return sqrt(plan.noise.share_variance * devices) / plan.steps

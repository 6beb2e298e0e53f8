"""What people see of how sure a head is, where it errs, and how wanted a round's offers were."""

from collections.abc import Sequence

import numpy as np

from coordinator.rounds.asked import is_mark
from coordinator.rounds.calibrating import calibrations, judged, why_not
from coordinator.rounds.events import Evaluated, Selected
from coordinator.rounds.selection import is_blank, unpack_offers
from coordinator.store.campaign import Store
from fieldvote.records import ARM_CHOSEN
from strategies.calibration_sums import Calibration

Row = dict[str, str | int | float]
_TREND = 3  # rounds
_CLASSES = 6  # those with the most errors, where there are more
_TOP_SCORE = 65535


def calibration_rows(event: Evaluated) -> Row:
    """Return whether a head's probabilities are true, and how unsure it is once they are."""
    if not event.calibration:
        return {}
    if reason := why_not(event):
        return {"calibration": f"none: {reason}"}
    new, *before = calibrations(event)
    counts = judged(event)
    rows: Row = {"calibration": calibration_told(new, float(np.trace(counts) / counts.sum()))}
    if before:
        rows["uncertainty"] = uncertainty_told(new, before[0])
    return rows


def calibration_told(found: Calibration, accuracy: float) -> str:
    """Return what a temperature mends, in words.

    >>> found = Calibration(
    ...     items=212, temperature=0.6, log_loss=0.41, calibrated_log_loss=0.33,
    ...     confidence=0.7, calibrated_confidence=0.84, entropy=0.4,
    ... )
    >>> calibration_told(found, accuracy=0.86)
    'temperature 0.6, log loss 0.41 -> 0.33, 70 % sure -> 84 % where 86 % are right, on 212 items'
    """
    sure, better = 100 * found.confidence, 100 * found.calibrated_confidence
    return (
        f"temperature {found.temperature:.2g}, log loss {found.log_loss:.2f} ->"
        f" {found.calibrated_log_loss:.2f}, {sure:.0f} % sure -> {better:.0f} % where"
        f" {100 * accuracy:.0f} % are right, on {found.items} items"
    )


def uncertainty_told(new: Calibration, before: Calibration) -> str:
    """Return how much surer than the one before a head is, each at its own temperature."""
    was, now = before.entropy, new.entropy
    share = f" ({100 * (now - was) / was:+.0f} %)" if was > 0 else ""
    return f"{was:.2f} -> {now:.2f} nats{share}, the head before and this one on the same items"


def errors_told(events: Sequence[Evaluated], classes: Sequence[str]) -> str:
    """Return the share of errors by class over the last rounds; empty where nothing was judged.

    Args:
        events: How the heads of these rounds were judged, oldest first.
        classes: Their names.

    >>> rounds = [
    ...     Evaluated(round=n, held_out=counts, random_arm=())
    ...     for n, counts in ((1, (6, 4, 0, 9)), (2, (9, 1, 3, 6)))
    ... ]
    >>> errors_told(rounds, ("no", "yes"))
    'yes: 0 -> 33 %, no: 40 -> 10 %'
    """
    trends = []
    told = [judged(event) for event in events[-_TREND:]]
    for place, name in enumerate(classes):
        rows = [(int(row.sum()), int(row[place])) for row in (counts[place] for counts in told)]
        # counts that hold noise may be below zero
        shares = [100 * max(items - right, 0) / items for items, right in rows if items > 0]
        if shares:
            line = " -> ".join(f"{share:.0f}" for share in shares)
            trends.append((-shares[-1], f"{name}: {line} %"))
    trends.sort(key=lambda each: each[0])
    more = [f"and {len(trends) - _CLASSES} classes with less"] if len(trends) > _CLASSES else []
    return ", ".join([*(line for _, line in trends[:_CLASSES]), *more])


def scores_told(store: Store, event: Selected) -> str:
    """Return how the scores of ranked offers lie, and of those that were chosen; empty for none."""
    chosen = {bytes.fromhex(item) for item in event.items}
    offers = [
        offer
        for offer in unpack_offers(store.artifact(event.considered))
        if offer.arm == ARM_CHOSEN and not (is_blank(offer) or is_mark(offer))
    ]
    if not offers:
        return ""
    said = [f"{len(offers)} offered, {_quartiles([offer.score for offer in offers])}"]
    if picked := [offer.score for offer in offers if offer.item in chosen]:
        said.append(f"{len(picked)} chosen, {_quartiles(picked)}")
    return "; ".join(said)


def _quartiles(scores: Sequence[int]) -> str:
    """Return the least score, the quartiles and the most, as shares of the highest there is.

    >>> _quartiles([0, 65535])
    '0.00 0.25 0.50 0.75 1.00'
    """
    cut = np.quantile(np.array(scores) / _TOP_SCORE, (0, 0.25, 0.5, 0.75, 1))
    return " ".join(f"{each:.2f}" for each in cut)

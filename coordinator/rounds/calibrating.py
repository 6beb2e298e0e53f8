"""How sure a round's head is, and whether that is true: from its evaluation to the next survey.

Judged are items that never train: those of held-out devices, and half of the random arm. Their sums
say how sure the head is, and the head before, at temperatures that make both true. Surveys
may be sent the head with its temperature, so that devices score what it says at that.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coordinator.models.shelf import Shelf
from coordinator.rounds.campaign import CampaignState
from coordinator.rounds.events import Evaluated
from coordinator.rounds.judging import LegSums
from coordinator.settings import CampaignSettings
from fieldvote.heads import HeadModel
from strategies.calibration_sums import (
    LEAST_CLASSES,
    LEAST_ITEMS,
    Calibration,
    CalibrationSums,
    calibration_of,
    length_of,
)


def evaluated(
    number: int, sums: LegSums, classes: int, *, trace: str = "", fates: tuple[int, ...] = ()
) -> Evaluated:
    """Return the event that tells how a head was judged, by the sums of its evaluation.

    Args:
        number: The round.
        sums: Confusion counts, then calibration sums where it was calibrated.
        classes: k.
        trace: Digest of which function taught it what.
        fates: What became of what the head before knew.
    """
    cells = classes * classes
    event = Evaluated(
        round=number,
        held_out=tuple(sums.held_out[:cells].tolist()),
        random_arm=tuple(sums.random_arm[:cells].tolist()),
        trace=trace,
        fates=fates,
        calibration=tuple((sums.held_out[cells:] + sums.random_arm[cells:]).tolist()),
    )
    found = calibrations(event)
    plain = not found or found[0].temperature == 1.0
    return event if plain else replace(event, temperature=found[0].temperature)


def calibrations(event: Evaluated) -> tuple[Calibration, ...]:
    """Return how sure a head is, then the one before if it was asked too; nothing of too little.

    A few items, or one class alone, would call any head that is right on them too modest.
    """
    if not event.calibration or why_not(event):
        return ()
    heads = 1 if len(event.calibration) == length_of(1) else 2
    sums = CalibrationSums.from_vector(np.array(event.calibration, dtype=np.int64), heads=heads)
    return tuple(calibration_of(sums, head) for head in range(heads))


def why_not(event: Evaluated) -> str:
    """Return what a head is judged on too little for; empty where it is enough.

    >>> why_not(Evaluated(round=1, held_out=(9, 1, 0, 3), random_arm=(), calibration=(13,)))
    '13 items are judged, and it takes 20'
    >>> why_not(Evaluated(round=1, held_out=(30, 0, 0, 0), random_arm=(), calibration=(30,)))
    'all 30 items that are judged are of one class'
    """
    items = event.calibration[0] if event.calibration else 0
    if items < LEAST_ITEMS:
        return f"{items} items are judged, and it takes {LEAST_ITEMS}"
    if np.count_nonzero(judged(event).sum(axis=1)) < LEAST_CLASSES:
        return f"all {items} items that are judged are of one class"
    return ""


def scored_by(
    campaign: CampaignState, shelf: Shelf, settings: CampaignSettings
) -> HeadModel | None:
    """Return the head that devices rank their items by, at its temperature if so set.

    None before the first head. A network is taken at its word: it is not known what else would
    bring.
    """
    if not campaign.model:
        return None
    model = shelf.get(campaign.model)
    makers = [state for state in campaign.rounds.values() if state.model == campaign.model]
    if len(model.deep) or not (makers and settings.calibration.scores):
        return model
    newest = max(makers, key=lambda state: state.number)
    return replace(model, temperature=newest.temperature)


def judged(event: Evaluated) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return all confusion counts of an evaluation. Shape (k, k)."""
    parts: Sequence[tuple[int, ...]] = [each for each in (event.held_out, event.random_arm) if each]
    total = np.array(parts, dtype=np.int64).sum(axis=0)
    classes = round(len(total) ** 0.5)
    return np.asarray(total.reshape(classes, classes))

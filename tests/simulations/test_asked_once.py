"""Campaigns over fleets whose devices hold the same things, or next to nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import coordinator.rounds.steps as steps
from coordinator.rounds.asked import is_mark
from coordinator.rounds.selection import FLEET, grant
from coordinator.settings import CampaignSettings
from coordinator.store.rows import StoredOffer
from fieldvote.records import ARM_CHOSEN
from simulations import Report, Scenario, run
from simulations.population import populate

GROUPS, COPIES, DEVICES = 24, 4, 8


def rehearsed(
    folder: Path, rows: NDArray[np.float64], labels: NDArray[np.int64], device: NDArray[np.int64]
) -> Scenario:
    """Return a short rehearsal of these rows, whose inputs stay what they are."""
    file = folder / "rows.npz"
    np.savez(file, X=rows, y=labels, device=device)
    return Scenario(
        name="rows", data=str(file), rounds=4, online_share=0.7, labels_per_device=2, exchanges=4
    )


def asked_of(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> tuple[Report, list[list[StoredOffer]], list[StoredOffer]]:
    """Return what a rehearsal comes to, what each of its rounds granted, and all that it saw."""
    granted: list[list[StoredOffer]] = []
    seen: list[StoredOffer] = []

    def watched(
        offers: list[StoredOffer], settings: CampaignSettings, **options: object
    ) -> list[StoredOffer]:
        chosen = grant(offers, settings, **options)  # type: ignore[arg-type]  # as given
        if settings.strategy == FLEET:  # and not the twin that draws at random
            granted.append(chosen)
            seen.extend(offers)
        return chosen

    monkeypatch.setattr(steps, "grant", watched)
    report = run(scenario, seed=1, paired=False)
    return report, granted, seen


def places(scenario: Scenario) -> dict[bytes, int]:
    """Return which row each item is."""
    population = populate(scenario, 1)
    return {
        item: row
        for device in range(population.dataset.devices)
        for row, item in zip(
            np.flatnonzero(population.dataset.device == device).tolist(),
            population.item_ids(device),
            strict=True,
        )
    }


def test_of_copies_on_other_devices_one_is_asked_whichever_rounds_they_are_offered_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    kinds = rng.standard_normal((GROUPS, 48))
    group = np.repeat(np.arange(GROUPS), COPIES)
    rows = kinds[group] + 0.08 * rng.standard_normal((len(group), 48))
    # copies differ in their labels: no head is ever sure of what was asked
    labels = rng.integers(0, 2, len(group))
    device = np.concatenate([rng.permutation(DEVICES)[:COPIES] for _ in range(GROUPS)])
    # a seed is shown again by its device: here all are there in every round
    scenario = replace(rehearsed(tmp_path, rows, labels, device), online_share=1.0)
    _, granted, seen = asked_of(scenario, monkeypatch)
    row_of = places(scenario)
    asked, again = set[int](), 0
    for chosen in granted:
        for offer in chosen:
            kind = int(group[row_of[offer.item]])
            # what is drawn by lot is drawn by lot, copies and all
            again += offer.arm == ARM_CHOSEN and kind in asked
            asked.add(kind)
    assert again == 0
    # there are fewer kinds than the budget would have paid for, and all that could be are asked
    assert len(asked) >= 20
    assert any(is_mark(offer) for offer in seen)


ROWS = np.random.default_rng(0).standard_normal((80, 4))
SIDES = (ROWS[:, 0] > 0).astype(np.int64)


@pytest.mark.parametrize(
    ("rows", "labels", "devices", "per_device"),
    [
        pytest.param(np.ones((80, 4)), SIDES, 8, 2, id="duplicates-only"),
        pytest.param(ROWS[:16], SIDES[:16], 8, 8, id="budgets-above-the-pools"),
        pytest.param(ROWS, (np.arange(80) == 0).astype(np.int64), 8, 2, id="one-class"),
    ],
)
def test_a_campaign_ends_well_on_a_fleet_that_has_next_to_nothing_to_ask(
    rows: NDArray[np.float64],
    labels: NDArray[np.int64],
    devices: int,
    per_device: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scenario = rehearsed(tmp_path, rows, labels, np.arange(len(rows)) % devices)
    scenario = replace(scenario, rounds=3, labels_per_device=per_device)
    report, granted, _ = asked_of(scenario, monkeypatch)
    items: Sequence[bytes] = [offer.item for chosen in granted for offer in chosen]
    assert len(set(items)) == len(items)
    assert len(report.curve) == 3
    assert all(np.isfinite(point.metric) for point in report.curve)
    if len(np.unique(rows, axis=0)) == 1:
        assert not [o for chosen in granted for o in chosen if o.arm == ARM_CHOSEN]

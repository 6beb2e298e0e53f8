"""Many histograms, one alarm: quiet fleets stay quiet, a change anywhere is seen at once."""

import numpy as np
import pytest
from numpy.typing import NDArray

from strategies.arrivals import Layout, count_arrivals
from strategies.drift import DriftRule
from strategies.drift_panel import TOGETHER, Panel

CLASSES, WIDTH, DEVICES = 3, 8, 24
LAYOUT = Layout(classes=CLASSES, functions=2)
RULE = DriftRule(odds=500.0)
QUIET = 50


class Fleet:
    """Devices with habits and mixes of classes of their own; items come to each in every round."""

    def __init__(self, seed: int, devices: int = DEVICES) -> None:
        self.rng, self.devices = np.random.default_rng(seed), devices
        self.means = 2.0 * np.eye(CLASSES + 1, WIDTH)
        self.means[CLASSES] *= 1.5
        self.habits = 0.3 * self.rng.normal(size=(devices, WIDTH))
        self.mixes = self.rng.dirichlet(np.full(CLASSES, 2.0), size=devices)
        self.way = self.rng.normal(size=WIDTH)

    def round(self, *, shift: float = 0.0, new: float = 0.0) -> NDArray[np.int64]:
        """Count six new items of every device."""
        return sum(
            (self._of(device, shift, new) for device in range(self.devices)),
            start=np.zeros(LAYOUT.length, dtype=np.int64),
        )

    def _of(self, device: int, shift: float, new: float) -> NDArray[np.int64]:
        classes = self.rng.choice(CLASSES, size=6, p=self.mixes[device])
        classes[self.rng.random(6) < new] = CLASSES
        rows = self.means[classes] + self.habits[device] + 0.8 * self.rng.normal(size=(6, WIDTH))
        rows += shift * self.way
        scores = rows @ self.means[:CLASSES].T - 2.0
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        return count_arrivals(
            LAYOUT,
            probabilities=shares / shares.sum(axis=1, keepdims=True),
            votes=np.where(rows[:, :2] > 1.2, 0, -1).astype(np.int8),
            standard=(rows - 0.7) / 1.1,
            seed=3,
        )


def watched(fleet: Fleet, rounds: int, panel: Panel | None = None, **change: float) -> list[Panel]:
    seen = [panel or Panel.over(LAYOUT)]
    for _ in range(rounds):
        seen.append(seen[-1].saw(fleet.round(**change), RULE))
    return seen[1:]


@pytest.mark.parametrize("seed", range(3))
def test_fifty_quiet_rounds_raise_at_most_one_alarm(seed: int) -> None:
    assert sum(bool(panel.fired) for panel in watched(Fleet(seed), QUIET)) <= 1


@pytest.mark.parametrize("change", [{"shift": 0.5}, {"new": 0.4}], ids=["shift", "new class"])
@pytest.mark.parametrize("seed", range(3))
def test_a_change_is_seen_within_two_rounds_and_alarms_once(
    seed: int, change: dict[str, float]
) -> None:
    fleet = Fleet(seed)
    quiet = watched(fleet, 25)
    assert not quiet[-1].alarmed
    after = watched(fleet, 6, quiet[-1], **change)
    assert [bool(panel.fired) for panel in after].count(True) == 1
    assert any(panel.fired for panel in after[:2])


def test_what_was_accepted_is_usual_and_what_was_before_is_not() -> None:
    fleet = Fleet(4)
    alarmed = watched(fleet, 3, watched(fleet, 12)[-1], shift=0.8)[-1]
    assert alarmed.alarmed
    calm = alarmed.accepted()
    assert not calm.alarmed
    assert not any(panel.fired for panel in watched(fleet, 8, calm, shift=0.8))
    assert any(panel.fired for panel in watched(fleet, 2, calm))
    assert calm.accepted() is calm


def test_many_small_moves_are_seen_together_where_none_is_seen_alone() -> None:
    fired = set[str]()
    for seed in range(6):
        fleet = Fleet(seed)
        for panel in watched(fleet, 3, watched(fleet, 25)[-1], shift=0.3):
            fired |= set(panel.fired)
    assert TOGETHER in fired


def test_rounds_in_which_nothing_comes_change_nothing() -> None:
    panel = watched(Fleet(1), 6)[-1]
    after = panel.saw(np.zeros(LAYOUT.length, dtype=np.int64), RULE)
    assert after.means == panel.means
    assert after.quiet == panel.quiet
    assert not after.fired


def noisy(fleet: Fleet, sigma: float, *, quiet: int, **change: float) -> list[int]:
    """Return the rounds that raised an alarm, of some quiet ones and six after a change."""
    panel, fired = Panel.over(LAYOUT), []
    for number in range(1, quiet + 7):
        counts = fleet.round(**(change if number > quiet else {}))
        noise = fleet.rng.normal(0.0, sigma, LAYOUT.length).round(1)
        panel = panel.saw(counts + noise, DriftRule(odds=500.0, noise_stddev=sigma))
        fired += [number] if panel.fired else []
    return fired


@pytest.mark.parametrize("change", [{"shift": 0.7}, {"new": 0.4}], ids=["shift", "new class"])
def test_through_noise_that_the_rule_knows_fifty_rounds_are_quiet_and_a_change_is_seen(
    change: dict[str, float],
) -> None:
    # of 100 devices a tenth of epsilon 4 lets out: 21 on each count, of 576 items in a round
    fired = noisy(Fleet(2, devices=96), 21.0, quiet=QUIET, **change)
    assert [number for number in fired if number <= QUIET] == []
    assert any(number <= QUIET + 3 for number in fired)


@pytest.mark.nightly  # 56 rounds of up to 200 devices, 36 times
@pytest.mark.parametrize(
    ("change", "late"), [({"shift": 0.5}, 1), ({"new": 0.4}, 1), ({"new": 0.2}, 2)]
)
@pytest.mark.parametrize("devices", [100, 200])
def test_what_the_page_says_of_noised_watches_is_so(
    devices: int, change: dict[str, float], late: int
) -> None:
    for seed in range(6):
        fired = noisy(Fleet(seed, devices), 21.0, quiet=QUIET, **change)
        assert [number for number in fired if number <= QUIET] == [], seed
        assert any(number <= QUIET + late for number in fired), seed


def test_the_classes_that_grew_are_those_that_came() -> None:
    fleet = Fleet(3)
    quiet = watched(fleet, 12)[-1]
    fleet.mixes[:] = (0.02, 0.02, 0.96)
    alarmed = watched(fleet, 2, quiet)[-1]
    assert alarmed.alarmed
    assert alarmed.grown()[2] == max(alarmed.grown()) > 0.9

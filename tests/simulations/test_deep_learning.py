"""Digits, all labels known: a network trained across devices is as good as in one place."""

import os

import pytest

from coordinator.deep_settings import DeepSettings
from simulations.network_settings import NetworkSettings
from tests.benchmarks._deep_fleet import DeepFleet, across, buffered, central, settled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("FIELDVOTE_DATA"), reason="FIELDVOTE_DATA is not set"),
]

ADAM = DeepSettings(server_optimizer="adam", server_rate=0.03)


@pytest.mark.parametrize(("depth", "exchanges", "least"), [("all", 40, 93), ("head", 90, 82)])
def test_devices_reach_the_central_run_at_both_depths(
    depth: str, exchanges: int, least: int
) -> None:
    fleet = DeepFleet.of("digits", NetworkSettings(hidden=(32,), depth=depth), seed=1)
    there = settled(across(fleet, ADAM, exchanges=exchanges, epochs=5), fleet.judge, 5)
    here = settled(central(fleet, DeepSettings(), epochs=60), fleet.judge, 5)
    assert here > least
    assert there > here - 1.5  # one seed; the benchmark's three are within a point


def test_nobody_waits_for_slow_devices_and_the_network_learns_all_the_same() -> None:
    fleet = DeepFleet.of("digits", NetworkSettings(hidden=(32,)), seed=1)
    moves = 30 * len(fleet.devices)
    points = buffered(fleet, DeepSettings(), moves=moves, epochs=5, goal=6)
    assert settled(points, fleet.judge, 5) > 88

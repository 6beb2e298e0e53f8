"""A network trained across devices against the same training in one place.

    python tests/benchmarks/deep_learning.py [--quick] [--json]

Every training device knows the true class of its own items. Both sides make the same steps with the
same signed graph; the score is the scenario's metric on devices that took no part, the mean of the
last five networks and of the seeds, each of which holds out other devices. The servers are compared
on `har` after as many exchanges, at rates found on `digits`.
"""

import sys
from pathlib import Path

import numpy as np
from _table import Options, Row, run

sys.path.insert(0, str(Path(__file__).parents[2]))  # a script sees its own folder only
from coordinator.deep_settings import DeepSettings
from simulations.network_settings import NetworkSettings
from tests.benchmarks._deep_fleet import DeepFleet, across, buffered, central, settled

_MOST_POINTS = 1.0
_LAST = 5
_NETWORKS = {
    "digits": NetworkSettings(kind="pictures", hidden=(16, 32)),
    "har": NetworkSettings(hidden=(64,)),
}
_ACROSS = {
    "digits": DeepSettings(server_optimizer="adam", server_rate=0.03),
    "har": DeepSettings(server_optimizer="momentum", batch=64, rate=0.05),
}
_EXCHANGES = {"digits": 60, "har": 160}
_EPOCHS = {"digits": 5, "har": 1}  # people differ more than handwritings: visits are short
_CENTRAL = {"digits": 100, "har": 60}
_SERVERS = {
    "FedAvg": DeepSettings(),
    "FedAvgM": DeepSettings(server_optimizer="momentum"),
    "FedAdagrad": DeepSettings(server_optimizer="adagrad", server_rate=0.03),
    "FedAdam": DeepSettings(server_optimizer="adam", server_rate=0.01),
    "FedYogi": DeepSettings(server_optimizer="yogi", server_rate=0.01),
}


def measure(options: Options) -> list[Row]:
    """Measure both depths on each data set, then the servers."""
    rows = [
        _depth(name, depth, quick=options.quick)
        for name in (("digits",) if options.quick else ("digits", "har"))
        for depth in ("all", "head")
    ]
    return rows if options.quick else rows + _servers()


def _depth(name: str, depth: str, *, quick: bool) -> Row:
    """Compare devices with their central twin at one depth."""
    said = _NETWORKS[name]
    settings = NetworkSettings(kind=said.kind, hidden=said.hidden, depth=depth)
    there, here, size = [], [], 0
    for seed in (1,) if quick else (1, 2, 3):
        fleet = DeepFleet.of(name, settings, seed=seed)
        size = fleet.network.form.size
        exchanges = 25 if quick else _EXCHANGES[name]
        moving = across(fleet, _ACROSS[name], exchanges=exchanges, epochs=_EPOCHS[name])
        there.append(settled(moving, fleet.judge, _LAST))
        # one place has no exchanges to save
        pooled = central(fleet, DeepSettings(), epochs=40 if quick else _CENTRAL[name])
        here.append(settled(pooled, fleet.judge, _LAST))
    lost = float(np.mean(here) - np.mean(there))
    return Row(
        what=f"{name}, {depth} ({size:,} weights): points lost across devices",
        ours=lost,
        unit="points",
        peer=float(np.mean(here)),
        peer_name="central",
        target=f"<= {_MOST_POINTS:g}",
        met=lost <= _MOST_POINTS,
    )


def _servers() -> list[Row]:
    """Compare what the coordinator makes of the same devices' moves."""
    fleet = DeepFleet.of("har", _NETWORKS["har"], seed=1)
    pulled = NetworkSettings(hidden=_NETWORKS["har"].hidden, terms=("proximal",))
    rows = []
    for name, settings in _SERVERS.items():
        points = list(across(fleet, settings, exchanges=40, epochs=2))
        rows.append(_server(name, fleet, points))
    prox = DeepFleet.of("har", pulled, seed=1)
    points = list(across(prox, DeepSettings(proximal=0.1), exchanges=40, epochs=2))
    rows.append(_server("FedProx", prox, points))
    moves = 40 * len(fleet.devices)
    points = list(buffered(fleet, DeepSettings(), moves=moves, epochs=2, goal=8))
    return [*rows, _server("FedBuff, as many moves, 8 to a step", fleet, points)]


def _server(name: str, fleet: DeepFleet, points: list[np.ndarray]) -> Row:
    """Return what one server reached, and where it stood half way."""
    half = [fleet.judge(point) for point in points[: len(points) // 2][-_LAST:]]
    return Row(
        what=f"har, {name}",
        ours=settled(iter(points), fleet.judge, _LAST),
        unit="accuracy",
        peer=float(np.mean(half)),
        peer_name="half way",
    )


if __name__ == "__main__":
    sys.exit(run("deep_learning", __doc__.split("\n")[0], measure))

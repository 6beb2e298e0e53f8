"""What a campaign's own network reaches with every label in one place: a deep one's ceiling."""

import numpy as np

from edge.learning.deep import Material, Visit, train
from edge.learning.network import Network
from fieldvote.training import Drill
from fieldvote.training_limits import TrainingLimits
from simulations.scenario import Scenario
from simulations.yardstick import Everything
from strategies.evaluation import confusion, score

_EPOCHS = 60


class _Nothing:
    """A device that remembers nothing, and of which nothing can be told."""

    def note(self, name: str) -> None:
        """Know nothing."""

    def keep_note(self, name: str, value: bytes) -> None:
        """Forget it."""

    def battery_percent(self) -> None:
        """Have no battery."""

    def celsius(self) -> None:
        """Have no thermometer."""

    def memory_bytes(self) -> None:
        """Count no memory."""


def network_ceiling(
    network: Network, everything: Everything, scenario: Scenario, *, seed: int
) -> float:
    """Return the score of a network trained on every label by the step its devices have.

    Args:
        network: Where to begin, and how to step.
        everything: All items; in place of embeddings, what the network is fed.
        scenario: How devices step.
        seed: Of the order items come in.
    """
    trains, nothing = everything.trains, _Nothing()
    seen = everything.embeddings.astype(np.float32)
    n = int(trains.sum())
    material = Material(
        inputs=seen[trains],
        targets=np.eye(everything.classes, dtype=np.float32)[everything.labels[trains]],
        weights=np.ones(n, np.float32),
        gates=np.ones(n, np.float32),
    )
    deep = scenario.deep
    drill = Drill(
        batch=deep.batch,
        rate=deep.rate,
        clip=deep.clip,
        clip_norm=deep.clip_norm,
        proximal=0.0,
        seed=seed,
    )
    visit = Visit(
        limits=TrainingLimits(seconds=1e9), notes=nothing, readings=nothing, clock_s=lambda: 0.0
    )
    after = train(network, network.first, material, drill, epochs=_EPOCHS, visit=visit)
    predicted = network.probabilities(after, seen[~trains]).argmax(axis=1)
    counts = confusion(everything.labels[~trains], predicted, everything.classes)
    return score(everything.metric, counts)

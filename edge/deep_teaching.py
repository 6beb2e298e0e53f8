"""What a device's lessons make of the task's own network: one visit, and how far it moved.

The signed policy says what a visit may cost. What leaves is a move that was cut to a length, times
the items that made it, in whole numbers: it goes through the door as any gradient does.
"""

from edge.holdings import Holdings
from edge.learning.deep import Visit, material_of, train
from edge.learning.lessons import Lessons
from fieldvote.codec import IntVector
from fieldvote.errors import InputError
from fieldvote.heads import GradientRequest, ServeRequest
from strategies.aggregation.deep_update import deep_update


def deep_sums(held: Holdings, message: GradientRequest, lessons: Lessons) -> IntVector:
    """Return what this device's lessons add to the network's next move. Shape (1 + p,).

    Raises:
        RefusalError: the task trains a head alone.
        InputError, ShapeError: what was asked is not for this network, or too much.
        UnavailableError: the device does not train now; asked again, it goes on where it was.
    """
    drill, parts = message.drill, held.parts
    if drill is None:
        raise InputError("a network is trained by a drill, and none was sent")
    network, seen = held.learner.network
    after = train(
        network,
        message.model.deep,
        material := material_of(network, lessons, seen, lambda: held.views.inputs),
        drill,
        epochs=message.epochs,
        visit=Visit(limits=parts.task.policy.training, notes=parts.pool, clock_s=parts.clock_s),
    )
    weight = float(material.weights.sum(dtype=float))
    return deep_update(message.model.deep, after, weight=weight, clip=drill.clip).to_vector()


def check_servable(held: Holdings, message: ServeRequest) -> None:
    """Return if what a device is told to serve can score its items; else the one before serves on.

    Raises:
        InputError: the network's weights do not fit, or give no probabilities.
        RefusalError: the task trains a head alone.
    """
    model = message.model
    if model is not None and len(model.deep):
        network, seen = held.learner.network
        network.check(model.deep, seen)

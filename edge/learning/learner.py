"""The device's side of learning: sums over its own items, for a head it is sent.

Which items teach, what and how much, is said by their lessons (``edge.learning.lessons``); what is
learned from is made here, of items alone. Everything returned is a sum of whole numbers.
"""

from collections.abc import Callable
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from edge.learning.lessons import Lessons
from edge.learning.lessons import certainty as certainty  # as weights are read beside learners
from edge.learning.network import Network
from fieldvote.errors import InputError, RefusalError, ShapeError
from fieldvote.heads import HeadModel
from strategies.aggregation.averaging import WeightedHead, federated_averaging
from strategies.aggregation.summed_head import (
    GradientSums,
    Head,
    HeadSums,
    gradient_sums,
    head_sums,
    predict,
)
from strategies.calibration_sums import tempered
from strategies.representation import Representation

MOST_EPOCHS = 1000


class Learner:
    """Embeddings of the pool, and the inputs of the head they become."""

    def __init__(
        self,
        embeddings: NDArray[np.float32],
        *,
        classes: int,
        second: Callable[[], NDArray[np.float32]] | None = None,
        network: Network | None = None,
        seen: NDArray[np.float32] | None = None,
        among: NDArray[np.float32] | None = None,
    ) -> None:
        """Keep the embeddings; the representation comes with the first head.

        Args:
            embeddings: Of the items. Shape (n, d).
            classes: k.
            second: Returns the embeddings of the items' second views, in the same order.
            network: The task's own network, where it is trained.
            seen: What that is fed for each item. Shape (n, width).
            among: Embeddings that say where this device's centre is, and whose neighbours items
                are; the items' own if not given. Shape (m, d).
        """
        self.embeddings = embeddings.astype(np.float64)
        self._among = None if among is None else among.astype(np.float64)
        self._classes = classes
        self._second = second
        self._network, self._seen = network, seen
        self._of: bytes | None = None
        self._inputs = np.empty((0, 0))

    def grown(
        self,
        embeddings: NDArray[np.float32],
        *,
        stays: NDArray[np.int64],
        second: Callable[[], NDArray[np.float32]] | None,
        seen: NDArray[np.float32] | None,
    ) -> "Learner":
        """Return a learner of these items too.

        Args:
            embeddings: Of the items that came. Shape (n, d).
            stays: Places of the items that are still there.
            second: Returns the embeddings of all items' second views.
            seen: What the task's own network is fed for those that came. Shape (n, width).
        """
        old = self.embeddings[stays].astype(np.float32)  # as they came, to the bit
        fed = (
            None
            if self._seen is None or seen is None
            else np.concatenate([self._seen[stays], seen])
        )
        return Learner(
            np.concatenate([old, embeddings]),
            classes=self._classes,
            second=second,
            network=self._network,
            seen=fed,
        )

    def probabilities(
        self, model: HeadModel, places: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Return what the head, or the network it stands for, says of items. Shape (n, k).

        Args:
            model: What is asked.
            places: Positions of the items that matter; every item if not given.

        Raises:
            ShapeError: it is no head of this task.
            InputError: its temperature is none.
        """
        if len(model.deep):
            network, seen = self.network
            # all of them: what a network says of an item depends in its last bits on the batch
            said = network.probabilities(model.deep, seen)
            said = said if places is None else said[places]
        else:
            inputs = self._inputs_for(model)
            said = predict(inputs if places is None else inputs[places], self._head_of(model))
        return tempered(said, model.temperature) if model.temperature else said

    @property
    def network(self) -> tuple[Network, NDArray[np.float32]]:
        """The task's own network, and what it is fed for every item.

        Raises:
            RefusalError: the task trains a head alone.
        """
        if self._network is None or self._seen is None:
            raise RefusalError("this device's task has no train step; only its head is trained")
        return self._network, self._seen

    def features(self, model: HeadModel) -> NDArray[np.float64]:
        """Return the head's inputs without the constant one. Shape (n, p - 1)."""
        return self._inputs_for(model)[:, :-1]

    def inputs(self, model: HeadModel) -> NDArray[np.float64]:
        """Return the head's inputs of every item. Shape (n, p)."""
        return self._inputs_for(model)

    def rows(
        self, model: HeadModel, lessons: Lessons
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return inputs, soft targets and weights of everything that teaches."""
        return self._training_rows(model, lessons)

    def labeled_sums(self, model: HeadModel, positions: NDArray[np.int64]) -> HeadSums:
        """Return the sketched Gram matrix of these items at weight 1."""
        inputs = self._inputs_for(model)[positions]
        return head_sums(inputs, np.ones(len(positions)), seed=model.seed)

    def gradient(self, model: HeadModel, lessons: Lessons) -> GradientSums:
        """Return the gradient of the loss over this device's lessons at the model's head."""
        return gradient_sums(*self._training_rows(model, lessons), self._head_of(model))

    def train(
        self,
        model: HeadModel,
        lessons: Lessons,
        *,
        epochs: int,
        l2_per_item: float,
    ) -> WeightedHead:
        """Return the head after some epochs on this device alone, weighted by its lessons."""
        if epochs > MOST_EPOCHS:
            # whoever asks for more would have the device do nothing else
            raise InputError(f"{epochs} local epochs; a device does {MOST_EPOCHS} at most")
        local = federated_averaging(epochs=epochs, l2_per_item=l2_per_item).local
        return local(self._head_of(model), *self._training_rows(model, lessons))

    def _head_of(self, model: HeadModel) -> Head:
        """Return the head a model carries, which must be one for these classes."""
        if model.classes != self._classes:
            raise ShapeError("head", (model.classes,), (self._classes,))
        return head_of(model)

    def _training_rows(
        self, model: HeadModel, lessons: Lessons
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return inputs, soft targets and weights of everything that teaches."""
        if lessons.targets.shape[1] != self._classes:
            raise ShapeError("targets", lessons.targets.shape, ("n", self._classes))
        inputs = self._inputs_for(model)[lessons.positions]
        if lessons.second.any() and self._second is not None:
            representation = representation_of(model)
            centre = representation.centre(self.embeddings)
            seen = self._second()[lessons.positions[lessons.second]]
            inputs[lessons.second] = representation.inputs(seen, centre, pool=self.embeddings)
        return inputs, lessons.targets, lessons.weights

    def _inputs_for(self, model: HeadModel) -> NDArray[np.float64]:
        """Return the head's inputs for every item, made anew when the representation changes."""
        key = representation_key(model)
        if key != self._of:
            representation = representation_of(model)
            centre = representation.centre(self.embeddings if self._among is None else self._among)
            self._inputs = representation.inputs(self.embeddings, centre, pool=self._among)
            self._of = key
        return self._inputs


def head_of(model: HeadModel) -> Head:
    """Return the weights a model carries.

    Raises:
        ShapeError: they are no matrix with a column per class.
    """
    if model.classes < 1 or len(model.weights) % model.classes:
        raise ShapeError("head weights", model.weights.shape, ("p * k",))
    return Head(weights=model.weights.reshape(-1, model.classes))


def representation_of(model: HeadModel) -> Representation:
    """Return the representation a model's head sits on."""
    return Representation(**{name: getattr(model, name) for name in _REPRESENTATION})


_REPRESENTATION = tuple(field.name for field in fields(Representation))


def representation_key(model: HeadModel) -> bytes:
    """Return bytes that differ where the representations do."""
    parts = [np.asarray(getattr(model, name)).tobytes() for name in _REPRESENTATION]
    return len(model.mean).to_bytes(4, "big") + b"".join(parts)

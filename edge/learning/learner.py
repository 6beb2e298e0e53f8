"""The device's side of learning: sums over its own items, for a head it is sent.

Two kinds of item teach. Those a person answered count with weight 1 and their one class. Those only
labeling functions voted on count with a small weight and the label model's distribution, computed
here from the parameters that were broadcast. Everything returned is a sum of whole numbers.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
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
from strategies.labeling import LabelModel
from strategies.representation import Representation

MOST_EPOCHS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """Which items teach what.

    Attributes:
        answered: Positions a person answered and training may use. Shape (n,).
        labels: Their classes. Shape (n,).
        voted: Positions with votes and no answer. Shape (v,).
        votes: Their votes, -1 abstains. Shape (v, m).
        vote_weight: Largest weight of one voted item; an answered one weighs 1.
    """

    answered: NDArray[np.int64]
    labels: NDArray[np.int64]
    voted: NDArray[np.int64]
    votes: NDArray[np.int8]
    vote_weight: float


class Learner:
    """Embeddings of the pool, and the inputs of the head they become."""

    def __init__(self, embeddings: NDArray[np.float32], *, classes: int) -> None:
        """Keep the embeddings; the representation comes with the first head."""
        self.embeddings = embeddings.astype(np.float64)
        self._classes = classes
        self._of: bytes | None = None
        self._inputs = np.empty((0, 0))

    def probabilities(self, model: HeadModel) -> NDArray[np.float64]:
        """Return what the head says of every item. Shape (n, k)."""
        return predict(self._inputs_for(model), self._head_of(model))

    def features(self, model: HeadModel) -> NDArray[np.float64]:
        """Return the head's inputs without the constant one. Shape (n, p - 1)."""
        return self._inputs_for(model)[:, :-1]

    def labeled_sums(self, model: HeadModel, positions: NDArray[np.int64]) -> HeadSums:
        """Return the sketched Gram matrix of these items at weight 1."""
        inputs = self._inputs_for(model)[positions]
        return head_sums(inputs, np.ones(len(positions)), seed=model.seed)

    def gradient(
        self, model: HeadModel, lessons: Lessons, label_model: LabelModel | None
    ) -> GradientSums:
        """Return the gradient of the loss over this device's lessons at the model's head."""
        return gradient_sums(
            *self._training_rows(model, lessons, label_model), self._head_of(model)
        )

    def train(
        self,
        model: HeadModel,
        lessons: Lessons,
        label_model: LabelModel | None,
        *,
        epochs: int,
        l2_per_item: float,
    ) -> WeightedHead:
        """Return the head after some epochs on this device alone, weighted by its lessons."""
        if epochs > MOST_EPOCHS:
            # whoever asks for more would have the device do nothing else
            raise InputError(f"{epochs} local epochs; a device does {MOST_EPOCHS} at most")
        local = federated_averaging(epochs=epochs, l2_per_item=l2_per_item).local
        return local(self._head_of(model), *self._training_rows(model, lessons, label_model))

    def _head_of(self, model: HeadModel) -> Head:
        """Return the head a model carries, which must be one for these classes."""
        if model.classes != self._classes:
            raise ShapeError("head", (model.classes,), (self._classes,))
        return head_of(model)

    def _training_rows(
        self, model: HeadModel, lessons: Lessons, label_model: LabelModel | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return inputs, soft targets and weights of everything that teaches."""
        targets = np.eye(self._classes)[lessons.labels]
        weight = np.ones(len(lessons.labels))
        positions = lessons.answered
        if label_model is not None and lessons.vote_weight > 0 and len(lessons.voted):
            soft = label_model.predict(lessons.votes)
            if soft.shape[1] != self._classes:
                raise ShapeError("label model", soft.shape, ("n", self._classes))
            targets = np.concatenate([targets, soft])
            weight = np.concatenate([weight, lessons.vote_weight * certainty(soft)])
            positions = np.concatenate([positions, lessons.voted])
        return self._inputs_for(model)[positions], targets, weight

    def _inputs_for(self, model: HeadModel) -> NDArray[np.float64]:
        """Return the head's inputs for every item, made anew when the representation changes."""
        representation = representation_of(model)
        key = representation_key(model)
        if key != self._of:
            centre = representation.centre(self.embeddings)
            self._inputs = representation.inputs(self.embeddings, centre)
            self._of = key
        return self._inputs


def certainty(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far each distribution is from saying nothing: 0 uniform, 1 certain. Shape (n,).

    >>> certainty(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([0., 1.])
    """
    base = 1.0 / probabilities.shape[1]
    share: NDArray[np.float64] = (probabilities.max(axis=1) - base) / (1.0 - base)
    return np.clip(share, 0.0, 1.0)


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
    return b"".join(np.asarray(getattr(model, name)).tobytes() for name in _REPRESENTATION)

"""The same head over other inputs: what of a model depends on how embeddings become inputs."""

from dataclasses import replace

import numpy as np

from coordinator.settings import InputSettings
from fieldvote.heads import HeadModel
from strategies.representation import kernel_of


def inputs_of(model: HeadModel) -> tuple[float, float, int]:
    """Return what tells the inputs of one model from another's of the same campaign."""
    return (model.recentre, model.smooth, model.fourier)


def with_inputs(model: HeadModel, settings: InputSettings) -> HeadModel:
    """Return a model over other inputs of the same embeddings.

    Weights stay where there are as many inputs as before, as a place to start from; else they are
    zero.

    Args:
        model: Made with the same norm and kernel width.
        settings: How embeddings become inputs.
    """
    bandwidth, amplitude = kernel_of(
        settings.norm, fourier=settings.fourier, bandwidth_share=settings.bandwidth_share
    )
    width = len(model.mean) + settings.fourier + 1
    kept = len(model.weights) == width * model.classes and model.fourier == settings.fourier
    return replace(
        model,
        recentre=settings.recentre,
        smooth=settings.smooth,
        fourier=settings.fourier,
        bandwidth=bandwidth,
        amplitude=amplitude,
        weights=model.weights if kept else np.zeros(width * model.classes, dtype=np.int64),
    )

"""Where a campaign that hides records begins: nobody has told it anything of inputs yet."""

from math import sqrt

import numpy as np

from coordinator.models.embedding_width import embedding_width
from coordinator.settings import CampaignSettings
from fieldvote.heads import HeadModel
from fieldvote.task import Task
from strategies.aggregation.fixed_point import INPUT_FRACTION, INPUT_LIMIT
from strategies.aggregation.private_steps import USUAL_LENGTH


def first_private_model(task: Task, settings: CampaignSettings) -> HeadModel:
    """Return the head before the first: nothing is known of inputs but their largest length."""
    width, privacy = embedding_width(task), task.policy.privacy
    gain = USUAL_LENGTH / sqrt(width)
    return HeadModel(
        parent="",
        classes=len(task.classes),
        mean=np.zeros(width),
        scale=np.full(width, privacy.bound / sqrt(width)),
        gain=gain,
        clip=INPUT_LIMIT * 2.0**-INPUT_FRACTION / gain,
        recentre=0.0,  # one record would move all inputs of its device
        fourier=0,  # each input more is noise in every direction
        bandwidth=1.0,
        amplitude=1.0,
        seed=settings.seed,
        weights=np.zeros((width + 1) * len(task.classes), dtype=np.int64),
    )

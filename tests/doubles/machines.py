"""Forty made-up machines: readings, true classes, and devices that hold some of them."""

import numpy as np
from numpy.typing import NDArray

from edge.items import row_payload
from fieldvote.heads import HeadModel
from fieldvote.records import (
    AnswersReply,
    SurveyReply,
    SurveyRequest,
)
from fieldvote.rng import keyed_entropy, stream
from strategies.labeling import LabelModel, VoteSummary
from strategies.representation import Moments
from tests.doubles.agents import Device, build_device, model_from
from tests.doubles.tasks import tabular_files, task_of

TASK = task_of(tabular_files())
CLASSES = 3
ROWS = stream(11, "rows").normal(size=(40, 3))
TRUTH = np.where(ROWS[:, 1] < -0.5, 2, np.where(ROWS[:, 0] > 0.3, 1, 0))
NAMING = keyed_entropy(11, "ids")
IDS = [NAMING(16) for _ in ROWS]
LABEL = dict(zip(IDS, TRUTH.tolist(), strict=True))
EVERYTHING = len(ROWS)


def device_of(places: NDArray[np.int64] | None = None, number: int = 0) -> Device:
    """Return a device that holds these of the machines, or all."""
    places = np.arange(len(ROWS)) if places is None else places
    payloads = [row_payload(ROWS[place]) for place in places]
    return build_device(TASK, payloads, ids=[IDS[place] for place in places], number=number)


def survey_request(
    *,
    round_number: int = 1,
    strategy: str = "fleet",
    offers: int = 0,
    random_offers: int = 5,
    model: HeadModel | None = None,
) -> SurveyRequest:
    """Return a survey of the first round."""
    return SurveyRequest(
        round=round_number,
        strategy=strategy,
        offers=offers,
        random_offers=random_offers,
        first=False,
        model=model,
    )


def first_head(surveyed: SurveyReply) -> HeadModel:
    """Return the head that follows from a survey's moments."""
    return model_from(Moments.from_vector(surveyed.moments), classes=CLASSES)


def labeled(
    device: Device, *, first: bool, random: int = EVERYTHING
) -> tuple[HeadModel, AnswersReply]:
    """Run a device through a round in which every offered item gets its true label."""
    surveyed = device.survey(random=random, first=first)
    model = first_head(surveyed)
    collected = device.collect(offer.item for offer in surveyed.offers)
    answers = [device.sealed_answer(s.item, LABEL[s.item]) for s in collected.sealed]
    return model, device.answers(answers, model)


def label_model_of(device: Device) -> list[float]:
    """Return the label model of one device's votes, as it is broadcast."""
    summary = VoteSummary.from_votes(device.agent.votes, classes=CLASSES)
    return [float(number) for number in LabelModel.fit(summary).to_vector()]

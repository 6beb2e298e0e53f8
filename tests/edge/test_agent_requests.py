"""Requests that make no sense: each is one typed error, and changes nothing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.models.backbone import identity_backbone
from edge.items import row_payload
from fieldvote.errors import (
    FieldvoteError,
    InputError,
    ShapeError,
    WireError,
)
from fieldvote.heads import HeadModel
from fieldvote.records import (
    CollectReply,
    CollectRequest,
    HelloRequest,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from strategies.acquisition.sketches import SKETCH_BITS
from strategies.labeling import LabelModel, VoteSummary
from tests.doubles.agents import build_device, gradient_request
from tests.doubles.machines import (
    IDS,
    ROWS,
    device_of,
    first_head,
    label_model_of,
    survey_request,
)
from tests.doubles.tasks import tabular_files, task_of

REQUESTS = [
    encode(survey_request()),
    encode(HelloRequest(campaign="c")),
    encode(CollectRequest(round=1, grants=(IDS[0],))),
]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(REQUESTS), st.integers(0, 200), st.binary(max_size=6))
def test_bytes_that_are_no_request_change_nothing(whole: bytes, cut: int, more: bytes) -> None:
    blob = whole[: cut % len(whole)] + more
    before = DEVICE.state()
    try:
        DEVICE.agent.handle(blob)
    except FieldvoteError:
        assert DEVICE.state() == before
    else:
        decode(blob, SurveyRequest, HelloRequest, CollectRequest)


DEVICE = device_of()


def test_a_reply_is_no_request() -> None:
    with pytest.raises(WireError, match="CollectReply where"):
        DEVICE.ask(CollectReply(round=1, sealed=()))


MODEL = first_head(device_of().survey())
ZEROS = np.zeros
BAD_HEADS: dict[str, HeadModel] = {
    "too few classes": replace(MODEL, classes=2, weights=ZEROS(8, dtype=np.int64)),
    "no class": replace(MODEL, classes=0),
    "classes below zero": replace(MODEL, classes=-3),
    "weights that are no matrix": replace(MODEL, weights=ZEROS(13, dtype=np.int64)),
    "too few weights": replace(MODEL, weights=ZEROS(9, dtype=np.int64)),
    "weights beyond all bounds": replace(MODEL, weights=np.full(12, 2**62)),
    "another embedding": replace(MODEL, mean=ZEROS(5), scale=np.ones(5)),
    "no embedding": replace(MODEL, mean=ZEROS(0), scale=ZEROS(0)),
    "mean and scale apart": replace(MODEL, scale=np.ones(2)),
    "scale below zero": replace(MODEL, scale=-np.ones(3)),
    "fourier below zero": replace(MODEL, fourier=-1),
    "fourier without end": replace(MODEL, fourier=2**40),
    "no bandwidth": replace(MODEL, fourier=4, bandwidth=0.0),
    "clip beyond all bounds": replace(MODEL, clip=1e9),
    "centre beyond all bounds": replace(MODEL, recentre=2.0),
}


@pytest.mark.parametrize("what", list(BAD_HEADS))
def test_a_head_that_does_not_fit_is_refused_and_changes_nothing(what: str) -> None:
    device, head = device_of(), BAD_HEADS[what]
    before, charged = device.state(), device.ledger.entries()
    for request in (
        survey_request(offers=3, model=head),
        gradient_request(head),
        gradient_request(head, epochs=1),
    ):
        with pytest.raises(InputError):
            device.ask(request)
    with pytest.raises(InputError):
        device.evaluate(head)
    assert device.state() == before
    assert device.ledger.entries() == charged


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (survey_request(strategy="margn"), "did you mean 'margin'"),
        (survey_request(offers=-1), "0 or more"),
        (survey_request(random_offers=-1), "0 or more"),
        (replace(survey_request(), bits=-8), "multiple of 8"),
        (replace(survey_request(), bits=SKETCH_BITS + 8), f"{SKETCH_BITS} at most"),
        (gradient_request(MODEL, vote_weight=0.5, label_model=[1.0]), "at least 3"),
        (gradient_request(MODEL, vote_weight=0.5, label_model=[-1.0] * 40), "sizes|starts with"),
        (gradient_request(MODEL, vote_weight=1e9, label_model=label_model_of(DEVICE)), "weight"),
        (gradient_request(MODEL, epochs=-1), "at least one epoch"),
        (gradient_request(MODEL, epochs=1001), "1000 at most"),
    ],
)
def test_a_request_out_of_bounds_is_refused_and_changes_nothing(
    request_: object, said: str
) -> None:
    device = device_of()
    before = device.state()
    with pytest.raises(InputError, match=said):
        device.ask(request_)
    assert device.state() == before


@pytest.mark.parametrize(("asked", "made"), [(0, SKETCH_BITS), (8, 8), (64, 64)])
def test_sketches_are_as_short_as_a_campaign_wants_them(asked: int, made: int) -> None:
    reply = device_of().ask(replace(survey_request(), bits=asked))
    assert {8 * len(offer.sketch) for offer in decode(reply, SurveyReply).offers} == {made}


def test_a_label_model_of_other_classes_is_refused() -> None:
    votes = device_of().agent.votes
    four = LabelModel.fit(VoteSummary.from_votes(votes, classes=4)).to_vector().tolist()
    with pytest.raises(ShapeError, match="label model"):
        device_of().ask(gradient_request(MODEL, vote_weight=0.5, label_model=four))


def test_a_model_for_other_classes_than_the_tasks_is_refused() -> None:
    files = {**tabular_files(), "model.onnx": identity_backbone(3, classes=2)}
    with pytest.raises(ShapeError, match="probabilities"):
        build_device(task_of(files), [row_payload(ROWS[0])])

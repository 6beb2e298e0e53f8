"""Attacks on what real agents release in a campaign at the shipped default.

The attacker sees every sum of a whole campaign, knows every record but the one in question, and
knows the law of the noise. One device adds all of it, as much as the devices of a cohort together.
Without the noise each attack succeeds, else it would prove nothing. Seeds are fixed; drawn anew, a
bound would be passed in fewer than one run of a hundred.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from coordinator.models.backbone import identity_backbone
from coordinator.models.private_start import first_private_model
from coordinator.models.training import head_of, with_head
from coordinator.rounds.private_sums import PrivateLeg, plan_for
from coordinator.settings import CampaignSettings
from edge.items import row_payload
from edge.learning.learner import representation_of
from fieldvote.heads import HeadModel
from fieldvote.private import PrivateReply, PrivateRequest
from fieldvote.records import decode
from fieldvote.rng import keyed_entropy, stream
from fieldvote.task import Task
from privacy.dp import discrete_gaussian
from privacy.dp import ledger as ledger_module
from privacy.dp.policy import TRAINING, PrivacyPolicy
from strategies.aggregation.private_ridge import DIAGONAL, PAIR, ROW_BOUND, bounded
from strategies.aggregation.private_steps import (
    LONGEST,
    NoisedSum,
    _rows_and_aims,
    cross_products,
    gram_products,
    improved,
)
from strategies.aggregation.summed_head import predict
from tests.doubles.agents import Device, build_device
from tests.privacy.dp.attacks import auc, exposure, highest_auc, likelihood_ratios

WIDTH, CLASSES, ROUNDS, CANDIDATES = 32, 2, 8, 256
FIELDS = [f"f{place}" for place in range(WIDTH)]
TASK = Task.parse(
    {
        "task.toml": (
            f'name = "attacked"\nclasses = ["no", "yes"]\n[input]\nkind = "tabular"\n'
            f"fields = {FIELDS}\n"
        ).encode(),
        "functions.toml": b"",
        "policy.toml": (
            b'[privacy]\nunit = "record"\nagainst = "outsiders"\ncohort = 1\ndropouts = 0.0\n'
            b"corrupt = 0.0\nbound = 2.0\n"
        ),
        "model.onnx": identity_backbone(WIDTH, CLASSES),
    },
    "attacked task",
)
START = first_private_model(TASK, CampaignSettings(name="attacked"))
BOUND = highest_auc(PrivacyPolicy().micro_rho_by_kind[TRAINING])


@pytest.fixture(autouse=True, scope="module")
def _tables_are_kept() -> Iterator[None]:
    """Keep the laws of all releases; a device needs one at a time, an attack all of them."""
    with pytest.MonkeyPatch.context() as patch:
        kept = lru_cache(maxsize=64)(discrete_gaussian._table.__wrapped__)
        patch.setattr(discrete_gaussian, "_table", kept)
        yield


@contextmanager
def without_noise() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger_module, "add_share", lambda values, _noise, _entropy: values)
        yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """One sum of a campaign, and what it was asked with."""

    about: str
    model: HeadModel
    reach: float
    sums: NDArray[np.float64]
    stddev: float


def device_of(rows: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> Device:
    device = build_device(
        TASK, [row_payload(row) for row in rows], entropy=keyed_entropy(seed, "noise")
    )
    for place, label in enumerate(labels.tolist()):
        device.pool.answer(place, label, 1)
    return device


def campaign(device: Device) -> tuple[HeadModel, list[Released]]:
    """Return the last head of a campaign's rounds, and all that was released for it."""
    found, model = [ask(device, "gram", 0, START, 1.0)], START
    for turn in range(ROUNDS):
        reach = 0.7 if turn else 1.0
        found.append(ask(device, "cross", turn, model, reach))
        gram, cross = (NoisedSum(values=it.sums, stddev=it.stddev) for it in (found[0], found[-1]))
        items = len(device.pool)
        head = improved(head_of(model), gram, cross, reach=reach, weight=float(items))
        model = with_head(model, head)
    return model, found


def ask(device: Device, about: str, turn: int, model: HeadModel, reach: float) -> Released:
    request = PrivateRequest(
        round=turn + 1, step=0, about=about, turn=turn, model=model, reach=reach
    )
    plan = plan_for(TASK, PrivateLeg(about=about, turn=turn))
    sums = decode(device.ask(request), PrivateReply).sums / plan.steps
    return Released(about=about, model=model, reach=reach, sums=sums, stddev=plan.stddev)


def vector_of(it: Released, inputs: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray:
    """Return what these records add to a sum."""
    if it.about == "gram":
        return gram_products(inputs).astype(np.float64)
    targets, ones = np.eye(CLASSES)[labels], np.ones(len(labels))
    return cross_products(inputs, targets, ones, head_of(it.model), reach=it.reach).astype(float)


def inputs_of(device: Device) -> NDArray[np.float64]:
    return device.agent._held.learner.inputs(START)


def evidence(
    found: list[Released],
    others: tuple[NDArray[np.float64], NDArray[np.int64]],
    suspects: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> NDArray[np.float64]:
    """Return the log likelihood ratio of each suspect being in, from all sums together."""
    total = np.zeros(len(suspects[0]))
    targets, ones = np.eye(CLASSES)[suspects[1]], np.ones(len(total))
    upper = np.triu_indices(WIDTH + 1)
    for it in found:
        left = it.sums - vector_of(it, *others)
        rows, aims = _rows_and_aims(suspects[0], targets, ones, head_of(it.model), it.reach)
        squares, fourths = (rows**2).sum(axis=1), (rows**4).sum(axis=1)
        if it.about == "gram":
            matrix = np.zeros((WIDTH + 1, WIDTH + 1))
            matrix[upper] = left * np.where(upper[0] == upper[1], DIAGONAL, PAIR)
            pointing = ((rows @ matrix) * rows).sum(axis=1)
            length = DIAGONAL**2 * fourths + PAIR**2 * (squares**2 - fourths) / 2
        else:
            pointing = ((rows @ left.reshape(WIDTH + 1, CLASSES)) * aims).sum(axis=1)
            length = squares * (aims**2).sum(axis=1)
        total += (pointing - 0.5 * length) / max(it.stddev, 1.0) ** 2
    one = vector_of(found[0], suspects[0][[0]], suspects[1][[0]])
    left = found[0].sums - vector_of(found[0], *others)
    matrix[upper] = left * np.where(upper[0] == upper[1], DIAGONAL, PAIR)
    first = bounded(suspects[0][:1] * 2.0**-9 / LONGEST, np.ones((1, 1)), ROW_BOUND)[0]
    assert math.isclose(left @ one, first @ matrix @ first, rel_tol=1e-9, abs_tol=1e-3)
    return total


def canary(seed: int) -> float:
    """Plant one strange record among 60; return its exposure in bits."""
    rng = stream(seed, "canary")
    own = WIDTH // 2
    rows = np.zeros((60, WIDTH))
    rows[:, :own] = rng.random((60, own)) < 0.2
    strange = np.zeros((CANDIDATES, WIDTH))
    for candidate in strange:
        candidate[own + rng.choice(WIDTH - own, 6, replace=False)] = 1.0
    labels = rng.integers(0, CLASSES, len(rows))
    label = np.full(CANDIDATES, int(rng.integers(CLASSES)))
    device = device_of(np.vstack([rows, strange[:1]]), np.concatenate([labels, label[:1]]), seed)
    _, found = campaign(device)
    inputs = inputs_of(device)
    suspects = representation_of(START).inputs(strange, np.zeros(WIDTH))
    assert np.array_equal(suspects[0], inputs[-1])
    scores = evidence(found, (inputs[:-1], labels), (suspects, label))
    return exposure(scores)


def test_a_planted_record_is_found_where_the_noise_is_taken_out():
    with without_noise():
        found = [canary(seed) for seed in range(2)]
    assert min(found) == math.log2(CANDIDATES)


@pytest.mark.slow
def test_a_planted_record_is_hidden_by_what_agents_release_at_the_shipped_default():
    found = np.mean([canary(seed) for seed in range(48)])
    assert found <= 2.5


def memberships(runs: int, targets: int = 16) -> tuple[NDArray, NDArray, NDArray]:
    """Turn campaigns over random halves of the targets; see tests.privacy.dp.attacks."""
    rng = stream(4, "members")
    rows, labels = rng.normal(size=(targets, WIDTH)), rng.integers(0, CLASSES, targets)
    everybody = inputs_of(device_of(rows, labels, 0))
    inside = rng.random((runs, targets)) < 0.5
    confidence, pointing = np.empty((runs, targets)), np.empty((runs, targets))
    for run in range(runs):
        here = np.flatnonzero(inside[run])
        head, found = campaign(device_of(rows[here], labels[here], run))
        p = np.clip(predict(everybody, head_of(head)), 1e-9, 1 - 1e-9)
        right = p[np.arange(targets), labels]
        confidence[run] = np.log(right / (1 - right))
        for target in range(targets):
            others = here[here != target]
            pointing[run, target] = evidence(
                found,
                (everybody[others], labels[others]),
                (everybody[[target]], labels[[target]]),
            )[0]
    return inside, confidence, pointing


def test_membership_shows_where_the_noise_is_taken_out():
    with without_noise():
        inside, confidence, pointing = memberships(runs=12)
    assert auc(pointing, inside) > 0.99
    assert auc(confidence, inside) > 0.65


@pytest.mark.slow
def test_membership_hides_behind_what_the_campaign_has_paid_for_training():
    inside, confidence, pointing = memberships(runs=24)
    tolerance = 3 * 0.5 / math.sqrt(inside.size / 2)
    assert auc(confidence, inside) <= BOUND + tolerance
    assert auc(likelihood_ratios(inside, confidence), inside) <= BOUND + tolerance
    best = auc(pointing, inside)
    assert best <= BOUND + tolerance
    # and the noise is no more than was paid for
    assert best >= BOUND - 2 * tolerance


def test_the_attacked_campaign_spends_what_training_may():
    device = device_of(stream(1, "r").normal(size=(4, WIDTH)), np.array([0, 1, 0, 1]), 1)
    campaign(device)
    spent = device.ledger.spent.by_kind[TRAINING].micro_rho
    budget = PrivacyPolicy().micro_rho_by_kind[TRAINING]
    assert 0.98 * budget <= spent <= budget
    assert replace(TASK.policy.privacy, cohort=100).epsilon == PrivacyPolicy().epsilon

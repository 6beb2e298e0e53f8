"""Attacks on what a campaign releases, shared by the tests beside them and the canary benchmark.

Each returns how well it did, with noise or without. The attacker sees every released sum, knows
every record but the one in question, and knows the noise's law.
"""

import math
from fractions import Fraction

import numpy as np

from fieldvote.rng import keyed_entropy, stream
from privacy.dp import Ledger, Limits, MemoryLedgerStore, Noise
from privacy.dp.mechanisms import noise_within
from privacy.dp.policy import TRAINING, PrivacyPolicy
from strategies.aggregation.clipping import L2_SQUARED as UPDATE_L2_SQUARED
from strategies.aggregation.clipping import STEPS, clip_update
from strategies.aggregation.private_ridge import (
    L2_SQUARED,
    LONGEST_SHARE,
    ROW_BOUND,
    TARGET_BOUND,
    RidgeSums,
    bounded,
    ridge_head,
    ridge_sums,
)
from strategies.aggregation.summed_head import predict
from tests.privacy.dp.test_ledger import clock

SHIPPED = PrivacyPolicy()
CANDIDATES = 512


def released(vector, l2_squared, noised, label):
    """Return a vector as it leaves at the shipped default, and the stddev of its noise."""
    if not noised:
        return vector, 0.0
    budget = SHIPPED.micro_rho_by_kind[TRAINING]
    noise: Noise = noise_within(budget, l2_squared=l2_squared, length=len(vector))
    limits = Limits(candidates=0, size_bytes=0, micro_rho=budget)
    ledger = Ledger(MemoryLedgerStore(), limits, clock)
    out = ledger.release(
        TRAINING, vector, noise=noise, l2_squared=l2_squared, entropy=keyed_entropy(1, *label)
    )
    return out, noise.stddev


def canary(seed, *, noised, own=48, odd=32, items=2400, classes=3):
    """Plant one strange record; return its exposure in bits by the model, and by the sums.

    The record has features that no other has; every candidate might have been the one. Exposure is
    log2 of the candidates less log2 of the true one's rank: 9 where it is found, 1.44 by chance.

    Source: Carlini et al. 2019, "The secret sharer", arXiv:1802.08232, section 4.
    """
    rng = stream(seed, "canary")
    rows = np.zeros((items, own + odd + 1))
    rows[:, :own] = rng.random((len(rows), own)) < 0.08
    labels = (rows[:, :own] @ rng.normal(size=(own, classes))).argmax(axis=1)
    strange = np.zeros((CANDIDATES, own + odd + 1))
    for candidate in strange:
        candidate[own + rng.choice(odd, 6, replace=False)] = 1.0
    rows[:, -1] = strange[:, -1] = 0.5
    longest = LONGEST_SHARE * float(np.sqrt((rows**2).sum(axis=1).mean()))
    label = int(rng.integers(classes))

    def sums(some, of):
        return ridge_sums(
            np.rint(some * 512), np.eye(classes)[of], np.ones(len(some)), longest=longest
        )

    others = sums(rows, labels).to_vector()
    vector, stddev = released(
        others + sums(strange[:1], [label]).to_vector(), L2_SQUARED, noised, ("canary", seed)
    )
    width = rows.shape[1]
    made = RidgeSums.from_vector(vector, width=width, classes=classes)
    head = ridge_head(made, stddev=stddev, longest=longest)
    by_model = predict(np.rint(strange * 512), head)[:, label]
    # the best test between known sums under equal noise: how far they point towards what is left
    left = (vector - others).astype(np.float64)
    one = sums(strange[:1], [label]).to_vector().astype(np.float64)
    by_sums, length = pointing_to(strange, label, left, longest, classes)
    assert math.isclose(left @ one, by_sums[0], rel_tol=1e-9, abs_tol=1e-3)
    return exposure(by_model), exposure(by_sums - 0.5 * length)


def pointing_to(rows, label, left, longest, classes):
    """Return each row's vector times what is left, and times itself, all rows at once."""
    width = rows.shape[1]
    x = bounded(np.rint(rows * 512) / 512 / longest, np.ones((len(rows), 1)), ROW_BOUND)
    centred = (np.eye(classes)[[label]] - 1 / classes) / math.sqrt(1 - 1 / classes)
    y = bounded(centred, np.ones((1, 1)), TARGET_BOUND)[0]
    upper = np.zeros((width, width))
    entries = width * (width + 1) // 2
    upper[np.triu_indices(width)] = left[:entries]
    weights = np.where(np.eye(width, dtype=bool), 5.0, 7.0)
    times = ((x @ (weights * upper)) * x).sum(axis=1) + x @ (left[entries:].reshape(width, -1) @ y)
    squares, fourths = (x**2).sum(axis=1), (x**4).sum(axis=1)
    length = 25 * fourths + 49 * (squares**2 - fourths) / 2 + squares * (y @ y)
    return times, length


def exposure(scores):
    """Return log2 of the candidates less log2 of the first one's rank; ties count half."""
    rank = 1.0 + (scores > scores[0]).sum() + 0.5 * ((scores == scores[0]).sum() - 1)
    return math.log2(len(scores)) - math.log2(rank)


def gradient_inversion(batch, *, noised, width=256, classes=8):
    """Return how alike the best guesses of a batch's inputs are to them, by cosine.

    A row of a linear head's gradient over the bias's is a mixture of the inputs of that class, and
    the input itself where there is one of the class.

    Source: Phong et al. 2018, "Privacy-preserving deep learning via additively homomorphic
        encryption", IEEE TIFS 13(5), section III.
    """
    rng = stream(batch, "inversion")
    head = rng.normal(0, 0.01, (classes, width))
    inputs = np.abs(rng.normal(size=(batch, width))) * (rng.random((batch, width)) < 0.1)
    labels = (
        rng.permutation(classes)[:batch] if batch <= classes else rng.integers(0, classes, batch)
    )
    p = np.exp(inputs @ head.T)
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(batch), labels] -= 1.0
    gradient = np.hstack([p.T @ inputs, p.sum(axis=0)[:, None]]) / batch
    length = float(np.linalg.norm(gradient))
    vector = clip_update(gradient.ravel(), length).to_vector()
    vector, _ = released(vector, UPDATE_L2_SQUARED, noised, ("inversion", batch))
    found = vector[1:].reshape(classes, width + 1) / STEPS
    guesses = found[:, :-1] / found[:, -1:]
    return float(np.mean([max(cosine(guess, one) for guess in guesses) for one in inputs]))


def cosine(a, b):
    """Return how alike two directions are."""
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def memberships(*, noised, runs=96, targets=24, width=40, classes=3):
    """Train on random halves of the targets again and again.

    Returns:
        Whether each target was in, by run, shape (runs, targets); the trained head's confidence in
        its label, as log odds; and, for the attacker who reads the sums, how far they point to it.
    """
    rng = stream(3, "members")
    rows = np.rint(rng.normal(size=(targets, width)) * 512)
    labels = rng.integers(0, classes, targets)
    longest = LONGEST_SHARE * math.sqrt(width)
    each = [
        ridge_sums(rows[[i]], np.eye(classes)[labels[[i]]], np.ones(1), longest=longest).to_vector()
        for i in range(targets)
    ]
    inside = rng.random((runs, targets)) < 0.5
    confidence = np.empty((runs, targets))
    pointing = np.empty((runs, targets))
    for run in range(runs):
        members = np.array(each)[inside[run]].sum(axis=0)
        vector, stddev = released(members, L2_SQUARED, noised, ("members", run))
        sums = RidgeSums.from_vector(vector, width=width, classes=classes)
        p = predict(rows, ridge_head(sums, stddev=stddev, longest=longest))
        right = np.clip(p[np.arange(targets), labels], 1e-12, 1 - 1e-12)
        confidence[run] = np.log(right / (1 - right))
        for target in range(targets):
            # who is in besides is known: what is left is the target, if it was in, and noise
            known = members - each[target] * inside[run, target]
            one = each[target].astype(np.float64)
            pointing[run, target] = (vector - known).astype(np.float64) @ one / (one @ one)
    return inside, confidence, pointing


def likelihood_ratios(inside, confidence):
    """Return the LiRA score of each target in each run, judged by all the other runs.

    Source: Carlini et al. 2022, "Membership inference attacks from first principles",
        arXiv:2112.03570, algorithm 1.
    """
    scores = np.empty_like(confidence)
    for run in range(len(inside)):
        others = np.delete(np.arange(len(inside)), run)
        for target in range(inside.shape[1]):
            seen, was = confidence[others, target], inside[others, target]
            fits = [(seen[was == side].mean(), seen[was == side].std() + 1e-6) for side in (1, 0)]
            here = confidence[run, target]
            logs = [-0.5 * ((here - mean) / sd) ** 2 - math.log(sd) for mean, sd in fits]
            scores[run, target] = logs[0] - logs[1]
    return scores


def auc(scores, inside):
    """Return how often one who was in scores above one who was not."""
    ranks = scores.ravel().argsort(kind="stable").argsort() + 1.0
    members = int(inside.sum())
    others = inside.size - members
    return float((ranks[inside.ravel()].sum() - members * (members + 1) / 2) / members / others)


def highest_auc(micro_rho):
    """Return the AUC of the best test of Gaussian noise: Phi(mu / sqrt(2)) with mu² = 2 rho.

    Source: Dong, Roth and Su 2022, "Gaussian differential privacy", arXiv:1905.02383, section 2.
    """
    return 0.5 + 0.5 * math.erf(math.sqrt(2 * Fraction(micro_rho, 10**6)) / 2.0)

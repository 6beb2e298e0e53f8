"""Averaged updates that hide a whole device: what a thousand devices can do and ten cannot."""

import numpy as np
import pytest

from fieldvote.errors import LedgerSpentError
from fieldvote.rng import stream
from privacy.dp import Ledger, Limits, MemoryLedgerStore, noise_within, sure_shares
from privacy.dp.policy import TRAINING, PrivacyPolicy, Unit
from strategies.aggregation.clipping import L2_SQUARED, ClippedUpdate, clip_update, mean_update
from tests.privacy.dp.test_ledger import clock

ROUNDS, WIDTH, BOUND = 4, 60, 1.0
POLICY = PrivacyPolicy(unit=Unit.DEVICE)


def trained(devices):
    """Train a two-class head over so many devices of 20 records; return accuracy and ledgers."""
    rng = stream(1, "device level", devices)
    truth = rng.normal(size=WIDTH)
    inputs = rng.normal(size=(devices, 20, WIDTH))
    labels = (inputs @ truth > 0) * 1.0
    budget = POLICY.micro_rho_by_kind[TRAINING]
    limits = Limits(candidates=0, size_bytes=0, micro_rho=budget)
    ledgers = [Ledger(MemoryLedgerStore(), limits, clock) for _ in range(devices)]
    noise = noise_within(
        budget // ROUNDS,
        l2_squared=L2_SQUARED,
        length=WIDTH + 1,
        shares=sure_shares(cohort=devices, missing=devices // 10),
    )
    head = np.zeros(WIDTH)
    for round_ in range(ROUNDS):
        total = ClippedUpdate(update=np.zeros(WIDTH, dtype=np.int64), within=0)
        for device in range(devices):
            p = 1.0 / (1.0 + np.exp(-inputs[device] @ head))
            update = 8.0 * inputs[device].T @ (labels[device] - p) / 20
            noised = ledgers[device].release(
                TRAINING,
                clip_update(update, BOUND).to_vector(),
                noise=noise,
                l2_squared=L2_SQUARED,
                entropy=stream(1, "noise", round_, device).bytes,
            )
            total = total + ClippedUpdate.from_vector(noised)
        head = head + mean_update(total, BOUND, devices=devices)
    test = rng.normal(size=(2000, WIDTH))
    return float(((test @ head > 0) == (test @ truth > 0)).mean()), ledgers, noise


def test_a_thousand_devices_learn_and_ten_do_not():
    accuracy, ledgers, noise = trained(1000)
    assert accuracy > 0.9
    with pytest.raises(LedgerSpentError):
        ledgers[0].release(
            TRAINING,
            np.zeros(WIDTH + 1, dtype=np.int64),
            noise=noise,
            l2_squared=L2_SQUARED,
            entropy=bytes,
        )
    assert trained(10)[0] < 0.75

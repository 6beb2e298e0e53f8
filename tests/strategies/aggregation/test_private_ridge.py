import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import keyed_entropy, stream
from privacy.dp import Ledger, Limits, MemoryLedgerStore, sure_shares
from privacy.dp.mechanisms import plan_noise
from privacy.dp.policy import TRAINING, PrivacyPolicy
from strategies.aggregation.private_ridge import (
    L2_SQUARED,
    LONGEST_SHARE,
    RidgeSums,
    ridge_head,
    ridge_length,
    ridge_sums,
)
from strategies.aggregation.summed_head import predict
from strategies.representation import Representation
from tests.privacy.dp.test_release import NOON

LONGEST = 4.0
rows = st.lists(st.integers(-8192, 8192), min_size=3, max_size=3)


def sums(inputs, labels=None, weight=None, classes=3, longest=LONGEST):
    inputs = np.array(inputs, dtype=np.float64)
    labels = np.zeros(len(inputs), dtype=int) if labels is None else labels
    weight = np.ones(len(inputs)) if weight is None else weight
    return ridge_sums(inputs, np.eye(classes)[labels], weight, longest=longest)


@given(
    rows,
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda p: sum(p) > 0.1),
    st.floats(0.0, 1.0),
    st.floats(0.01, 40.0),
)
@settings(deadline=None, max_examples=300)
def test_no_record_moves_the_sums_by_more_than_what_is_accounted(row, soft, weight, longest):
    targets = np.array([soft]) / sum(soft)
    made = ridge_sums(np.array([row]) * 1.0, targets, np.array([weight]), longest=longest)
    assert sum(int(number) ** 2 for number in made.to_vector()) <= L2_SQUARED


@pytest.mark.parametrize("row", [[8192, 0, 0], [4096, -4096, 0], [5000, 5000, 5000]])
def test_a_long_record_moves_them_by_nearly_that(row):
    vector = sums([row]).to_vector()
    assert 0.9 * L2_SQUARED < sum(int(number) ** 2 for number in vector) <= L2_SQUARED


@given(st.lists(rows, min_size=1, max_size=8), st.integers(0, 8))
@settings(deadline=None, max_examples=60)
def test_any_split_has_the_same_sums_and_a_vector_brings_them_back(all_rows, cut):
    cut = min(cut, len(all_rows))
    labels = np.arange(len(all_rows)) % 3
    whole = sums(all_rows, labels)
    empty = RidgeSums.empty(width=3, classes=3)
    parts = [
        sums(np.array(part, dtype=float).reshape(-1, 3), of)
        for part, of in ((all_rows[:cut], labels[:cut]), (all_rows[cut:], labels[cut:]))
    ]
    together = sum(parts, start=empty)
    assert np.array_equal(together.to_vector(), whole.to_vector())
    again = RidgeSums.from_vector(whole.to_vector(), width=3, classes=3)
    assert np.array_equal(again.gram, whole.gram)
    assert np.array_equal(again.cross, whole.cross)
    assert len(whole.to_vector()) == ridge_length(3, 3)


def test_without_noise_it_is_ridge_regression():
    rng = stream(1, "ridge")
    inputs = np.rint(rng.normal(size=(400, 4)) * 700)
    inputs[:, -1] = 512
    labels = (inputs[:, 0] + inputs[:, 1] > 0).astype(int) + (inputs[:, 2] > 500)
    head = ridge_head(sums(inputs, labels, longest=10.0), stddev=0.0, longest=10.0)
    aims = np.eye(3)[labels] - 1 / 3
    twin = np.linalg.lstsq(inputs, aims, rcond=None)[0]
    agree = (predict(inputs, head).argmax(1) == (inputs @ twin).argmax(1)).mean()
    assert agree > 0.98


def test_a_long_row_counts_as_much_as_one_of_the_longest_let_through():
    far, near = sums([[8192, 0, 0]]), sums([[2048, 0, 0]])
    assert np.array_equal(far.to_vector(), near.to_vector())


@pytest.mark.parametrize(
    "bad",
    [
        {"weight": np.array([1.5])},
        {"weight": np.array([-0.1])},
        {"weight": np.array([np.nan])},
        {"longest": 0.0},
        {"longest": math.nan},
        {"longest": math.inf},
    ],
)
def test_what_would_break_the_bound_is_refused(bad):
    with pytest.raises(InputError):
        sums([[1, 2, 3]], **bad)


@pytest.mark.parametrize(
    ("inputs", "targets"),
    [
        ([[math.nan, 0.0, 0.0]], [[1.0, 0.0]]),
        ([[0.5, 0.0, 0.0]], [[1.0, 0.0]]),
        ([[1.0, 0.0, 0.0]], [[2.0, -1.0]]),
        ([[1.0, 0.0, 0.0]], [[math.nan, 1.0]]),
        ([[1.0, 0.0, 0.0]], [[1.0]]),
        ([[1.0, 0.0, 0.0]], [[0.5, 0.5], [0.5, 0.5]]),
    ],
)
def test_what_is_no_item_is_refused(inputs, targets):
    with pytest.raises((InputError, ShapeError)):
        ridge_sums(np.array(inputs), np.array(targets), np.ones(1), longest=1.0)


@pytest.mark.parametrize("stddev", [-1.0, math.nan, math.inf])
def test_noise_that_is_none_is_refused(stddev):
    with pytest.raises(InputError):
        ridge_head(RidgeSums.empty(width=2, classes=2), stddev=stddev, longest=1.0)


def test_sums_of_noise_alone_make_a_head_all_the_same():
    rng = stream(1, "nothing")
    vector = np.rint(rng.normal(size=ridge_length(30, 4)) * 1e6).astype(np.int64)
    made = RidgeSums.from_vector(vector, width=30, classes=4)
    assert np.isfinite(ridge_head(made, stddev=1e6, longest=LONGEST).values).all()
    nobody = ridge_head(RidgeSums.empty(width=3, classes=2), stddev=0.0, longest=1.0)
    assert not nobody.values.any()


def test_both_halves_joined_train_a_head_on_handwritten_digits():
    """Devices sum, their ledgers noise, the sums are added, the coordinator solves."""
    features, labels = load_digits(return_X_y=True)
    order = stream(1, "digits").permutation(len(labels))
    features, labels = features[order] / 16.0, labels[order]
    # pixels have a known range: no moments are needed, so none are released
    width = features.shape[1]
    way = Representation(
        mean=np.full(width, 0.5), scale=np.full(width, 0.5), gain=8 / math.sqrt(width), clip=1.0,
        recentre=0.0, fourier=0, bandwidth=1.0, amplitude=1.0, seed=0,
    )  # fmt: skip
    inputs = way.inputs(features, np.zeros(width))
    # a small set stands for a fleet ten times its size: each device holds its items ten times
    devices, copies, train = 40, 10, 1400
    policy, longest = PrivacyPolicy(), 8 * LONGEST_SHARE
    shares = sure_shares(cohort=devices, missing=4, corrupt=4)
    plan = plan_noise(
        policy.micro_rho_by_kind[TRAINING],
        l2_squared=L2_SQUARED,
        length=ridge_length(width + 1, 10),
        shares=shares,
    )
    own = Limits(
        candidates=0,
        size_bytes=0,
        micro_rho=policy.micro_rho,
        micro_rho_by_kind=policy.micro_rho_by_kind,
    )
    total = exact = RidgeSums.empty(width=width + 1, classes=10)
    for device in range(devices):
        mine = slice(device * train // devices, (device + 1) * train // devices)
        one = ridge_sums(inputs[mine], np.eye(10)[labels[mine]], np.ones(35), longest=longest)
        made = sum([one] * copies, start=RidgeSums.empty(width=width + 1, classes=10))
        exact = exact + made
        ledger = Ledger(MemoryLedgerStore(), own, lambda: NOON)
        noised = ledger.release(
            TRAINING,
            made.to_vector() * plan.steps,
            noise=plan.noise,
            l2_squared=plan.l2_squared,
            entropy=keyed_entropy(1, "digits", device),
            subject=bytes([device]),
        )
        assert ledger.spent.micro_rho <= policy.micro_rho_by_kind[TRAINING]
        total = total + RidgeSums.from_vector(noised // plan.steps, width=width + 1, classes=10)
    stddev = plan.stddev * math.sqrt(devices / shares)
    accuracy = [
        (predict(inputs[train:], head).argmax(1) == labels[train:]).mean()
        for head in (
            ridge_head(exact, stddev=0.0, longest=longest),
            ridge_head(total, stddev=stddev, longest=longest),
        )
    ]
    assert accuracy[0] > 0.9
    assert accuracy[1] > accuracy[0] - 0.05
    assert accuracy[1] != accuracy[0]

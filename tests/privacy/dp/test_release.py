import math
from datetime import UTC, datetime
from fractions import Fraction
from hashlib import sha256

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, LedgerSpentError, RefusalError, ShapeError, StoreError
from fieldvote.rng import keyed_entropy
from privacy.dp import Ledger, Limits, MemoryLedgerStore, Noise
from privacy.dp.chain import DOMAIN, GENESIS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COST = 25_000
NOISE = Noise(share_variance=Fraction(20))
VALUES = np.arange(4, dtype=np.int64)


def limits(micro_rho=4 * COST, **by_kind):
    return Limits(candidates=10, size_bytes=1000, micro_rho=micro_rho, micro_rho_by_kind=by_kind)


def opened(store=None, whole=None, **tasks):
    return Ledger(store or MemoryLedgerStore(), whole or limits(), lambda: NOON, tasks=tasks)


def release(ledger, kind="summaries", *, noise=NOISE, l2_squared=1, values=VALUES, **more):
    more.setdefault("entropy", keyed_entropy(1, "release"))
    return ledger.release(kind, values, noise=noise, l2_squared=l2_squared, **more)


def test_a_release_is_charged_and_noised():
    ledger = opened()
    released = release(ledger)
    assert released.dtype == np.int64
    assert released.shape == VALUES.shape
    assert not np.array_equal(released, VALUES)
    assert VALUES.tolist() == [0, 1, 2, 3]
    assert ledger.spent.micro_rho == COST
    assert ledger.entries()[0].micro_rho == COST


def test_releases_that_share_no_unit_cost_together_what_the_dearest_does():
    store = MemoryLedgerStore()
    ledger = opened(store, limits(micro_rho=3 * COST, watch=2 * COST, summaries=COST))
    for l2_squared, paid in ((1, COST), (1, COST), (2, 2 * COST), (1, 2 * COST)):
        release(ledger, "watch", l2_squared=l2_squared, apart=True, task="")
        assert ledger.spent.micro_rho == paid
    assert [entry.micro_rho for entry in ledger.entries()] == [COST, 0, COST, 0]
    release(ledger)  # of another kind, as ever
    assert ledger.spent.micro_rho == 3 * COST
    again = opened(store, limits(micro_rho=3 * COST, watch=2 * COST))
    with pytest.raises(LedgerSpentError):
        release(again, "watch", l2_squared=3, apart=True)
    assert len(again.entries()) == 5


def test_every_release_has_noise_of_its_own():
    ledger, entropy = opened(), keyed_entropy(1, "release")
    first, second = (release(ledger, entropy=entropy) for _ in range(2))
    assert not np.array_equal(first, second)
    assert ledger.spent.micro_rho == 2 * COST


def test_nothing_is_drawn_before_it_was_paid_for():
    store = MemoryLedgerStore()
    ledger = opened(store)
    seen = []

    def entropy(size):
        seen.append(len(list(store.entries())))
        return bytes(size)

    release(ledger, entropy=entropy)
    assert seen
    assert set(seen) == {1}


class FullStore(MemoryLedgerStore):
    def append(self, entry):
        raise StoreError("disk full")


def never(size):
    raise AssertionError("noise was drawn")


def test_a_store_that_fails_releases_nothing():
    with pytest.raises(StoreError):
        release(opened(FullStore()), entropy=never)


def test_entropy_that_fails_leaves_the_release_paid_for():
    ledger = opened()
    with pytest.raises(InputError):
        release(ledger, entropy=lambda size: b"")
    assert ledger.spent.micro_rho == COST


def test_a_spent_budget_refuses_and_leaves_no_trace():
    ledger = opened()
    for _ in range(4):
        release(ledger)
    before = ledger.head
    with pytest.raises(LedgerSpentError, match="micro-rho"):
        release(ledger, entropy=never)
    assert (ledger.head, ledger.spent.micro_rho) == (before, 4 * COST)


def test_a_ledger_without_a_budget_for_privacy_noises_nothing():
    ledger = Ledger(MemoryLedgerStore(), Limits(candidates=1, size_bytes=100), lambda: NOON)
    ledger.charge("summaries", size_bytes=5)
    with pytest.raises(LedgerSpentError):
        release(ledger, entropy=never)


def test_two_hundred_small_releases_spend_exactly_what_they_should():
    # with floats, 0.005 two hundred times is not 1.0
    ledger = opened(whole=limits(micro_rho=1_000_000))
    noise = Noise(share_variance=Fraction(100))
    for _ in range(200):
        release(ledger, noise=noise)
    assert ledger.spent.micro_rho == 1_000_000
    with pytest.raises(LedgerSpentError):
        release(ledger, noise=noise)


def test_each_kind_has_its_share_and_no_other():
    ledger = opened(whole=limits(summaries=2 * COST, training=COST))
    release(ledger, "summaries")
    release(ledger, "training")
    with pytest.raises(LedgerSpentError, match="training"):
        release(ledger, "training")
    with pytest.raises(LedgerSpentError, match="evaluation"):
        release(ledger, "evaluation")
    release(ledger, "summaries")
    assert ledger.spent.by_kind["summaries"].micro_rho == 2 * COST


def test_each_task_has_its_limits_and_all_of_them_the_devices():
    ledger = opened(whole=limits(3 * COST), a=limits(COST, summaries=COST), b=limits(9 * COST))
    release(ledger, task="a")
    with pytest.raises(LedgerSpentError, match="task"):
        release(ledger, task="a")
    release(ledger, task="b")
    release(ledger, "training", task="b")
    with pytest.raises(LedgerSpentError, match="the limit is 75000"):
        release(ledger, task="b")
    assert ledger.spent.by_task["b"].micro_rho == 2 * COST
    assert ledger.spent.micro_rho == 3 * COST


def test_bytes_and_candidates_are_counted_for_each_task_too():
    ledger = opened(a=Limits(candidates=1, size_bytes=50), b=limits())
    ledger.charge("candidates", size_bytes=40, candidates=1, task="a")
    for charge in ({"size_bytes": 20}, {"size_bytes": 1, "candidates": 1}):
        with pytest.raises(LedgerSpentError):
            ledger.charge("candidates", task="a", **charge)
        ledger.charge("candidates", task="b", **charge)
    assert ledger.spent.by_task["a"].size_bytes == 40


def test_a_task_without_limits_gets_nothing():
    ledger = opened(a=limits())
    with pytest.raises(RefusalError, match="no limits"):
        release(ledger, task="c", entropy=never)
    with pytest.raises(RefusalError, match="no limits"):
        ledger.charge("summaries", size_bytes=1, task="c")
    assert ledger.entries() == ()


def test_a_pool_is_released_once_per_change_even_after_a_restart():
    store = MemoryLedgerStore()
    pool = sha256(b"items 1..10").digest()
    release(opened(store), "training", subject=pool)
    again = opened(store)
    with pytest.raises(RefusalError, match="one release per change"):
        release(again, "training", subject=pool, entropy=never)
    release(again, "summaries", subject=pool)
    release(again, "training", subject=sha256(b"items 1..11").digest())
    assert again.spent.releases == 3


wanted = st.tuples(
    st.sampled_from(["training", "summaries"]),
    st.sampled_from(["a", "b"]),
    st.integers(1, 60),
)


@given(st.lists(wanted, max_size=30))
@settings(deadline=None, max_examples=40)
def test_what_is_spent_is_the_sum_of_what_was_released_and_never_passes_a_limit(all_wanted):
    store = MemoryLedgerStore()
    given_limits = {
        "whole": Limits(
            candidates=0,
            size_bytes=0,
            micro_rho=2000,
            micro_rho_by_kind={"training": 900, "summaries": 1500},
        ),
        "a": Limits(candidates=0, size_bytes=0, micro_rho=700),
        "b": Limits(
            candidates=0, size_bytes=0, micro_rho=1800, micro_rho_by_kind={"summaries": 1700}
        ),
    }
    ledger = opened(store, **given_limits)
    totals = {}
    for kind, task, cost in all_wanted:
        noise = Noise(share_variance=Fraction(10**6, 2 * 10 * cost))
        try:
            release(ledger, kind, task=task, noise=noise)
        except LedgerSpentError:
            continue
        for key in ("whole", ("whole", kind), task, (task, kind)):
            totals[key] = totals.get(key, 0) + 10 * cost
    assert totals.get("whole", 0) == ledger.spent.micro_rho <= 2000
    assert totals.get(("whole", "training"), 0) <= 900
    assert totals.get("a", 0) <= 700
    assert totals.get(("b", "training"), 0) == 0
    assert opened(store, **given_limits).spent == ledger.spent


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.5, 2.0]),
        np.array([1, 2], dtype=np.int32),
        np.zeros((2, 2), dtype=np.int64),
        np.zeros(0, dtype=np.int64),
        np.array([2**62], dtype=np.int64),
        np.array([-(2**63)], dtype=np.int64),
    ],
)
def test_only_whole_numbers_with_room_for_noise_are_released(values):
    ledger = opened()
    with pytest.raises((InputError, ShapeError)):
        release(ledger, values=values, entropy=never)
    assert ledger.entries() == ()


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, 1.0, True, 5e-324, None])
def test_a_sensitivity_that_is_none_is_refused(bad):
    ledger = opened()
    with pytest.raises(InputError):
        release(ledger, l2_squared=bad, entropy=never)
    assert ledger.entries() == ()


@pytest.mark.parametrize("bad", [-1, True, 1.0, math.nan])
def test_limits_on_privacy_are_whole_numbers(bad):
    with pytest.raises(InputError):
        Limits(candidates=0, size_bytes=0, micro_rho=bad)
    with pytest.raises(InputError):
        limits(training=bad)


@pytest.mark.parametrize("bad", ["a\nb", "x" * 129, 3, None])
def test_a_task_is_a_name(bad):
    with pytest.raises(InputError):
        release(opened(), task=bad, entropy=never)


@pytest.mark.parametrize("bad", [b"x" * 33, "digest", None])
def test_a_subject_is_a_digest(bad):
    with pytest.raises(InputError):
        release(opened(), subject=bad, entropy=never)


def test_limits_cannot_be_changed_from_outside():
    shares = {"training": COST}
    ledger = opened(whole=limits(**shares), a=limits())
    shares["training"] = 10 * COST
    with pytest.raises(TypeError):
        ledger.limits.micro_rho_by_kind["training"] = 10 * COST
    with pytest.raises(TypeError):
        ledger.tasks["a"] = limits(10 * COST)


def test_a_chain_written_before_there_was_epsilon_opens_and_goes_on():
    store = MemoryLedgerStore()
    body = msgpack.packb([0, 5, "summaries", 7, 0, GENESIS])
    store.append(sha256(DOMAIN + body).digest() + body)
    ledger = opened(store)
    assert ledger.spent.size_bytes == 7
    assert ledger.spent.micro_rho == 0
    release(ledger)
    assert opened(store).spent.micro_rho == COST


def test_no_bit_of_a_noised_entry_can_be_changed():
    store = MemoryLedgerStore()
    ledger = opened(store, a=limits())
    release(ledger, task="a", subject=b"pool 1")
    (stored,) = store.entries()
    for bit in range(8 * len(stored)):
        flipped = bytearray(stored)
        flipped[bit // 8] ^= 1 << bit % 8
        broken = MemoryLedgerStore()
        broken.append(bytes(flipped))
        with pytest.raises(RefusalError):
            opened(broken, a=limits())


@pytest.mark.parametrize(
    "noised",
    [
        ["a", -1, b""],
        ["a", 1.5, b""],
        ["a", True, b""],
        [3, 1, b""],
        ["a", 1, "x"],
        ["", 0, b""],
        ["a", 1],
    ],
)
def test_an_entry_that_hashes_right_and_says_nonsense_does_not_open(noised):
    body = msgpack.packb([0, 5, "summaries", 7, 0, *noised, GENESIS])
    store = MemoryLedgerStore()
    store.append(sha256(DOMAIN + body).digest() + body)
    with pytest.raises(RefusalError):
        opened(store)

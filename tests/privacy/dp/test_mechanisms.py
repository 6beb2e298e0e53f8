import ast
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from fieldvote.rng import keyed_entropy
from privacy.dp import Noise, noise_within, sure_shares
from privacy.dp.mechanisms import LEAST_SHARE_VARIANCE, add_share, closeness, plan_noise
from privacy.dp.policy import Unit
from privacy.dp.sensitivity import counted_once, of_unit, of_votes
from strategies.labeling.sensitivity import summary_sensitivity

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("shares", [2, 10, 100, 1000])
def test_closeness_is_the_sum_of_the_paper_never_less(shares):
    exact = 10 * math.fsum(math.exp(-2 * math.pi**2 * 3.0 * k / (k + 1)) for k in range(1, shares))
    found = float(closeness(share_variance=Fraction(3), shares=shares))
    assert exact <= found <= 1.01 * exact
    assert found < 1e-11


def test_closeness_makes_a_long_vector_dearer():
    noise = Noise(share_variance=Fraction(LEAST_SHARE_VARIANCE), shares=1000)
    alone = Noise(share_variance=noise.variance)
    short = noise.micro_rho(l2_squared=100, length=1)
    long = noise.micro_rho(l2_squared=100, length=2**52)
    assert alone.micro_rho(l2_squared=100, length=1) <= short < long


@pytest.mark.parametrize("shares", [2, 100])
def test_shares_too_small_to_add_up_to_a_gaussian_are_refused(shares):
    with pytest.raises(InputError, match="finer steps"):
        Noise(share_variance=Fraction(29, 10), shares=shares)
    Noise(share_variance=Fraction(29, 10))


@given(st.integers(1, 10**6), st.integers(1, 10**9), st.integers(1, 10**6), st.integers(1, 2000))
@settings(deadline=None, max_examples=60)
def test_the_least_noise_within_a_cost_costs_no_more_and_a_little_less_costs_more(
    micro_rho, l2_squared, length, shares
):
    noise = noise_within(micro_rho, l2_squared=l2_squared, length=length, shares=shares)
    assert noise.micro_rho(l2_squared=l2_squared, length=length) <= micro_rho
    less = noise.share_variance - Fraction(1, 1024)
    if less > (LEAST_SHARE_VARIANCE if shares > 1 else 0):
        dearer = Noise(share_variance=less, shares=shares)
        assert dearer.micro_rho(l2_squared=l2_squared, length=length) > micro_rho


def test_a_cost_that_no_noise_can_meet_is_refused():
    with pytest.raises(InputError, match="no noise"):
        noise_within(1, l2_squared=2**53, length=1)


@pytest.mark.parametrize(
    ("cohort", "missing", "corrupt", "inflation"), [(90, 30, 0, 1.5), (100, 20, 20, 5 / 3)]
)
def test_what_may_be_missing_or_told_is_made_up_for_by_the_others(
    cohort, missing, corrupt, inflation
):
    sure = sure_shares(cohort=cohort, missing=missing, corrupt=corrupt)
    noise = noise_within(100_000, l2_squared=10**6, length=10, shares=sure)
    alone = noise_within(100_000, l2_squared=10**6, length=10)
    everybody = noise.share_variance * cohort
    assert float(everybody / alone.variance) == pytest.approx(inflation, rel=0.01)


@pytest.mark.parametrize(("missing", "corrupt"), [(10, 0), (5, 5), (0, 11), (-1, 0)])
def test_a_cohort_without_a_sure_share_is_refused(missing, corrupt):
    with pytest.raises(InputError):
        sure_shares(cohort=10, missing=missing, corrupt=corrupt)


def test_counts_of_a_large_cohort_are_made_in_finer_steps_instead_of_noised_too_much():
    plan = plan_noise(77_766, l2_squared=1, length=36, shares=800)
    wanted = math.sqrt(1e6 / (2 * 77_766))
    coarse = noise_within(77_766, l2_squared=1, length=36, shares=800)
    assert coarse.stddev > 15 * wanted
    assert wanted <= plan.stddev < 1.01 * wanted
    assert plan.l2_squared == plan.steps**2
    assert plan.noise.micro_rho(l2_squared=plan.l2_squared, length=36) <= 77_766


def test_shares_of_a_cohort_add_up_to_the_noise_that_was_paid_for():
    shares, length = 40, 5000
    noise = noise_within(200_000, l2_squared=1000, length=length, shares=shares)
    total = sum(
        add_share(np.zeros(length, dtype=np.int64), noise, keyed_entropy(7, "share", device))
        for device in range(shares)
    )
    # three standard errors and a half: false alarm below 10^-3, at a fixed seed
    assert float(total.var() / float(noise.variance)) == pytest.approx(1.0, abs=0.07)


@pytest.mark.parametrize("bad", [0, -1, 1.0, True, None, float("nan")])
def test_amounts_that_are_none_are_refused(bad):
    with pytest.raises(InputError):
        Noise(share_variance=Fraction(10), shares=bad)
    with pytest.raises(InputError):
        Noise(share_variance=Fraction(10)).micro_rho(l2_squared=bad, length=1)
    with pytest.raises(InputError):
        Noise(share_variance=Fraction(10)).micro_rho(l2_squared=1, length=bad)
    with pytest.raises(InputError):
        noise_within(bad, l2_squared=1, length=1)


@pytest.mark.parametrize("bad", [0, -3.0, math.nan, math.inf, 5e-324, 1e-310, True, "3"])
def test_a_variance_that_is_none_is_refused(bad):
    with pytest.raises(InputError):
        Noise(share_variance=bad)


def test_a_device_moves_a_sum_by_all_of_its_records_at_once():
    assert of_unit(26, unit=Unit.RECORD, records=200) == 26
    assert of_unit(26, unit=Unit.DEVICE, records=200) == 26 * 200**2
    assert counted_once() == 1


@pytest.mark.parametrize("cap", range(8))
def test_both_floors_derive_the_same_sensitivity_of_votes(cap):
    assert of_votes(cap) == summary_sensitivity(functions=20, cap=cap).l2_squared


def test_only_the_ledger_noises_and_only_the_mechanism_draws():
    allowed = {
        "add_share": {"privacy/dp/ledger.py"},
        "discrete_gaussian": {"privacy/dp/mechanisms.py"},
    }
    rooms = ("fieldvote", "strategies", "privacy", "edge", "coordinator", "simulations")
    for path in [path for room in rooms for path in (ROOT / room).rglob("*.py")]:
        place, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
        if not any(name in text for name in allowed):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                for name in {alias.name for alias in node.names} & set(allowed):
                    assert place in allowed[name], f"{place} imports {name}"

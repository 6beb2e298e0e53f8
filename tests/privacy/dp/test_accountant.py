import json
import math
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from privacy.dp import Accountant, SecretSampling, micro_rho_within
from privacy.dp.accountant import gaussian_micro_rho

HERE = Path(__file__).parent
PEERS = Path(__file__).parents[3] / ".venv-peers" / "bin" / "python"
BAD = [0.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1e-310, True, "1", None]


def ours(row):
    account = Accountant()
    for multiplier, times in row["parts"]:
        account = account.compose(noise_multiplier=multiplier, count=times)
    return account.epsilon(delta=row["delta"])


def assert_holds(row):
    found = ours(row)
    assert row["pld"] <= found <= 1.1 * row["pld"], row
    # the library searches fewer orders and does not round to millionths
    assert 0.98 * row["rdp"] <= found <= 1.0001 * row["rdp"], row


@pytest.mark.parametrize("row", json.loads((HERE / "accountant_oracle.json").read_text("utf-8")))
def test_epsilon_is_never_below_the_oracle_and_at_most_a_tenth_above(row):
    assert_holds(row)


@pytest.mark.nightly
def test_a_thousand_compositions_against_the_library_itself():
    known = PEERS.exists() and subprocess.run(
        [PEERS, "-c", "import dp_accounting"], capture_output=True, check=False
    )
    if not known or known.returncode:
        pytest.skip("dp-accounting is not in .venv-peers: make bench-peers")
    done = subprocess.run(
        [PEERS, HERE / "accountant_oracle.py", "1000", "2"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(done.stdout)
    assert len(rows) == 1000
    for row in rows:
        assert_holds(row)


# dp_accounting 0.6.0, PLD with interval 1e-3: rate, noise multiplier, count, epsilon at 1e-6
@pytest.mark.parametrize(
    ("rate", "multiplier", "count", "oracle"),
    [
        (0.05, 0.8, 200, 8.866),
        (0.01, 1.0, 1000, 2.125),
        (0.1, 2.0, 100, 2.675),
        (0.3, 3.0, 50, 3.633),
        (0.02, 1.5, 500, 1.577),
    ],
)
def test_secret_sampling_costs_less_and_is_never_understated(rate, multiplier, count, oracle):
    sampling = SecretSampling(rate=rate)
    plain = Accountant().compose(noise_multiplier=multiplier, count=count)
    sampled = Accountant().compose(noise_multiplier=multiplier, count=count, sampling=sampling)
    found = sampled.epsilon(delta=1e-6)
    assert oracle <= found <= 1.15 * oracle
    assert found < plain.epsilon(delta=1e-6)


def test_sampled_and_other_releases_compose():
    sampling = SecretSampling(rate=0.1)
    first = Accountant().compose(noise_multiplier=2.0, count=100, sampling=sampling)
    both = first.compose(noise_multiplier=5.0, count=10)
    assert both == Accountant().compose(noise_multiplier=5.0, count=10).compose(
        noise_multiplier=2.0, count=100, sampling=sampling
    )
    alone = Accountant().compose(noise_multiplier=5.0, count=10).epsilon(delta=1e-6)
    assert max(alone, first.epsilon(delta=1e-6)) < both.epsilon(delta=1e-6)


def test_sampling_everybody_is_no_sampling():
    everybody = SecretSampling(rate=1.0)
    assert Accountant().compose(noise_multiplier=2.0, sampling=everybody) == Accountant().compose(
        noise_multiplier=2.0
    )


multipliers = st.floats(0.05, 1e4, allow_nan=False)


@given(multipliers, st.integers(1, 1000))
@settings(deadline=None)
def test_a_cost_is_rounded_up_and_by_less_than_one_millionth(multiplier, count):
    exact = Fraction(count) * 10**6 / (2 * Fraction(multiplier) ** 2)
    cost = Accountant().compose(noise_multiplier=multiplier, count=count).micro_rho
    assert exact <= cost < exact + 1


@given(st.lists(st.tuples(multipliers, st.integers(1, 50)), max_size=5), st.randoms())
@settings(deadline=None, max_examples=50)
def test_the_order_of_releases_does_not_matter_and_each_costs_something(parts, random):
    def composed(parts):
        account = Accountant()
        for multiplier, count in parts:
            before, account = account, account.compose(noise_multiplier=multiplier, count=count)
            assert account.micro_rho > before.micro_rho
        return account

    shuffled = list(parts)
    random.shuffle(shuffled)
    assert composed(parts) == composed(shuffled)


def test_composing_leaves_the_account_it_began_with_alone():
    account = Accountant().compose(noise_multiplier=3.0)
    before = account.epsilon(delta=1e-6)
    account.compose(noise_multiplier=1.0, count=5)
    with pytest.raises(InputError):
        account.compose(noise_multiplier=math.nan)
    assert account.epsilon(delta=1e-6) == before


def test_nothing_released_costs_nothing():
    assert Accountant().epsilon(delta=1e-6) == 0.0


@pytest.mark.parametrize("bad", BAD)
def test_noise_that_is_none_is_refused(bad):
    with pytest.raises(InputError):
        Accountant().compose(noise_multiplier=bad)
    with pytest.raises(InputError):
        SecretSampling(rate=bad)
    with pytest.raises(InputError):
        Accountant(micro_rho=1).epsilon(delta=bad)
    with pytest.raises(InputError):
        micro_rho_within(epsilon=bad, delta=1e-6)


@pytest.mark.parametrize("bad", [0, -1, 1.0, True, None])
def test_a_count_is_a_whole_number_from_one(bad):
    with pytest.raises(InputError):
        Accountant().compose(noise_multiplier=1.0, count=bad)


@given(st.floats(0.01, 50.0), st.floats(1e-12, 1e-3))
@settings(deadline=None, max_examples=50)
def test_a_budget_is_the_largest_cost_that_stays_within_epsilon(epsilon, delta):
    budget = micro_rho_within(epsilon=epsilon, delta=delta)
    assert Accountant(micro_rho=budget).epsilon(delta=delta) <= epsilon
    assert Accountant(micro_rho=budget + 1).epsilon(delta=delta) > epsilon


def test_ten_releases_with_twice_the_noise_of_a_record_cost_what_they_did():
    # 10 / (2 · 2²) = 1.25; the conversion by hand at its best order, 4.3
    assert gaussian_micro_rho(Fraction(1), Fraction(4), count=10) == 1_250_000
    assert Accountant().compose(noise_multiplier=2.0, count=10).epsilon(delta=1e-6) == (
        pytest.approx(8.8459, abs=1e-3)
    )

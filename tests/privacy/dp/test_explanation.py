import math

import numpy as np
import pytest

from fieldvote.errors import InputError
from fieldvote.rng import keyed_entropy, stream
from privacy.dp.explanation import Cohort, explain
from privacy.dp.mechanisms import add_share, plan_noise
from privacy.dp.policy import SUMMARIES, PrivacyPolicy, Unit
from privacy.dp.sensitivity import of_votes
from strategies.labeling import VoteSummary
from strategies.labeling.sensitivity import cap_votes

RECORDS, DEVICES = PrivacyPolicy(), PrivacyPolicy(unit=Unit.DEVICE)


@pytest.mark.parametrize(("devices", "advised"), [(10, False), (999, False), (1000, True)])
def test_protecting_devices_is_advised_from_a_thousand_on(devices, advised):
    found = explain(DEVICES, Cohort(devices=devices, records=200, functions=5))
    assert found.advised is advised
    assert any(line.startswith("Not advised") for line in found.lines) is not advised


def test_protecting_records_is_advised_in_small_fleets_too():
    assert explain(RECORDS, Cohort(devices=10, records=200, functions=10)).advised


def test_what_it_costs_falls_with_the_fleet_and_rises_with_privacy():
    small = explain(RECORDS, Cohort(devices=100, records=200, functions=10))
    large = explain(RECORDS, Cohort(devices=1000, records=200, functions=10))
    strict = explain(PrivacyPolicy(epsilon=1.0), Cohort(devices=100, records=200, functions=10))
    for name in ("vote_error", "accuracy_error", "hidden"):
        assert getattr(large, name) == pytest.approx(getattr(small, name) / 10, rel=0.05)
        assert getattr(strict, name) > 3 * getattr(small, name)
    assert strict.guess < small.guess


def test_a_device_is_dearer_to_hide_than_a_record_by_the_number_of_its_records():
    cohort = Cohort(devices=2000, records=50, functions=10)
    ratio = explain(DEVICES, cohort).vote_error / explain(RECORDS, cohort).vote_error
    assert ratio == pytest.approx(50, rel=0.1)


def test_a_guess_is_between_a_coin_and_certainty():
    cohort = Cohort(devices=100, records=10, functions=5)
    guesses = [explain(PrivacyPolicy(epsilon=e), cohort).guess for e in (0.01, 1.0, 4.0, 40.0)]
    assert guesses == sorted(guesses)
    assert 0.5 < guesses[0] < 0.51
    # exact for Gaussian noise is less: Phi(sqrt(2 rho) / 2)
    exact = 0.5 + 0.5 * math.erf(math.sqrt(2 * 0.311064) / 2 / math.sqrt(2))
    assert exact <= guesses[2] < exact + 0.06
    assert guesses[3] < 1.0


def test_what_is_said_of_votes_is_what_comes_out():
    cohort = Cohort(devices=50, records=100, functions=6, cap=3)
    policy = PrivacyPolicy()
    rng = stream(1, "votes")
    plan = plan_noise(
        policy.micro_rho_by_kind[SUMMARIES],
        l2_squared=of_votes(3),
        length=1 + 6**2,
        shares=cohort.shares,
    )
    errors = []
    for device in range(cohort.devices):
        votes = cap_votes(rng.integers(-1, 2, size=(100, 6)).astype(np.int8), 3, classes=2)
        vector = VoteSummary.from_votes(votes, classes=2).to_vector() * plan.steps
        entropy = keyed_entropy(1, "share", device)
        errors.append(add_share(vector, plan.noise, entropy) - vector)
    found = float(np.sum(errors, axis=0).std()) / plan.steps / cohort.items
    assert found == pytest.approx(explain(policy, cohort).vote_error, rel=0.4)


def test_a_share_of_nothing_says_nothing():
    from fractions import Fraction

    policy = PrivacyPolicy(shares={"training": Fraction(1)})
    found = explain(policy, Cohort(devices=100, records=10, functions=5))
    assert found.vote_error is None
    assert found.accuracy_error is None
    assert not any(line.startswith(("Votes", "Evaluation")) for line in found.lines)


@pytest.mark.parametrize(
    "bad", [{"devices": 0}, {"records": 0}, {"cap": 0}, {"missing_share": 1.5}, {"width": -1}]
)
def test_a_cohort_that_is_none_is_refused(bad):
    with pytest.raises(InputError):
        Cohort(**({"devices": 10, "records": 10, "functions": 5} | bad))


def test_two_devices_hide_nothing_from_each_other():
    with pytest.raises(InputError, match="no noise is sure"):
        explain(RECORDS, Cohort(devices=2, records=10, functions=5))

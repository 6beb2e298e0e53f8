from fractions import Fraction

import pytest

from fieldvote.errors import InputError, RefusalError
from privacy.dp import Accountant
from privacy.dp.policy import PrivacyPolicy, Unit


def test_the_shipped_policy_is_the_one_that_is_documented():
    policy = PrivacyPolicy()
    assert (policy.unit, policy.epsilon, policy.delta) == (Unit.RECORD, 4.0, 1e-6)
    assert dict(policy.shares) == {
        "training": Fraction(1, 2),
        "summaries": Fraction(1, 4),
        "evaluation": Fraction(1, 4),
    }


def test_the_shares_together_stay_within_epsilon():
    policy = PrivacyPolicy(epsilon=1.7, delta=1e-7)
    account = Accountant()
    for part in policy.micro_rho_by_kind.values():
        account = account.spend(part)
    assert account.micro_rho > 0.99 * policy.micro_rho
    assert account.epsilon(delta=1e-7) <= 1.7


@pytest.mark.parametrize(
    "bad",
    [
        {"epsilon": 0.0},
        {"epsilon": float("nan")},
        {"epsilon": float("inf")},
        {"epsilon": 5e-324},
        {"delta": 0.0},
        {"delta": 1.0},
        {"delta": float("nan")},
        {"shares": {}},
        {"shares": {"training": Fraction(2, 3), "summaries": Fraction(1, 2)}},
        {"shares": {"training": Fraction(0)}},
        {"shares": {"training": Fraction(-1), "summaries": Fraction(1)}},
    ],
)
def test_a_policy_that_promises_nothing_is_refused(bad):
    with pytest.raises(InputError):
        PrivacyPolicy(**bad)


def test_a_policy_cannot_be_changed_from_outside():
    shares = {"training": Fraction(1, 2)}
    policy = PrivacyPolicy(shares=shares)
    shares["training"] = Fraction(1)
    assert policy.shares["training"] == Fraction(1, 2)
    with pytest.raises(TypeError):
        policy.shares["training"] = Fraction(1)


def test_deeper_training_is_refused_where_records_are_protected():
    PrivacyPolicy().check_training(layers="head")
    PrivacyPolicy(unit=Unit.DEVICE).check_training(layers="all")
    with pytest.raises(RefusalError, match="only the head is trained"):
        PrivacyPolicy().check_training(layers="all")

"""A rehearsal under a privacy policy: what it spends is in the report, and its curve is exact."""

from dataclasses import replace

import pytest

from fieldvote.errors import SettingsError
from fieldvote.privacy_policy import PrivacySettings
from fieldvote.settings import parse_settings, parse_toml
from simulations.population import populate
from simulations.rehearsal import run
from simulations.scenario import Scenario

PRIVACY = PrivacySettings(
    unit="record", against="outsiders", cohort=6, dropouts=0.0, corrupt=0.0, rounds=2, bound=4.0
)
SCENARIO = replace(Scenario.load("digits"), devices=10, rounds=5, labels_per_device=20)


def test_the_scenarios_table_becomes_the_policy_of_its_task():
    task = populate(replace(SCENARIO, privacy=PRIVACY), 1).shared.task
    assert task.policy.privacy == PRIVACY
    assert not populate(SCENARIO, 1).shared.task.policy.privacy.on
    said = 'name = "x"\ndata = "digits"\n[privacy]\nunit = "record"\nepsilon = 2.0\n'
    assert parse_settings(parse_toml(said.encode(), "x"), Scenario, "x").privacy.epsilon == 2.0
    with pytest.raises(SettingsError, match=r"privacy\.epsilon"):
        replace(PRIVACY, epsilon=-1.0)


@pytest.mark.slow
def test_the_report_says_what_was_spent_and_the_budget_ends_the_campaign():
    report = run(replace(SCENARIO, privacy=PRIVACY), seed=1)
    # of five: there is no budget for more
    assert [point.round for point in report.curve] == [1, 2]
    assert report.epsilon is not None
    # without functions there are no votes and no anchors to pay for
    assert 3.4 < report.epsilon <= 4.0
    assert all(0.0 <= point.metric <= 1.0 for point in report.curve)
    plain = replace(SCENARIO, rounds=1, labels_per_device=1, devices=5)
    assert run(plain, seed=1).epsilon is None

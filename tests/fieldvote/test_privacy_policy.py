"""[privacy] of a policy: read strictly, and refused where it could not be kept."""

import pytest

from fieldvote.errors import SettingsError
from fieldvote.policy import Policy
from fieldvote.privacy_policy import PrivacySettings
from fieldvote.settings import parse_settings, parse_toml


def read(text: str) -> Policy:
    return parse_settings(parse_toml(text.encode(), "policy.toml"), Policy, "policy.toml")


def test_without_the_table_no_noise_is_added():
    assert not read("").privacy.on
    assert not read("[privacy]\nepsilon = 1.0\n").privacy.on


def test_the_shipped_default_is_epsilon_four_for_one_record():
    found = read('[privacy]\nunit = "record"\n').privacy
    assert (found.epsilon, found.delta, found.cap_votes) == (4.0, 1e-6, 5)
    assert (found.split.training, found.split.summaries, found.split.evaluation) == (
        0.5,
        0.25,
        0.25,
    )
    assert (found.sure, found.missing, found.told) == (80, 10, 10)


@pytest.mark.parametrize(
    "line",
    [
        'unit = "person"',
        "epsilon = 0.0",
        "epsilon = -1.0",
        "epsilon = nan",
        "epsilon = inf",
        "delta = 0.0",
        "delta = 1.0",
        "cohort = 0",
        "rounds = 0",
        "cap_votes = 0",
        "dropouts = 1.0",
        "corrupt = -0.1",
        "dropouts = 0.5\ncorrupt = 0.5",
        "bound = 0.0",
        "clip = inf",
        'against = "nobody"',
        "epsilno = 4.0",
        "[privacy.split]\ntraining = 0.9",
        "[privacy.split]\ntraining = 0.0",
        "[privacy.split]\nwatch = 0.1",
        "[privacy.split]\nevaluation = 0.1\nwatch = -0.1",
        "[privacy.split]\nevaluation = 0.1\nwatch = nan",
        'unit = "device"\n[privacy.split]\nevaluation = 0.1\nwatch = 0.1',
    ],
)
def test_what_cannot_be_kept_is_refused(line: str) -> None:
    unit = "" if line.startswith("unit") else 'unit = "record"\n'
    with pytest.raises(SettingsError):
        read(f"[privacy]\n{unit}{line}\n")


def test_shared_noise_needs_as_many_honest_devices_in_a_secure_sum_as_share_it():
    table = '[cohort]\nsums = "secure"\nleast_cohort = 90\nleast_sum = {}\n'
    noise = '[privacy]\nunit = "record"\n'
    with pytest.raises(SettingsError, match=r"80 shares of the noise.*79 honest devices"):
        read(table.format(79) + noise)
    assert read(table.format(80) + noise).privacy.on
    # who trusts the coordinator with single replies does not rest on masks
    assert read(table.format(5) + noise + 'against = "outsiders"\n').privacy.on
    assert read(table.format(5)).cohort.secure


def test_every_default_can_be_kept():
    for unit in ("none", "record", "device"):
        assert PrivacySettings(unit=unit).sure == 80  # type: ignore[arg-type]  # one of the three

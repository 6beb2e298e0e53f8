"""A whole fleet whose items change: quiet while nothing does, seen at once, and asked about."""

from pathlib import Path

import pytest

from tests.simulations.drifting_fleet import QUOTA, rehearse


@pytest.mark.slow  # a campaign of fourteen rounds
@pytest.mark.parametrize("change", ["shift", "new"])
def test_a_change_after_ten_quiet_rounds_is_seen_and_asked_about(
    tmp_path: Path, change: str
) -> None:
    found = rehearse(tmp_path, change, seed=1, quiet=10, rounds=14)
    alarms = found.outcome.alarms
    assert [number for number in alarms if number <= 10] == []
    assert any(number in (11, 12) for number in alarms)
    assert found.outcome.aimed[:1] == (alarms[0] + 1,)


@pytest.mark.nightly  # 66 rounds each
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("change", ["shift", "new"])
def test_fifty_quiet_rounds_are_quiet_and_the_change_after_them_is_not(
    tmp_path: Path, change: str, seed: int
) -> None:
    found = rehearse(tmp_path, change, seed=seed, quiet=50, rounds=66)
    assert sum(number <= 50 for number in found.outcome.alarms) <= 1
    assert any(number in (51, 52) for number in found.outcome.alarms)
    if change == "new":
        assert found.share_of_new >= QUOTA

"""Rehearsals whose policy asks for secure sums: the same curve, and more bytes."""

from dataclasses import replace
from pathlib import Path

from coordinator.recipe_settings import RecipeSettings
from fieldvote.cohort_policy import CohortPolicy
from simulations import Report, Scenario, run
from tests.simulations.data_files import rows_file


def _report(path: Path, cohort: CohortPolicy) -> Report:
    scenario = replace(
        Scenario.for_data(path),
        rounds=1,
        online_share=1.0,
        cohort=cohort,
        recipes=RecipeSettings(rounds=()),  # a fold of this fleet is too small for a sum
    )
    return run(scenario, seed=3)


def test_a_rehearsal_over_secure_sums_has_the_curve_of_plain_ones(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.npz", devices=14, items=8)
    plain = _report(path, CohortPolicy())
    secure = _report(path, CohortPolicy(sums="secure"))
    assert secure.curve == plain.curve
    assert secure.random_curve == plain.random_curve
    assert secure.label_model == plain.label_model
    assert (plain.sums, secure.sums) == (
        "exact sums, seen per device",
        "exact sums over 10 or more devices",
    )
    ours, theirs = secure.bytes_up_by_kind, plain.bytes_up_by_kind
    assert sum(ours.values()) == secure.bytes_up
    assert ours["offers"] == theirs["offers"]
    assert ours["candidates"] == theirs["candidates"]
    assert min(ours.values()) > 0
    for kind in ("updates", "summaries", "overhead"):
        assert ours[kind] > theirs[kind]

"""A rehearsal shows its annotators rows by the policy's rules, and stays the same to the byte."""

from dataclasses import replace
from pathlib import Path

import pytest

from simulations import Scenario, run
from simulations.dataset import Dataset
from tests.simulations.data_files import rows_file

RULES = (
    '{ kind = "noise", spread = 0.5, decimals = 1 }',
    '{ kind = "place", grid = 0.5 }',
    '{ kind = "decimals", decimals = 0 }',
    '{ kind = "drop" }',
)


def policy(dataset: Dataset, _: Scenario) -> str:
    """Return a policy with a rule for each field but the last."""
    named = zip(dataset.feature_names, RULES, strict=False)
    lines = [f'"{name}" = {rule}' for name, rule in named]
    return "\n".join(["[limits]", "offers = 512", "[candidates.fields]", *lines, ""])


@pytest.mark.slow
def test_a_rehearsal_with_rules_learns_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulations.tasks._policy", policy)
    file = rows_file(tmp_path / "rows.npz")
    plain = Scenario.for_data(file)
    scenario = replace(plain, rounds=2, inputs=replace(plain.inputs, fourier=0), exchanges=3)
    first, again = (run(scenario, seed=1) for _ in range(2))
    assert first.curve == again.curve
    assert first.candidates == again.candidates > 0
    assert first.curve[-1].metric > 0.6  # three classes: shown rows can still be told apart

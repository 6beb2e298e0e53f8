"""Names and shapes that programs outside rely on. What stands here does not change."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fieldvote.cli import app
from fieldvote.errors import FieldvoteError
from privacy.pii import Redactor
from strategies.acquisition import ACQUISITIONS, Candidates
from strategies.labeling import AnchorSummary, LabelModel, VoteSummary, fit_across

FIELDVOTE = str(Path(sys.executable).parent / "fieldvote")
VOTES = np.array([[0, 0, -1], [1, 1, 1], [0, -1, 0], [1, 0, 1], [-1, -1, -1]], dtype=np.int8)


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FIELDVOTE, *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_vote_summaries_add_up_and_fit_a_label_model() -> None:
    shards = [VOTES[:2], VOTES[2:]]
    summaries = [VoteSummary.from_votes(votes, classes=2) for votes in shards]
    total = sum(summaries, start=VoteSummary.empty(functions=3, classes=2))
    model = LabelModel.fit(total, anchors=None)
    probabilities = model.predict(VOTES)
    assert probabilities.shape == (5, 2)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_anchor_summaries_are_additive_and_guide_the_fit() -> None:
    labels = np.array([0, 1, 0, 1, 0])
    whole = AnchorSummary.from_votes(VOTES, labels, classes=2)
    parts = AnchorSummary.from_votes(VOTES[:2], labels[:2], classes=2) + AnchorSummary.from_votes(
        VOTES[2:], labels[2:], classes=2
    )
    np.testing.assert_array_equal(whole.to_vector(), parts.to_vector())
    LabelModel.fit(VoteSummary.from_votes(VOTES, classes=2), anchors=whole)


def test_the_federated_fit_takes_shards_that_may_be_empty() -> None:
    empty = np.empty((0, 3), dtype=np.int8)
    one = fit_across([VOTES], classes=2, rounds=3, anchors=None)
    many = fit_across([VOTES[:1], empty, VOTES[1:]], classes=2, rounds=3, anchors=None)
    assert one.predict(VOTES).tobytes() == many.predict(VOTES).tobytes()


@pytest.mark.parametrize("name", sorted(ACQUISITIONS))
def test_an_acquisition_returns_distinct_positions_best_first(name: str) -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(3), size=20)
    picked = ACQUISITIONS[name](
        Candidates(probabilities=probabilities, embeddings=rng.normal(size=(20, 4))), 100, rng
    )
    assert picked.dtype == np.int64
    assert sorted(picked.tolist()) == list(range(20))


def test_the_strict_redactor_covers_every_character_it_does_not_pass() -> None:
    text = "Please call Maria Gonzales on +1 415 555 0134 today"
    redaction = Redactor(mode="strict", locales=("en",)).redact(text)
    covered = set()
    end = 0
    for start, stop, kind in redaction.spans:
        assert end <= start < stop
        assert kind
        covered |= set(range(start, stop))
        end = stop
    assert "Gonzales" not in redaction.text
    assert "0134" not in redaction.text
    kept = "".join(char for place, char in enumerate(text) if place not in covered)
    assert all(char in redaction.text for char in kept.strip())


def test_an_accountant_composes_and_says_epsilon() -> None:
    from privacy.dp import Accountant

    accountant = Accountant()
    spent = accountant.compose(noise_multiplier=2.0, count=10).epsilon(delta=1e-6)
    assert 5 < spent < 12
    assert accountant.compose(noise_multiplier=2.0, count=11).epsilon(delta=1e-6) > spent


def test_a_train_step_has_the_promised_inputs_and_outputs(tmp_path: Path) -> None:
    import onnx

    from coordinator.compiler import compile_step
    from coordinator.new_task import Kind, write_task

    write_task(tmp_path / "task", Kind.TABULAR)
    model = (tmp_path / "task" / "model.onnx").read_bytes()
    for emit, name in (("update", "{}:new"), ("gradients", "grad:{}")):
        step = compile_step(
            model,
            trainable="all",
            loss="soft_cross_entropy",
            optimizer="sgd",
            gates=(),
            emit=emit,
        )
        graph = onnx.load_from_string(step.graph).graph
        assert {"target", "weight", "lr", *step.parameters} <= {v.name for v in graph.input}
        outputs = {value.name for value in graph.output}
        assert {"loss", *(name.format(parameter) for parameter in step.parameters)} <= outputs


@pytest.mark.slow
def test_a_rehearsal_is_two_names_and_one_call() -> None:
    import simulations
    from simulations import Report, Scenario
    from simulations import run as rehearse

    report = rehearse(replace(Scenario.load("digits"), rounds=1, devices=8), seed=1)
    assert isinstance(report, Report)
    assert report.rounds == 1
    with pytest.raises(AttributeError):
        _ = simulations.runn


def test_exit_codes_come_from_one_table() -> None:
    codes = {kind.exit_code for kind in _tree(FieldvoteError)}
    assert codes == {2, 3, 4, 5}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["simulate"], 2),
        (["simulate", "no-such-scenario"], 2),
        (["simulate", "digits", "--strategy", "marginn"], 2),
        (["check", "no-such-folder"], 2),
        (["edge", "status", "--config", "absent.toml"], 2),
        (["no-such-command"], 2),
    ],
)
def test_commands_end_with_the_promised_exit_code(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["demo"],
        ["new"],
        ["check"],
        ["simulate"],
        ["doctor"],
        ["edge", "run"],
        ["edge", "status"],
        ["edge", "ledger"],
        ["edge", "purge"],
        ["coordinator", "serve"],
        ["coordinator", "status"],
        ["rounds", "plan"],
        ["rounds", "list"],
        ["rounds", "show"],
        ["rounds", "pause"],
        ["rounds", "resume"],
        ["rounds", "abort"],
        ["rounds", "reproduce"],
        ["models", "list"],
        ["models", "explain"],
        ["edge", "rollback"],
        ["edge", "enroll"],
        ["keys", "init"],
        ["keys", "rotate"],
        ["keys", "show"],
        ["keys", "sign"],
    ],
)
def test_every_promised_command_is_there_and_teaches(words: list[str]) -> None:
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    assert "Example" in done.stdout


@pytest.mark.parametrize(
    "words",
    [["compare"]],
)
def test_a_command_whose_time_has_not_come_is_absent(words: list[str]) -> None:
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 2


@pytest.mark.slow
def test_the_report_has_its_promised_keys_in_order(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    words = ("--rounds", "2", "--devices", "8", "--seed", "3", "--json", str(path))
    done = run("simulate", "digits", *words)
    assert done.returncode == 0, done.stderr
    report = json.loads(path.read_text())
    promised = [
        "scenario",
        "seed",
        "engine",
        "strategy",
        "devices",
        "rounds",
        "metric",
        "full_data_metric",
        "own_ceiling_metric",
        "curve",
        "labels_to",
        "random_curve",
        "random_labels_to",
        "bytes_up",
        "bytes_up_by_kind",
        "bytes_down",
        "raw_bytes",
        "epsilon",
        "candidates",
        "pii_planted",
        "pii_leaked",
        "label_model",
        "wall_s",
        "client_rounds_per_s",
        "peak_rss_mb",
    ]
    assert [key for key in report if key in promised] == promised
    assert set(report["curve"][0]) == {"round", "labels", "metric"}
    assert set(report["labels_to"]) == set(report["random_labels_to"]) == {"0.95", "0.99"}
    assert list(report["bytes_up_by_kind"]) == [
        "summaries",
        "offers",
        "candidates",
        "updates",
        "overhead",
    ]
    assert sum(report["bytes_up_by_kind"].values()) == report["bytes_up"]
    assert {"accuracy", "brier"} <= set(report["label_model"])
    assert report["epsilon"] is None


def _tree(kind: type[FieldvoteError]) -> list[type[FieldvoteError]]:
    return [kind, *(name for child in kind.__subclasses__() for name in _tree(child))]

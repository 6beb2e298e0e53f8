"""The check finds what is wrong with a task, and says how its functions behave."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from coordinator.models.backbone import identity_backbone
from coordinator.new_task import Kind, write_task
from edge.check_task import check_task
from fieldvote.cli import app
from fieldvote.errors import InputError, TaskError


@pytest.fixture
def text_task(tmp_path: Path) -> Path:
    write_task(tmp_path / "text", Kind.TEXT)
    return tmp_path / "text"


@pytest.fixture
def row_task(tmp_path: Path) -> Path:
    write_task(tmp_path / "rows", Kind.TABULAR)
    return tmp_path / "rows"


def edit(file: Path, old: str, new: str) -> None:
    content = file.read_text()
    assert old in content
    file.write_text(content.replace(old, new))


MODEL_FUNCTION = """
[[function]]
id = "sure"
kind = "model"
class = "offer"
minimum = 0.5
owner = "ann"
examples = [
    { input = { offer = 0.9, ordinary = 0.1 }, vote = "offer" },
    { input = { ordinary = 0.9 }, vote = "abstain" },
]
"""


def test_every_function_s_examples_are_run(text_task: Path, row_task: Path) -> None:
    with (text_task / "functions.toml").open("a") as file:
        file.write(MODEL_FUNCTION)
    for folder, examples in ((text_task, [2, 2, 2]), (row_task, [3, 2])):
        report = check_task(folder)
        assert report.passed
        assert [function.examples for function in report.functions] == examples


@pytest.mark.parametrize("kind", Kind)
def test_an_example_without_its_vote_fails_and_ends_with_2(tmp_path: Path, kind: Kind) -> None:
    folder = tmp_path / "t"
    write_task(folder, kind)
    if kind is Kind.TEXT:
        edit(folder / "functions.toml", '"prize", "winner", "congratulations", ', "")
    else:
        edit(folder / "functions.toml", "above = 4.2", "above = 9")
    report = check_task(folder)
    first = report.functions[0].failed
    assert [(each.position, each.got) for each in first] == [(1, "abstain")]
    assert not report.passed
    ended = CliRunner().invoke(app, ["check", str(folder)])
    assert ended.exit_code == 2
    assert f"FAILED {report.functions[0].id}: example 1: expected" in ended.stdout
    assert "all is well" not in ended.stdout


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('input = "input"', 'input = "x"', "no input 'x'; it has input"),
        ('"probabilities"', '"p"', "no output 'p'; it has embedding, probabilities"),
        ('embedding = "embedding"', 'embedding = "e"', "no output 'e'; it has embedding, proba"),
        ("width = 256", "width = 128", "takes 256 features, the task has 128"),
        ('"ordinary", "offer"', '"ordinary", "offer", "x"', r"shape \(1, 2\), expected \(n, 3\)"),
    ],
)
def test_a_model_that_is_not_the_task_s_is_refused(
    text_task: Path, old: str, new: str, message: str
) -> None:
    edit(text_task / "task.toml", old, new)
    with pytest.raises(TaskError, match=f"model.onnx.*{message}"):
        check_task(text_task)


def test_a_model_that_is_no_model_or_too_narrow_is_refused(text_task: Path) -> None:
    (text_task / "model.onnx").write_bytes(identity_backbone(8, 2))
    edit(text_task / "task.toml", "width = 256", "width = 8")
    with pytest.raises(InputError, match="width of at least"):
        check_task(text_task)
    (text_task / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(TaskError, match="not a model"):
        check_task(text_task)


def test_a_model_whose_probabilities_are_none_is_refused(text_task: Path) -> None:
    model = onnx.load_model_from_string((text_task / "model.onnx").read_bytes())
    model.graph.node[-1].op_type = "LogSoftmax"
    (text_task / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(TaskError, match="output 'probabilities' does not sum to 1"):
        check_task(text_task)


def test_items_show_how_often_functions_vote_and_disagree(text_task: Path, tmp_path: Path) -> None:
    texts = ["a PRIZE", "haha a prize", "see you", "nothing", "prize prize"]
    npz = tmp_path / "items.npz"
    utf8 = np.frombuffer("\n".join(texts).encode(), np.uint8)
    np.savez(npz, utf8=utf8, y=np.array([1, 0, 0, 0, 0]))
    report = check_task(text_task, npz)
    prize, chats = (function.conduct for function in report.functions)
    assert prize is not None
    assert chats is not None
    assert (report.items, report.covered) == (5, 0.8)
    assert (prize.coverage, prize.overlap, prize.conflict) == (0.6, 0.2, 0.2)
    assert prize.accuracy == pytest.approx(1 / 3)
    assert (chats.coverage, chats.accuracy, chats.errors) == (0.4, 1.0, 0)
    plain = tmp_path / "items.txt"
    plain.write_text("\n".join(texts) + "\n\n")
    unlabeled = check_task(text_task, plain)
    assert unlabeled.covered == 0.8
    assert unlabeled.functions[0].conduct is not None
    assert unlabeled.functions[0].conduct.accuracy is None


def test_a_model_function_votes_with_what_the_model_says(text_task: Path, tmp_path: Path) -> None:
    (text_task / "functions.toml").write_text(MODEL_FUNCTION)
    (tmp_path / "i.txt").write_text("one\ntwo")
    conduct = check_task(text_task, tmp_path / "i.txt").functions[0].conduct
    assert conduct is not None
    assert (conduct.coverage, conduct.errors) == (1.0, 0)  # every class has probability 0.5


def test_latency_is_what_the_clock_says(text_task: Path, tmp_path: Path) -> None:
    (tmp_path / "i.txt").write_text("one\ntwo")
    ticks = iter(range(100))
    report = check_task(text_task, tmp_path / "i.txt", clock=lambda: float(next(ticks)))
    assert (report.latency_us, report.model_latency_us) == (500_000.0, 500_000.0)
    assert all(
        each.conduct is not None and each.conduct.latency_us == 500_000.0
        for each in report.functions
    )


def test_readings_of_a_new_tabular_task_fit_it(row_task: Path) -> None:
    report = check_task(row_task, row_task / "readings.npz")
    assert report.items == 1200
    for function in report.functions:
        assert function.conduct is not None
        assert function.conduct.errors == 0
        assert function.conduct.accuracy is not None
        assert function.conduct.accuracy > 0.8


def test_table_and_json_say_the_same(row_task: Path) -> None:
    arguments = ["check", str(row_task), "--items", str(row_task / "readings.npz")]
    table = CliRunner().invoke(app, arguments)
    said = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert table.exit_code == 0
    assert said["passed"] is True
    for function in said["functions"]:
        assert function["id"] in table.stdout
        assert function["version"] in table.stdout
        assert f"{function['conduct']['coverage']:.1%}" in table.stdout


def test_a_bad_task_is_one_line_and_ends_with_2(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["check", str(tmp_path / "none")])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1


def texts_file(tmp_path: Path, texts: list[str], labels: list[int], **arrays: list[int]) -> Path:
    file = tmp_path / "labeled.npz"
    utf8 = np.frombuffer("\n".join(texts).encode(), np.uint8)
    more = {name: np.array(values) for name, values in arrays.items()}
    np.savez(file, utf8=utf8, y=np.array(labels), **more)
    return file


LOOKUP = """
[[function]]
id = "table"
kind = "lookup"
owner = "ann"
origin = "wording"
table = { pizza = "ordinary", voucher = "offer" }
"""


def test_each_function_is_shown_for_each_of_its_classes(text_task: Path, tmp_path: Path) -> None:
    (text_task / "functions.toml").write_text(LOOKUP)
    file = texts_file(tmp_path, ["pizza", "voucher", "voucher", "x"], [0, 0, 1, 1])
    report = check_task(text_task, file)
    conduct = report.functions[0].conduct
    assert conduct is not None
    by_class = dict(conduct.by_class)
    assert (by_class["ordinary"].coverage, by_class["ordinary"].accuracy) == (0.25, 1.0)
    assert (by_class["offer"].coverage, by_class["offer"].accuracy) == (0.5, 0.5)
    assert [each.name for each in report.classes] == ["ordinary", "offer"]
    assert report.classes[1].tally is not None
    assert report.classes[1].tally.coverage == 0.5
    ended = CliRunner().invoke(app, ["check", str(text_task), "--items", str(file)])
    assert any(line.split()[:2] == ["offer", "50.0%"] for line in ended.stdout.splitlines())


def test_a_class_no_function_votes_for_is_named(text_task: Path) -> None:
    (text_task / "functions.toml").write_text(LOOKUP.replace('"offer"', '"ordinary"'))
    report = check_task(text_task)
    assert report.gaps == ("offer",)
    ended = CliRunner().invoke(app, ["check", str(text_task)])
    assert "GAP offer: no function votes for it" in ended.stdout
    assert json.loads(CliRunner().invoke(app, ["check", str(text_task), "--json"]).stdout)[
        "gaps"
    ] == ["offer"]


def test_origins_are_counted_and_twins_suspected(text_task: Path, tmp_path: Path) -> None:
    twin = LOOKUP.replace('"table"', '"twin"', 1)
    other = LOOKUP.replace('"table"', '"other"', 1).replace('"wording"', '""')
    (text_task / "functions.toml").write_text(
        LOOKUP + twin + other.replace("pizza", "beer").replace("voucher", "wine")
    )
    texts = ["pizza", "voucher", "beer", "wine", "x"] * 20
    report = check_task(text_task, texts_file(tmp_path, texts, [0, 1, 0, 1, 0] * 20))
    assert report.origins == 2
    assert report.effective_origins == pytest.approx(1.8899, abs=1e-3)  # two votes to one
    assert [(each.first, each.second, each.same_origin) for each in report.pairs] == [
        ("table", "twin", True)
    ]


def test_groups_are_shown_for_an_array_of_the_file(text_task: Path, tmp_path: Path) -> None:
    (text_task / "functions.toml").write_text(LOOKUP)
    texts = ["pizza"] * 60 + ["x"] * 60
    file = texts_file(tmp_path, texts, [0] * 120, country=[1] * 60 + [2] * 60)
    arguments = ["check", str(text_task), "--items", str(file), "--by", "country"]
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0
    assert "UNEVEN country 2: coverage 0%, elsewhere 100%" in ended.stdout
    said = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert [(each["name"], each["coverage"]) for each in said["groups"]] == [("1", 1.0), ("2", 0.0)]
    alone = CliRunner().invoke(app, ["check", str(text_task), "--by", "country"])
    assert alone.exit_code == 2
    assert "give --items" in alone.stderr


def test_a_regression_against_a_baseline_ends_with_2(text_task: Path, tmp_path: Path) -> None:
    (text_task / "functions.toml").write_text(LOOKUP)
    file = texts_file(tmp_path, ["pizza", "voucher", "x", "y"], [0, 1, 0, 1])
    kept = tmp_path / "baseline.json"
    arguments = ["check", str(text_task), "--items", str(file)]
    saved = CliRunner().invoke(app, [*arguments, "--save-baseline", str(kept)])
    first = kept.read_bytes()
    again = CliRunner().invoke(
        app, [*arguments, "--baseline", str(kept), "--save-baseline", str(kept)]
    )
    assert (saved.exit_code, again.exit_code) == (0, 0)
    assert kept.read_bytes() == first
    edit(text_task / "functions.toml", "voucher", "vouchers")
    worse = CliRunner().invoke(app, [*arguments, "--baseline", str(kept)])
    assert worse.exit_code == 2
    assert "WORSE function table: coverage fell from 50.0% to 25.0%" in worse.stdout
    assert "WORSE class offer: lost, no function votes for it any more" in worse.stdout
    assert "all is well" not in worse.stdout
    said = json.loads(
        CliRunner().invoke(app, [*arguments, "--baseline", str(kept), "--json"]).stdout
    )
    assert said["passed"] is False
    assert len(said["regressions"]) == 3
    edit(text_task / "functions.toml", "vouchers", "voucher")
    edit(text_task / "functions.toml", 'pizza = "ordinary", ', "")
    allowed = [*arguments, "--baseline", str(kept), "--coverage-drop", "0.3"]
    assert CliRunner().invoke(app, allowed).exit_code == 2  # a class is lost all the same
    edit(text_task / "functions.toml", "voucher =", 'y = "ordinary", voucher =')
    moved = [*arguments, "--baseline", str(kept), "--accuracy-drop", "1"]
    assert CliRunner().invoke(app, moved).exit_code == 0


def test_what_is_declared_and_not_checked_is_noted(text_task: Path) -> None:
    report = check_task(text_task)
    assert report.passed
    assert report.notes == (
        "languages of praises_prize, chats are declared and not checked: no [language] table",
    )
    with (text_task / "functions.toml").open("a") as file:
        file.write('[language]\nkind = "words"\namong = ["en", "de"]\n')
    assert check_task(text_task).notes == ()  # and examples count as being in its languages
    (text_task / "functions.toml").write_text(LOOKUP)
    assert check_task(text_task).notes == ("no example says what table should do",)


def test_a_python_function_needs_a_pin(text_task: Path) -> None:
    (text_task / "functions.toml").write_text(
        '[[function]]\nid = "p"\nkind = "python"\nowner = "ann"\nvotes_for = ["offer"]\n'
        f'entry_point = "nobody-has-this"\ndigest = "{"0" * 64}"\n'
    )
    ended = CliRunner().invoke(app, ["check", str(text_task)])
    assert ended.exit_code == 4
    assert "no Python function 'nobody-has-this' is installed" in ended.stderr
    wrong = CliRunner().invoke(app, ["check", str(text_task), "--pin", "nobody"])
    assert wrong.exit_code == 2
    assert "--pin: expected NAME=DIGEST, got 'nobody'" in wrong.stderr


def test_labels_tell_whether_the_model_can_be_believed(row_task: Path, tmp_path: Path) -> None:
    report = check_task(row_task, row_task / "readings.npz")
    assert report.calibration is not None
    assert report.calibration.log_loss == pytest.approx(np.log(2), abs=1e-6)  # it knows nothing yet
    shown = CliRunner().invoke(
        app, ["check", str(row_task), "--items", str(row_task / "readings.npz")]
    )
    assert "the model's log loss on these items is 0.693\n" in shown.stdout
    np.savez(tmp_path / "unlabeled.npz", X=np.ones((2, 4)))
    assert check_task(row_task, tmp_path / "unlabeled.npz").calibration is None

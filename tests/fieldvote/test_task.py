"""A task folder is one value, checked together."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, TaskError
from fieldvote.policy import RedactionMode
from fieldvote.task import TabularInput, Task, TextInput, digest_files

TEXT = {
    "task.toml": b'name = "offers"\nclasses = ["ordinary", "offer"]\n'
    b'[input]\nkind = "text"\nwidth = 64\n',
    "functions.toml": b'[[function]]\nid = "prize"\nkind = "keyword"\nclass = "offer"\n'
    b'owner = "ann"\nwords = ["prize"]\n',
    "policy.toml": b"[limits]\ncandidates = 5\n",
    "model.onnx": b"some bytes",
}
ROWS = {
    **TEXT,
    "task.toml": b'name = "wear"\nclasses = ["normal", "worn"]\n'
    b'[input]\nkind = "tabular"\nfields = ["heat", "speed"]\n'
    b'[model]\nfile = "net.onnx"\ninput = "x"\n',
    "functions.toml": b'[[function]]\nid = "hot"\nkind = "threshold"\nclass = "worn"\n'
    b'owner = "ann"\nfield = "heat"\nabove = 3\n',
    "policy.toml": b"[candidates]\nkeep = { heat = 1 }\n",
    "net.onnx": b"other bytes",
}
del ROWS["model.onnx"]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_becomes_a_task(tmp_path: Path) -> None:
    task = Task.load(write(tmp_path / "t", ROWS))
    assert (task.name, task.classes) == ("wear", ("normal", "worn"))
    assert task.input == TabularInput(fields=("heat", "speed"))
    assert task.input.width == 2
    assert (task.names.file, task.names.input, task.names.embedding) == (
        "net.onnx",
        "x",
        "embedding",
    )
    assert [function.id for function in task.functions] == ["hot"]
    assert task.policy.candidates.keep == (("heat", 1),)
    assert task.model == b"other bytes"


def test_what_a_policy_leaves_out_has_the_careful_default() -> None:
    policy = Task.parse({**TEXT, "policy.toml": b""}, "t").policy
    assert policy.candidates.redaction is RedactionMode.STRICT
    assert policy.candidates.keep == ()
    assert policy.rounds.random_share == 0.1


def test_files_are_what_is_signed_and_nothing_beside_them(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", {**ROWS, "scenario.toml": b"x", "notes.txt": b"y"})
    assert Task.files(folder) == ROWS


def test_a_folder_and_its_files_are_the_same_task(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", TEXT)
    assert Task.load(folder) == Task.parse(Task.files(folder), "bundle")
    assert Task.load(folder).input == TextInput(width=64)


@pytest.mark.parametrize("name", sorted(TEXT))
def test_every_file_counts_in_the_digest(name: str) -> None:
    changed = {**TEXT, name: TEXT[name] + b"\n"}
    assert Task.parse(changed, "t").digest != Task.parse(TEXT, "t").digest


FILES = st.dictionaries(st.text(max_size=3), st.binary(max_size=3), max_size=3)


@settings(deadline=None)
@given(FILES, FILES)
def test_two_sets_of_files_have_one_digest_only_if_they_are_the_same(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    assert (digest_files(one) == digest_files(other)) == (one == other)
    assert digest_files(dict(reversed(one.items()))) == digest_files(one)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"task.toml": b"name = 3"}, "t/task.toml: name: expected a string"),
        (
            {"task.toml": TEXT["task.toml"].replace(b'"text"', b'"txt"')},
            "t/task.toml: input.kind: unknown word 'txt'; did you mean 'text'?",
        ),
        (
            {"task.toml": TEXT["task.toml"].replace(b"64", b"0")},
            "t/task.toml: input: width: expected 1 to",
        ),
        (
            {"task.toml": TEXT["task.toml"].replace(b'"ordinary", ', b"")},
            "t/task.toml: classes: expected at least 2, got 1",
        ),
        (
            {"task.toml": TEXT["task.toml"].replace(b"ordinary", b"offer")},
            "t/task.toml: classes: 'offer' stands there twice",
        ),
        (
            {"task.toml": TEXT["task.toml"].replace(b"ordinary", b"abstain")},
            "t/task.toml: classes: 'abstain' is what a function does",
        ),
        (
            {"task.toml": TEXT["task.toml"] + b'[model]\nfile = "../model.onnx"\n'},
            "t/task.toml: model: file: expected a file name in the task folder",
        ),
        (
            {"task.toml": TEXT["task.toml"] + b'[model]\nfile = "task.toml"\n'},
            "t/task.toml: model: file: 'task.toml' is not a model",
        ),
        ({"policy.toml": b"[limits]\nbites = 3"}, "t/policy.toml: unknown key 'limits.bites'"),
        ({"policy.toml": b"[limits]\nsize_bytes = -1"}, "size_bytes: expected 0 or more, got -1"),
        (
            {"policy.toml": b'[candidates]\nredaction = "strickt"'},
            "t/policy.toml: candidates.redaction: unknown word 'strickt'; did you mean 'strict'?",
        ),
        (
            {"policy.toml": b"[candidates]\nkeep = { heat = 1 }"},
            "t/policy.toml: candidates.keep.heat: a text has no fields to keep",
        ),
        (
            {"policy.toml": b"[rounds]\nrandom_share = 1.5"},
            "t/policy.toml: rounds: random_share: expected 0 to 1",
        ),
        ({"policy.toml": b"[rounds]\nprice = nan"}, "t/policy.toml: rounds: price: expected 0"),
        ({"extra.bin": b""}, "t: 'extra.bin' is no file of this task"),
    ],
)
def test_a_task_that_contradicts_itself_is_refused(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Task.parse({**TEXT, **files}, "t")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"policy.toml": b"[candidates]\nkeep = { haet = 1 }"},
            "t/policy.toml: candidates.keep.haet: no such field; did you mean 'heat'?",
        ),
        (
            {"policy.toml": b"[candidates]\nkeep = { heat = 13 }"},
            "t/policy.toml: candidates: keep.heat: expected -12 to 12 decimals",
        ),
        (
            {"functions.toml": ROWS["functions.toml"].replace(b'"heat"', b'"haet"')},
            "t/functions.toml: function 'hot': field: no field 'haet'; did you mean 'heat'?",
        ),
    ],
)
def test_a_tabular_task_is_checked_against_its_fields(
    files: dict[str, bytes], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Task.parse({**ROWS, **files}, "t")


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "t", ROWS)
    (folder / name).unlink()
    with pytest.raises(TaskError, match=f"^{folder}: '{name}' is missing$"):
        Task.load(folder)
    with pytest.raises(TaskError, match=f"^bundle: '{name}' is missing$"):
        Task.parse({key: ROWS[key] for key in ROWS if key != name}, "bundle")


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="no such folder; 'fieldvote new"):
        Task.load(tmp_path / "none")

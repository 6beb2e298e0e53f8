"""Vote matrices go to other tools and come back."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.labels.vote_files import FORMATS, read_votes, write_votes
from fieldvote.errors import DataError, InputError, StoreError
from tests.strategies.labeling.made_votes import any_votes


@pytest.mark.parametrize("suffix", list(FORMATS))
@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 2**32),
    items=st.integers(1, 20),
    functions=st.integers(1, 6),
    classes=st.integers(2, 9),
    labelled=st.booleans(),
)
def test_votes_come_back_as_they_went(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    seed: int,
    items: int,
    functions: int,
    classes: int,
    labelled: bool,
) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("votes") / f"train{suffix}"
    votes = any_votes(rng, items=items, functions=functions, classes=classes)
    labels = rng.integers(0, classes, items) if labelled and suffix != ".npy" else None
    write_votes(path, votes, classes=classes, labels=labels)
    found = read_votes(path, classes=None if suffix in {".npz", ".json"} else classes)
    assert found.votes.dtype == np.int8
    assert np.array_equal(found.votes, votes)
    assert found.classes == classes
    if labels is None:
        assert found.labels is None
    else:
        assert found.labels is not None
        assert found.labels.tolist() == labels.tolist()
    leftovers = {p.name for p in path.parent.iterdir()} - {path.name, "label.json"}
    assert not leftovers


def test_what_snorkel_saves_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "L_train.npy", np.array([[-1, 2], [0, 1]]))
    found = read_votes(tmp_path / "L_train.npy")
    assert found.votes.tolist() == [[-1, 2], [0, 1]]
    assert (found.classes, found.labels) == (3, None)


def test_short_names_in_an_archive_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", L=np.array([[-1, 0]]), y=np.array([1]), k=4)
    votes, classes, labels, _ = read_votes(tmp_path / "set.npz")
    assert (votes.tolist(), classes) == ([[-1, 0]], 4)
    assert labels is not None
    assert labels.tolist() == [1]


def test_a_wrench_data_set_is_read(tmp_path: Path) -> None:
    items = {
        "0": {"label": 1, "weak_labels": [-1, 1], "data": {"text": "check out my channel"}},
        "1": {"label": 0, "weak_labels": [0, -1], "data": {"text": "great song"}},
    }
    (tmp_path / "train.json").write_text(json.dumps(items))
    (tmp_path / "label.json").write_text(json.dumps({"0": "HAM", "1": "SPAM", "2": "OTHER"}))
    votes, classes, labels, _ = read_votes(tmp_path / "train.json")
    assert (votes.tolist(), classes) == ([[-1, 1], [0, -1]], 3)
    assert labels is not None
    assert labels.tolist() == [1, 0]
    (tmp_path / "label.json").unlink()
    assert read_votes(tmp_path / "train.json").classes == 2


def test_a_table_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "votes.csv").write_text("keyword,label,regex\n1,0,\n-1,1,0\n")
    votes, _, labels, _ = read_votes(tmp_path / "votes.csv")
    assert votes.tolist() == [[1, -1], [-1, 0]]
    assert labels is not None
    assert labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.npy", b"\x93NUMPY", id="cut short"),
        pytest.param("a.npz", b"PK\x03\x04 no archive", id="no archive"),
        pytest.param("a.csv", b"a,b\n1\n", id="a line too short"),
        pytest.param("a.csv", b"a\nsecret words\n", id="words"),
        pytest.param("a.csv", b"", id="an empty table"),
        pytest.param("a.csv", b"a\n\xff\n", id="not text"),
        pytest.param("a.json", b"[1, 2]", id="a list"),
        pytest.param("a.json", b'{"0": {"label": 1}}', id="an item without votes"),
        pytest.param(
            "a.json", b'{"0": {"weak_labels": [0]}, "1": {"weak_labels": [0, 1]}}', id="2"
        ),
        pytest.param("a.json", b'{"0": {"weak_labels": ["secret"]}}', id="votes of words"),
        pytest.param("a.json", b'{"0": {"weak_labels": [0], "label": 0.5}}', id="half a label"),
    ],
)
def test_a_broken_file_is_refused_without_quoting_it(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as refusal:
        read_votes(tmp_path / name)
    assert "secret" not in str(refusal.value)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        read_votes(tmp_path / "a.npy")


def test_what_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "votes.npz"
    write_votes(path, [[0, 1]], classes=2)
    before = path.read_bytes()
    with pytest.raises(InputError):
        write_votes(path, [[0, 7]], classes=2)
    assert path.read_bytes() == before
    with pytest.raises(InputError):
        write_votes(tmp_path / "votes.xls", [[0, 1]], classes=2)
    with pytest.raises(InputError):
        write_votes(tmp_path / "votes.npy", [[0, 1]], classes=2, labels=[0])
    with pytest.raises(StoreError):
        write_votes(tmp_path / "nowhere" / "votes.npy", [[0, 1]], classes=2)
    (tmp_path / "label.json").write_text('["a", "b", "c"]')
    with pytest.raises(DataError, match="3 classes"):
        write_votes(tmp_path / "train.json", [[0, 1]], classes=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["label.json", "votes.npz"]


def test_no_file_and_an_unknown_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_votes(tmp_path / "none.npz")
    with pytest.raises(InputError, match=r"\.npz"):
        read_votes(tmp_path / "votes.xls")
    np.save(tmp_path / "L.npy", np.array([[4]]))
    with pytest.raises(InputError):
        read_votes(tmp_path / "L.npy", classes=3)


def test_a_csv_names_its_functions(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("loud,label,brief\n0,1,1\n-1,0,1\n")
    found = read_votes(path)
    assert found.functions == ("loud", "brief")
    assert found.votes.tolist() == [[0, 1], [-1, 1]]
    np.save(tmp_path / "v.npy", found.votes)
    assert read_votes(tmp_path / "v.npy").functions == ()

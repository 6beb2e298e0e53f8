import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import DataError, InputError
from simulations.dataset import Dataset
from simulations.datasets import fill_missing, load_dataset, load_npz, training_medians

REAL = pytest.mark.skipif(
    not os.environ.get("FIELDVOTE_DATA"), reason="set FIELDVOTE_DATA to the folder of real data"
)
Arrays = dict[str, NDArray[np.generic]]


def table(**changes: object) -> Arrays:
    """A good file of numbers with some keys replaced, or left out where None."""
    good: dict[str, object] = {
        "X": np.array([[1.0, np.nan], [2.0, 5.0], [3.0, 6.0], [4.0, 7.0]]),
        "y": np.array([7, -3, 7, 7]),
        "device": np.array([10, 10, 4, 4]),
    }
    good.update(changes)
    return {key: np.asarray(value) for key, value in good.items() if value is not None}


def texts(*lines: str, **changes: object) -> Arrays:
    """A good file of four texts with some keys replaced."""
    body = np.frombuffer("\n".join(lines).encode(), dtype=np.uint8)
    return table(**{"X": None, "utf8": body, **changes})


def saved(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> Path:
    np.savez(path, **arrays)
    return path


def test_a_file_of_numbers_keeps_its_values_and_renumbers_classes_and_devices(
    tmp_path: Path,
) -> None:
    loaded = load_npz(saved(tmp_path / "mine.npz", table()))
    assert loaded.name == "mine"
    assert loaded.classes == ("-3", "7")
    assert loaded.labels.tolist() == [1, 0, 1, 1]
    assert loaded.device.tolist() == [1, 1, 0, 0]
    assert loaded.feature_names == ("x0", "x1")
    assert loaded.features is not None
    assert loaded.features.dtype == np.float64
    np.testing.assert_array_equal(loaded.features, table()["X"])
    assert (loaded.items, loaded.devices, loaded.texts) == (4, 2, None)


def test_a_file_of_texts_splits_at_newlines_and_nowhere_else(tmp_path: Path) -> None:
    lines = ("café\r", "", "a\u2028b\x0b", "łódź 🚲")
    loaded = load_npz(saved(tmp_path / "mine.npz", texts(*lines)))
    assert loaded.texts == lines
    assert loaded.features is None


def test_a_file_may_name_its_columns(tmp_path: Path) -> None:
    arrays = table(feature_names=["speed", "heat"])
    assert load_npz(saved(tmp_path / "a.npz", arrays)).feature_names == ("speed", "heat")


BAD: dict[str, tuple[Callable[[], Arrays], str]] = {
    "no y": (lambda: table(y=None), "y is missing"),
    "no device": (lambda: table(device=None), "device is missing"),
    "neither X nor utf8": (lambda: table(X=None), "either X or utf8"),
    "both X and utf8": (lambda: texts("a", "b", "c", "d", X=table()["X"]), "either X or utf8"),
    "float y": (lambda: table(y=[0.0, 1.0, 0.0, 1.0]), "y is float64"),
    "text y": (lambda: table(y=["a", "b", "a", "b"]), "y is <U1"),
    "two-dimensional y": (lambda: table(y=[[0], [1], [0], [1]]), "y is int64 of shape"),
    "float device": (lambda: table(device=[0.0, 1.0, 0.0, 1.0]), "device is float64"),
    "integer X": (lambda: table(X=[[1], [2], [3], [4]]), "X is int64"),
    "flat X": (lambda: table(X=[1.0, 2.0, 3.0, 4.0]), "X is float64 of shape"),
    "X without columns": (lambda: table(X=np.empty((4, 0))), "X is float64 of shape"),
    "infinity": (lambda: table(X=[[1.0], [-np.inf], [0.0], [1.0]]), "infinity at row 1, column 0"),
    "beyond 32 bits": (
        lambda: table(X=[[1.0], [2.0], [1e39], [1.0]]),
        "32 bits at row 2, column 0",
    ),
    "short y": (lambda: table(y=[0, 1, 0]), "device has 4 items and y has 3"),
    "short X": (lambda: table(X=[[1.0]]), "X has 1 items and y has 4"),
    "short device": (lambda: table(device=[0, 1]), "device has 2 items and y has 4"),
    "a newline at the end": (lambda: texts("a", "b", "c", "d", ""), "one more, empty text"),
    "one class": (lambda: table(y=[5, 5, 5, 5]), "y holds one class only"),
    "one device": (lambda: table(device=[3, 3, 3, 3]), "one device only"),
    "empty": (
        lambda: table(X=np.empty((0, 2)), y=np.empty(0, np.int64), device=np.empty(0, np.int64)),
        "y is empty",
    ),
    "utf8 as text": (lambda: texts("a", utf8=["a", "b"]), "utf8 is <U1"),
    "broken utf8": (lambda: texts("a", utf8=np.array([97, 255], np.uint8)), "UTF-8 at byte 1"),
    "columns named twice": (lambda: table(feature_names=["a", "a"]), "feature_names"),
    "too few names": (lambda: table(feature_names=["a"]), "feature_names"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_name_and_its_key(case: str, tmp_path: Path) -> None:
    make, words = BAD[case]
    path = saved(tmp_path / "bad.npz", make())
    with pytest.raises(DataError) as refused:
        load_npz(path)
    assert str(path) in str(refused.value) or "bad" in str(refused.value)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    lonely = tmp_path / "lonely.npy"
    np.save(lonely, np.zeros(3))
    noise = tmp_path / "noise.npz"
    noise.write_bytes(b"PK\x03\x04 and then nothing of sense")
    cut = saved(tmp_path / "cut.npz", table())
    cut.write_bytes(cut.read_bytes()[:-40])
    empty = tmp_path / "empty.npz"
    empty.touch()
    for path in (lonely, noise, cut, empty, tmp_path, tmp_path / "absent.npz"):
        with pytest.raises(DataError):
            load_npz(path)


class Trap:
    """Unpickling it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return (Path.touch, (self.path,))


def test_a_pickle_in_a_file_is_never_opened(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)] * 4, dtype=object)
    for key in ("X", "y", "device", "extra"):
        path = saved(tmp_path / "trap.npz", {**table(), key: trap})
        with pytest.raises(DataError):
            load_npz(path)
    assert not sprung.exists()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 5), st.floats(0, 1))
def test_medians_count_only_known_values_of_the_rows_given(
    seed: int, rows: int, columns: int, missing: float
) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, columns))
    features[rng.random(features.shape) < missing] = np.nan
    chosen = rng.random(rows) < 0.6
    chosen[0] = True
    medians = training_medians(features, chosen)
    for column in range(columns):
        known = sorted(v for v in features[chosen, column].tolist() if v == v)
        middle = len(known) // 2
        expected = (known[middle] + known[~middle]) / 2 if known else 0.0
        assert medians[column] == pytest.approx(expected)
    filled = fill_missing(features, medians)
    assert not np.isnan(filled).any()
    assert (filled == features)[~np.isnan(features)].all()


@pytest.fixture
def good() -> dict[str, object]:
    return {
        "name": "mine",
        "classes": ("a", "b"),
        "labels": np.array([0, 1]),
        "device": np.array([0, 1]),
        "texts": ("x", "y"),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.array([0, 2])},
        {"labels": np.array([0, -1])},
        {"device": np.array([0, 2])},
        {"device": np.array([1, 1])},
        {"texts": ("x",)},
        {"texts": None},
        {"classes": ("a",), "labels": np.array([0, 0])},
        {"planted": ((),)},
        {"features": np.zeros((2, 1)), "feature_names": ("f",)},
    ],
)
def test_a_data_set_that_contradicts_itself_is_not_born(
    good: dict[str, object], change: dict[str, object]
) -> None:
    with pytest.raises(DataError):
        Dataset(**{**good, **change})  # type: ignore[arg-type]  # wrong on purpose


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="did you mean 'digits'"):
        load_dataset("digit", 1)


def test_digits_live_on_twenty_five_uneven_devices_that_the_seed_decides() -> None:
    pytest.importorskip("sklearn")
    first, again, other = (load_dataset("digits", seed) for seed in (1, 1, 2))
    assert (first.items, first.devices, len(first.classes)) == (1797, 25, 10)
    assert first.device.tolist() == again.device.tolist() != other.device.tolist()
    favourites = [
        np.bincount(first.labels[first.device == device], minlength=10).max()
        / (first.device == device).sum()
        for device in range(25)
    ]
    assert np.mean(favourites) > 0.3


@REAL
def test_the_real_sets_have_their_known_sizes() -> None:
    sms, har = load_dataset("sms", 1), load_dataset("har", 1)
    assert (sms.items, sms.devices, sms.classes) == (5574, 40, ("ham", "spam"))
    assert sms.labels.sum() == 747
    assert sms.texts is not None
    assert sms.texts[0].startswith("Go until jurong point")
    assert (har.items, har.devices, len(har.classes), len(har.feature_names)) == (10299, 30, 6, 265)
    assert har.feature_names[0] == "tBodyAcc-mean()-X"
    assert np.bincount(har.labels).tolist() == [1722, 1544, 1406, 1777, 1906, 1944]

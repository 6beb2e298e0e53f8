"""Where data sets come from: real ones by name, generated ones by seed, anyone's own from a file.

A real set is looked for in `FIELDVOTE_DATA`, then in the user's cache, and last at its own home
(`simulations.archives`). Whatever the road, the decoded content is checked against a pinned digest,
so a scenario and a seed mean the same items on every machine.
"""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldvote.array_errors import UNREADABLE
from fieldvote.errors import DataError, InputError, MissingExtraError, nearest
from fieldvote.rng import stream
from simulations.archives import HAR, SMS, UCI, Archive, Arrays, cache_folder, fetch, keep
from simulations.dataset import Dataset, fill_missing, training_medians
from simulations.messages import generate_messages
from simulations.partition import dirichlet_devices

__all__ = [
    "DATASETS",
    "Dataset",
    "fill_missing",
    "load_dataset",
    "load_npz",
    "training_medians",
]

_DIGIT_DEVICES = 25
_DIGIT_CONCENTRATION = 0.3


def load_dataset(name: str, seed: int, *, site: str = UCI) -> Dataset:
    """Return the data set of this name.

    Args:
        name: One of `DATASETS`.
        seed: Decides what is generated or split at random; real device splits do not depend on it.
        site: Where real data sets are fetched from when this machine has none; ends with a slash.

    Raises:
        InputError: No data set has this name.
        DataError: A file was found, but its content is not the pinned one.
        MissingDataError: A real data set is neither here nor reachable.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; {nearest(name, DATASETS)}")
    return DATASETS[name](seed, site)


def load_npz(path: Path | str) -> Dataset:
    """Return the data set in a NumPy archive of anyone's making.

    The archive holds `y` (n,) int, `device` (n,) int, and either `X` (n, d) float with NaN for
    missing, or `utf8` (uint8 bytes of n newline-joined texts); `feature_names` (d,) is optional.
    Classes are named after the integers in `y`; devices are renumbered in their sorted order.

    Raises:
        DataError: What is wrong, under which key, and what to write instead. Nothing is unpickled.
    """
    file = Path(path)
    return _from_arrays(read_arrays(file), file)


def _from_arrays(arrays: Arrays, file: Path) -> Dataset:
    """Check the arrays one after another and put them together; file is for the messages."""
    labels, classes = _integers(arrays, "y", file)
    device, _ = _integers(arrays, "device", file)
    if ("X" in arrays) == ("utf8" in arrays):
        raise DataError(f"{file}: write either X or utf8; this file has {sorted(arrays)}")
    if len(classes) < 2:
        raise DataError(f"{file}: y holds one class only; a model needs two to tell apart")
    features = _features(arrays["X"], file) if "X" in arrays else None
    texts = _texts(arrays["utf8"], file) if "utf8" in arrays else None
    for key, count in (
        ("device", len(device)),
        ("X", len(labels) if features is None else len(features)),
        ("utf8", len(labels) if texts is None else len(texts)),
    ):
        if count != len(labels):
            hint = "; a newline at the end counts as one more, empty text" if key == "utf8" else ""
            raise DataError(f"{file}: {key} has {count} items and y has {len(labels)}{hint}")
    return Dataset(
        name=file.stem,
        classes=classes,
        labels=labels,
        device=device,
        features=features,
        feature_names=_feature_names(arrays, features, file),
        texts=texts,
    )


def read_arrays(file: Path) -> Arrays:
    """Read every array of the archive; object arrays are refused, unpickling runs code."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; give the path of an .npz archive")
    try:
        # opened here: NumPy forgets to close a file that is not an archive after all
        with file.open("rb") as body, np.load(body, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except UNREADABLE as err:
        raise DataError(
            f"{file}: not an .npz archive of plain arrays; write it with numpy.savez(file, "
            "X=..., y=..., device=...)"
        ) from err
    # of a member that is no array NumPy returns the bytes
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise DataError(f"{file}: a member is no array; write it with numpy.savez")
    return arrays


def _integers(arrays: Arrays, key: str, file: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the integers under key renumbered from 0, and what they were called."""
    if key not in arrays:
        raise DataError(f"{file}: {key} is missing; it holds {sorted(arrays)}")
    array = arrays[key]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{file}: {key} is {_seen(array)}; write one integer per item, shape (n,)")
    if array.size == 0:
        raise DataError(f"{file}: {key} is empty; a fleet needs items")
    names, numbers = np.unique(array, return_inverse=True)
    return numbers.astype(np.int64), tuple(str(name) for name in names)


def _features(array: NDArray[np.generic], file: Path) -> NDArray[np.float64]:
    """Return the table as float64, refusing infinity in the file or after widening."""
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind != "f":
        raise DataError(f"{file}: X is {_seen(array)}; write floats of shape (n, d)")
    features = array.astype(np.float64)
    if np.isinf(features).any():
        row, column = np.argwhere(np.isinf(features))[0]
        raise DataError(
            f"{file}: X holds infinity at row {row}, column {column}; NaN means missing"
        )
    beyond = np.abs(features) > np.finfo(np.float32).max
    if beyond.any():
        row, column = np.argwhere(beyond)[0]
        raise DataError(
            f"{file}: X is too large for a model's 32 bits at row {row}, column {column}; scale it"
        )
    return features


def _feature_names(
    arrays: Arrays, features: NDArray[np.float64] | None, file: Path
) -> tuple[str, ...]:
    """Return the file's column names, or x0, x1 and so on where it has none."""
    if features is None:
        return ()
    columns = features.shape[1]
    if "feature_names" not in arrays:
        return tuple(f"x{column}" for column in range(columns))
    array = arrays["feature_names"]
    if array.dtype.kind != "U" or array.shape != (columns,) or len(set(array.tolist())) < columns:
        raise DataError(
            f"{file}: feature_names is {_seen(array)}; write {columns} different names as text"
        )
    return tuple(str(name) for name in array)


def _texts(array: NDArray[np.generic], file: Path) -> tuple[str, ...]:
    """Return the texts; only a newline separates them, so other line ends may be part of one."""
    if array.ndim != 1 or array.dtype != np.uint8:
        raise DataError(f"{file}: utf8 is {_seen(array)}; write uint8 bytes of shape (bytes,)")
    try:
        return tuple(array.tobytes().decode("utf-8").split("\n"))
    except UnicodeDecodeError as err:
        # the error quotes the bytes around the fault; position and count are all that may be said
        raise DataError(f"{file}: utf8 is not valid UTF-8 at byte {err.start}") from None


def _seen(array: NDArray[np.generic]) -> str:
    """Describe an array without showing what is in it."""
    return f"{array.dtype} of shape {array.shape}"


def _real(archive: Archive, site: str) -> Dataset:
    """Load a real data set from the first place that has it, and check what came."""
    for folder in (os.environ.get("FIELDVOTE_DATA"), cache_folder()):
        if folder and (path := Path(folder) / archive.file).is_file():
            return archive.checked(load_npz(path), str(path))
    print(f"fetching {archive.file} from {site}", file=sys.stderr, flush=True)
    arrays = fetch(archive, site)
    dataset = archive.checked(_from_arrays(arrays, Path(archive.file)), site)
    keep(arrays, cache_folder() / archive.file)
    return dataset


def _digits(seed: int) -> Dataset:
    """Return scikit-learn's bundled digits on devices that each know a few of them well."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as err:
        raise MissingExtraError("the digits data set", "simulations") from err
    bunch = load_digits()
    labels = bunch.target.astype(np.int64)
    rng = stream(seed, "digits", "devices")
    return Dataset(
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        labels=labels,
        device=dirichlet_devices(labels, _DIGIT_DEVICES, _DIGIT_CONCENTRATION, rng),
        features=bunch.data.astype(np.float64),
        feature_names=tuple(bunch.feature_names),
    )


DATASETS: Mapping[str, Callable[[int, str], Dataset]] = {
    "digits": lambda seed, site: _digits(seed),
    "har": lambda seed, site: _real(HAR, site),
    "messages": lambda seed, site: generate_messages(seed),
    "sms": lambda seed, site: _real(SMS, site),
}
"""Every data set that has a name, and how it is made from a seed and the archive's site."""

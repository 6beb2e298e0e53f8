"""Arrays of an .npz, the long ones piece by piece: a file need not fit in memory.

An array that lies the other way about in its file, columns first, has no rows to read one by one;
it is read whole.
"""

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fieldvote.array_errors import UNREADABLE
from fieldvote.errors import DataError

Array = NDArray[np.generic]
_HEADERS: dict[tuple[int, int], Callable[..., tuple[tuple[int, ...], bool, np.dtype[np.generic]]]]
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFile:
    """Arrays in a file, of which only the short ones are read whole.

    Attributes:
        path: The .npz.
        shapes: Shape and type of each array, as its header says.
    """

    path: Path
    shapes: dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]

    @staticmethod
    def look(path: Path) -> "ArrayFile":
        """Read the headers alone.

        Raises:
            DataError: no such file, or none of plain arrays.
        """
        with _reading(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            if len(names) < len(archive.namelist()):
                raise DataError(f"{path}: not an .npz of plain arrays")
            shapes = {}
            for name in names:
                with archive.open(name) as member:
                    shape, _, kind = _header(path, member)
                shapes[name.removesuffix(".npy")] = shape, kind
        return ArrayFile(path=path, shapes=shapes)

    def whole(self, name: str) -> Array:
        """Return an array.

        Raises:
            DataError: it cannot be read.
        """
        shape, _ = self.shapes[name]
        return next(self.parts(name, rows=max([*shape[:1], 1])))

    def parts(self, name: str, *, rows: int) -> Iterator[Array]:
        """Yield an array in parts of so many rows, the last one shorter; one part if it has none.

        Raises:
            DataError: it cannot be read.
        """
        with (
            _reading(self.path),
            self.path.open("rb") as file,
            zipfile.ZipFile(file) as archive,
            archive.open(f"{name}.npy") as member,
        ):
            shape, columns_first, kind = _header(self.path, member)
            if not shape or columns_first:
                member.seek(0)
                array = np.lib.format.read_array(member, allow_pickle=False)
                steps = range(0, max(shape[0], 1), rows) if shape else ()
                yield from (array[at : at + rows] for at in steps) if shape else (array,)
                return
            for start in range(0, max(shape[0], 1), rows):
                part = (min(rows, shape[0] - start), *shape[1:])
                size = math.prod(part) * kind.itemsize
                content = member.read(size)
                if len(content) != size:  # a header may claim more than there is
                    raise DataError(f"{self.path}: not an .npz of plain arrays")
                yield np.frombuffer(content, dtype=kind).reshape(part)


def _header(path: Path, member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Return shape, whether columns come first, and type."""
    version = np.lib.format.read_magic(member)
    if version not in _HEADERS:
        raise DataError(f"{path}: not an .npz of plain arrays")
    shape, columns_first, kind = _HEADERS[version](member)
    # unpickling runs code; an entry of no bytes could be claimed without end
    if kind.hasobject or not kind.itemsize or min(shape, default=1) < 0:
        raise DataError(f"{path}: not an .npz of plain arrays")
    return shape, columns_first, kind


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of whatever NumPy and zipfile raise that the file is none of ours."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as err:
        raise DataError(f"{path}: no such file") from err
    except UNREADABLE as err:
        raise DataError(f"{path}: not an .npz of plain arrays") from err

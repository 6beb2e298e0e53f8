"""What lies where in the one vector a device sends: updates, sample counts and metrics alike.

A number beside the masked vector would tell of one device what the masks hide; so everything goes
inside, in named sections, each with a bound of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import InputError, RefusalError, ShapeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Some numbers of one meaning.

    Attributes:
        name: What they are called.
        length: How many.
        bound: Greatest absolute value any of them has on one device.
    """

    name: str
    length: int
    bound: int

    def __post_init__(self) -> None:
        if self.length < 0 or self.bound < 1:
            raise InputError(f"section {self.name!r} of {self.length} numbers up to {self.bound}")


@dataclass(frozen=True, slots=True)
class Layout:
    """Sections, one after the other.

    >>> sections = Section(name="update", length=2, bound=9), Section(name="n", length=1, bound=5)
    >>> layout = Layout(sections)
    >>> vector = layout.join({"update": np.array([-9, 3]), "n": np.array([5])})
    >>> {name: part.tolist() for name, part in layout.split(2 * vector, devices=2).items()}
    {'update': [-18, 6], 'n': [10]}
    """

    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        names = [section.name for section in self.sections]
        if not names or len(set(names)) != len(names):
            raise InputError(f"a layout needs sections with different names, got {names}")

    @property
    def length(self) -> int:
        """Numbers in the vector."""
        return sum(section.length for section in self.sections)

    @property
    def bound(self) -> int:
        """The greatest bound of any section."""
        return max(section.bound for section in self.sections)

    def join(self, parts: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        """Return one device's vector.

        Raises:
            InputError: a section is missing, or one too many.
            ShapeError: a section has another length.
            RefusalError: a number passes its section's bound.
        """
        if set(parts) != {section.name for section in self.sections}:
            raise InputError(f"sections {sorted(parts)} do not make this layout")
        for section in self.sections:
            part = parts[section.name]
            if part.shape != (section.length,):
                raise ShapeError(section.name, part.shape, (section.length,))
            _check(part, section.bound, section.name)
        return np.concatenate([parts[section.name] for section in self.sections]).astype(np.int64)

    def split(self, total: NDArray[np.int64], *, devices: int) -> dict[str, NDArray[np.int64]]:
        """Return the sections of a sum over so many devices.

        Raises:
            ShapeError: the vector has another length.
            RefusalError: a section is greater than so many devices can make it.
        """
        if total.shape != (self.length,):
            raise ShapeError("total", total.shape, (self.length,))
        ends = np.cumsum([section.length for section in self.sections])[:-1]
        parts = np.split(total, ends)
        for section, part in zip(self.sections, parts, strict=True):
            _check(part, section.bound * devices, section.name)
        return {section.name: part for section, part in zip(self.sections, parts, strict=True)}


def _check(part: NDArray[np.int64], bound: int, name: str) -> None:
    """Check every number of a section."""
    if len(part) and not (-bound <= int(part.min()) and int(part.max()) <= bound):
        raise RefusalError(f"a number of section {name!r} passes {bound}")

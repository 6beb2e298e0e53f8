"""Good messages to begin from: one record of every kind, and small files of every format."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np

from fieldvote.codec import FloatVector, IntVector
from fieldvote.rng import stream
from privacy.sealing import SealingKey, SigningKey
from strategies.labeling import LabelModel, VoteSummary

FUNCTIONS, CLASSES = 3, 2
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SENDER, READER = SigningKey(b"s" * 32), SealingKey(b"r" * 32)
SHELF: list[Path] = []
"""The folder that files are made in, while there is one; see conftest.py."""


def record_of(kind: type[object]) -> object:
    """Return a record with something in every field."""
    hints = get_type_hints(kind)
    return kind(**{each.name: _value(hints[each.name], each.name) for each in fields(kind)})  # type: ignore[arg-type]  # a dataclass


def plain(record: object) -> str:
    """Return a record as the store writes events."""
    return json.dumps(asdict(record), sort_keys=True)  # type: ignore[call-overload]  # a dataclass


def _value(hint: object, name: str) -> object:
    hint = getattr(hint, "__supertype__", hint)
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    if hint == IntVector:
        return np.array([3, -200, 70_000], dtype=np.int64)
    if hint == FloatVector:
        return np.array([0.5, -2.0])
    if isinstance(hint, type) and is_dataclass(hint):
        return record_of(hint)
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        return (_value(arguments[0], name), _value(arguments[0], name))
    if get_origin(hint) is UnionType:
        return _value(arguments[0], name)
    plain: Mapping[object, object] = {
        bool: True, int: 2, float: 0.5, str: f"some {name}", bytes: name.encode().ljust(32, b"."),
    }  # fmt: skip
    return plain[hint]


def vectors(*numbers: object) -> list[bytes]:
    """Return vectors of whole numbers as bytes."""
    return [np.asarray(each, dtype="<i8").tobytes() for each in numbers]


def whole_numbers(blob: bytes) -> np.ndarray:
    """Return bytes as a vector of whole numbers, as a message brings one."""
    return np.frombuffer(blob[: len(blob) // 8 * 8], dtype="<i8").astype(np.int64)


def numbers(blob: bytes) -> np.ndarray:
    """Return bytes as a vector of finite numbers, as a message brings one."""
    found = np.frombuffer(blob[: len(blob) // 8 * 8], dtype="<f8").astype(np.float64)
    return found[np.isfinite(found)]


@cache
def votes() -> np.ndarray:
    """Return what three functions said of forty items."""
    return stream(1, "fuzz votes").integers(-1, CLASSES, (40, FUNCTIONS)).astype(np.int8)


@cache
def label_model() -> LabelModel:
    """Return a label model."""
    return LabelModel.fit(VoteSummary.from_votes(votes(), classes=CLASSES))


def as_file(blob: bytes, name: str) -> Path:
    """Return a file with these bytes, good until the next is asked for."""
    if not SHELF:
        raise RuntimeError("no folder was lent: files are made inside of tests")
    path = SHELF[0] / name
    path.write_bytes(blob)
    return path

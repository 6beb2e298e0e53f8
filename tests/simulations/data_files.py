"""Data files of anyone's making, small enough to rehearse in a second."""

from pathlib import Path

import numpy as np

ROW_CLASSES = 3
_WORDS = {
    0: ("home", "late", "dinner", "sorry", "see", "bus"),
    1: ("win", "prize", "claim", "cash", "free", "call"),
}


def rows_file(
    file: Path,
    *,
    devices: int = 10,
    items: int = 20,
    noise: float = 0.6,
    missing: float = 0.0,
    empty_column: bool = False,
) -> Path:
    """Write a table of five columns, three classes and devices numbered with gaps."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, ROW_CLASSES, size=devices * items)
    rows = 2.0 * np.eye(ROW_CLASSES, 5)[labels] + noise * rng.normal(size=(len(labels), 5))
    rows[rng.random(rows.shape) < missing] = np.nan
    if empty_column:
        rows[:, 4] = np.nan
    np.savez(file, X=rows, y=labels * 10, device=np.repeat(np.arange(devices) * 7, items))
    return file


def text_file(file: Path, *, devices: int = 8, items: int = 12) -> Path:
    """Write short texts of two classes."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, size=devices * items)
    texts = [" ".join(rng.choice(_WORDS[int(label)], size=4)) for label in labels]
    np.savez(
        file,
        utf8=np.frombuffer("\n".join(texts).encode(), dtype=np.uint8),
        y=labels,
        device=np.repeat(np.arange(devices), items),
    )
    return file

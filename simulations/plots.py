"""Learning curves as a picture and as text: labels spent along, score reached up.

Both show the same: what the strategy reached, what chance reached with as many labels, and the two
lines that matter, 95 and 99 % of what all the labels would give.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fieldvote.errors import InputError, MissingExtraError

Curve = Sequence[tuple[float, float]]
"""Points (labels, score) by growing number of labels."""

RANDOM = "random"
"""The curve of this name is the yardstick: drawn in grey, below the others."""

# Okabe and Ito's palette, told apart by every kind of colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_YARDSTICK = "#8A8A8A"
_INK = "#2F3437"
_FAINT = "#C9CDD1"
_INCHES = (8.0, 4.8)
_DPI = 160

# level, upright, and the four bends: down into the level, up out of it, and their mirrors
_STYLES = ("━┃┏┓┗┛", "═║╔╗╚╝")
_YARDSTICK_STYLE = "─│╭╮╰╯"
_SCALE_COLUMNS = 8
_LEAST_SPAN = 0.02
_LEAST_COLUMNS, _LEAST_ROWS = 30, 8


def learning_curve_png(
    path: Path, curves: Mapping[str, Curve], targets: Mapping[str, float], title: str
) -> None:
    """Draw the curves into a PNG file.

    Args:
        path: The file to write.
        curves: By strategy; `RANDOM` is drawn as the yardstick. Curves without points are left out.
        targets: Scores to draw as horizontal lines, by what the line is called.
        title: One line above the picture.

    Raises:
        InputError: No curve has a point.
        MissingExtraError: matplotlib is not installed.
    """
    drawn = _with_points(curves)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as err:
        raise MissingExtraError("drawing a picture", "simulations") from err
    figure = Figure(figsize=_INCHES, dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    farthest = max(points[-1][0] for points in drawn.values())
    for name, score in targets.items():
        axes.axhline(score, color=_FAINT, linewidth=1.0, linestyle=(0, (5, 3)), zorder=1)
        axes.annotate(
            f"{name}  {score:.3f}",
            (0.004, score),
            xycoords=("axes fraction", "data"),
            xytext=(0, 4),
            textcoords="offset points",
            color=_YARDSTICK,
            fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
            zorder=1.5,
        )
    ends: dict[str, tuple[tuple[float, float], str]] = {}
    colours = iter(_COLOURS * len(drawn))
    for name, points in _yardstick_first(drawn):
        yardstick = name == RANDOM
        colour = _YARDSTICK if yardstick else next(colours)
        axes.plot(
            [labels for labels, _ in points],
            [score for _, score in points],
            color=colour,
            linewidth=1.6 if yardstick else 2.4,
            marker="o",
            markersize=2.5 if yardstick else 3.5,
            zorder=2 if yardstick else 3,
            solid_capstyle="round",
        )
        ends[name] = (points[-1], colour)
    low, high = axes.get_ylim()
    heights = _spread({name: end[1] for name, (end, _) in ends.items()}, 0.05 * (high - low))
    for name, (end, colour) in ends.items():
        axes.annotate(
            name,
            (end[0], heights[name]),
            xytext=(8, 0),
            textcoords="offset points",
            color=colour,
            fontsize=10.5,
            fontweight="normal" if name == RANDOM else "bold",
            va="center",
            annotation_clip=False,
        )
    axes.set_xlim(0, farthest * 1.02)
    axes.set_title(title, loc="left", color=_INK, fontsize=13, fontweight="bold", pad=14)
    axes.set_xlabel("labels paid for", color=_INK, fontsize=10)
    axes.set_ylabel("score on held-out devices", color=_INK, fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.tick_params(colors=_INK, labelsize=9, length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#EEF0F2", linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    figure.savefig(path, metadata={"Software": None})


def learning_curve_text(
    curves: Mapping[str, Curve],
    width: int = 76,
    height: int = 20,
    *,
    targets: Mapping[str, float] | None = None,
) -> str:
    """Return the curves drawn with box characters, for a terminal.

    Args:
        curves: By strategy; `RANDOM` is drawn thin. Curves without points are left out.
        width: Columns of the whole picture. At least 30.
        height: Lines of the whole picture, with axis and legend. At least 8.
        targets: Scores to mark with a dotted line; their names go under the picture.

    Raises:
        InputError: No curve has a point, or the picture is too small to be read.

    >>> print(learning_curve_text({"fleet": [(0, 0.5), (40, 1.0)]}, width=30, height=8))
     1.000 ┤                   ┏━━
           │              ┏━━━━┛
     0.750 ┤        ┏━━━━━┛
           │   ┏━━━━┛
     0.500 ┤━━━┛
           └─────────────────────
            0      labels      40
            ━ fleet 1.000
    """
    drawn = _with_points(curves)
    if width < _LEAST_COLUMNS or height < _LEAST_ROWS:
        raise InputError(f"a plot of {width} x {height} is too small; take 30 x 8 or more")
    columns, rows = width - _SCALE_COLUMNS, height - 3 - bool(targets)
    scores = [score for points in drawn.values() for _, score in points]
    scores += (targets or {}).values()
    low, high = min(scores), max(scores)
    if high - low < _LEAST_SPAN:
        middle = (low + high) / 2
        low, high = middle - _LEAST_SPAN / 2, middle + _LEAST_SPAN / 2
    farthest = max(points[-1][0] for points in drawn.values()) or 1.0

    def row_of(score: float) -> int:
        return round((high - score) / (high - low) * (rows - 1))

    canvas = [[" "] * columns for _ in range(rows)]
    for score in (targets or {}).values():
        canvas[row_of(score)] = ["┈"] * columns
    styles = iter(_STYLES * len(drawn))
    legend = []
    for name, points in _yardstick_first(drawn):
        style = _YARDSTICK_STYLE if name == RANDOM else next(styles)
        _trace(canvas, points, farthest, style, row_of)
        legend.append(f"{style[0]} {name} {points[-1][1]:.3f}")
    marks = [f"┈ {name} {score:.3f}" for name, score in (targets or {}).items()]
    labelled = range(0, rows, max(2, rows // 6))
    lines = [
        f"{high - (high - low) * row / (rows - 1):6.3f} ┤" if row in labelled else " " * 7 + "│"
        for row in range(rows)
    ]
    axis = f"0{'labels':^{columns - 2 - len(f'{farthest:.0f}')}}{farthest:.0f}"
    pictured = [
        "".join((scale, *cells)).rstrip() for scale, cells in zip(lines, canvas, strict=True)
    ]
    below = [axis, "   ".join(reversed(legend)), *(["   ".join(marks)] if marks else [])]
    ruler = " " * 7 + "└" + "─" * (columns - 1)
    return "\n".join([*pictured, ruler, *(" " * _SCALE_COLUMNS + line for line in below)])


def _trace(
    canvas: list[list[str]],
    points: Curve,
    farthest: float,
    style: str,
    row_of: Callable[[float], int],
) -> None:
    """Draw one curve onto the canvas as a line that never breaks."""
    level, upright, down_in, down_out, up_out, up_in = tuple(style)
    columns = len(canvas[0])
    labels = np.array([label for label, _ in points], dtype=np.float64)
    scores = np.array([score for _, score in points], dtype=np.float64)
    first, last = (round(label / farthest * (columns - 1)) for label in (labels[0], labels[-1]))
    along = np.linspace(labels[0], labels[-1], last - first + 1)
    before: int | None = None
    for column, score in enumerate(np.interp(along, labels, scores).tolist(), start=first):
        row = row_of(score)
        if before is None or before == row:
            canvas[row][column] = level
        else:
            canvas[before][column] = up_in if row < before else down_out
            canvas[row][column] = down_in if row < before else up_out
            for between in range(min(row, before) + 1, max(row, before)):
                canvas[between][column] = upright
        before = row


def _yardstick_first(curves: Mapping[str, Curve]) -> list[tuple[str, Curve]]:
    """Return the curves in drawing order: what is drawn later lies on top."""
    return sorted(curves.items(), key=lambda named: named[0] != RANDOM)


def _spread(heights: Mapping[str, float], gap: float) -> Mapping[str, float]:
    """Return the heights moved up just enough that no two are closer than the gap."""
    spread: dict[str, float] = {}
    floor = float("-inf")
    for name in sorted(heights, key=lambda name: heights[name]):
        spread[name] = floor = max(heights[name], floor + gap)
    return spread


def _with_points(curves: Mapping[str, Curve]) -> Mapping[str, Curve]:
    """Return the curves that have points, or refuse to draw nothing."""
    drawn = {name: points for name, points in curves.items() if points}
    if not drawn:
        raise InputError("no curve has a point yet; run at least one round")
    return drawn

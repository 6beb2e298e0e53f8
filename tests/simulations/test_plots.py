from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from simulations.plots import learning_curve_png, learning_curve_text

CURVES = {
    "random": [(24.0, 0.6), (48.0, 0.7), (96.0, 0.8)],
    "fleet": [(24.0, 0.6), (48.0, 0.85), (96.0, 0.93)],
}
TARGETS = {"95 % of full data": 0.892, "99 % of full data": 0.930}
HEAVY, LIGHT = set("━┃┏┓┗┛"), set("─│╭╮╰╯")


def plot_area(picture: str) -> list[str]:
    """The lines above the axis, without their scale."""
    lines = picture.split("\n")
    bottom = next(place for place, line in enumerate(lines) if "└" in line)
    return [line[8:] for line in lines[:bottom]]


def curves_of(seed: int) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    labels = np.cumsum(rng.integers(1, 40, size=rng.integers(1, 30)))
    return [(float(label), float(rng.random())) for label in labels]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(30, 120), st.integers(8, 40))
@example(23, 30, 8)  # two scores closer than the least span
def test_a_curve_is_drawn_without_a_gap_within_its_frame(
    seed: int, width: int, height: int
) -> None:
    points = curves_of(seed)
    picture = learning_curve_text({"fleet": points}, width, height)
    assert len(picture.split("\n")) == height
    assert all(len(line) <= width for line in picture.split("\n"))
    area = [line.ljust(width - 8) for line in plot_area(picture)]
    drawn = [
        [row for row, line in enumerate(area) if line[column] in HEAVY]
        for column in range(width - 8)
    ]
    used = [column for column, rows in enumerate(drawn) if rows]
    assert used == list(range(used[0], used[-1] + 1))
    assert used[-1] == width - 9
    for column in used:
        rows = drawn[column]
        assert rows == list(range(rows[0], rows[-1] + 1))


def test_the_end_of_a_curve_is_at_the_height_of_its_score() -> None:
    area = plot_area(learning_curve_text({"fleet": [(0, 0.0), (10, 0.5), (20, 1.0)]}, 50, 24))
    assert area[0].rstrip()[-1] in HEAVY
    assert area[-1][0] in HEAVY
    assert area[len(area) // 2][20:22] != "  "


def test_random_is_thin_and_lies_below() -> None:
    picture = learning_curve_text(CURVES, 60, 16)
    area = "".join(plot_area(picture))
    assert set(area) & HEAVY
    assert set(area) & LIGHT
    assert "━ fleet 0.930   ─ random 0.800" in picture
    same = {"fleet": CURVES["fleet"], "random": CURVES["fleet"]}
    assert not set("".join(plot_area(learning_curve_text(same, 60, 16)))) & LIGHT


def test_targets_are_dotted_lines_with_a_legend() -> None:
    picture = learning_curve_text(CURVES, 76, 20, targets=TARGETS)
    assert sum("┈" * 10 in line for line in plot_area(picture)) == 2
    assert picture.split("\n")[-1].strip() == (
        "┈ 95 % of full data 0.892   ┈ 99 % of full data 0.930"
    )
    assert max(map(len, picture.split("\n"))) <= 80


@pytest.mark.parametrize("points", [[(24.0, 0.5)], [(0.0, 0.5)], [(1.0, 0.5), (2.0, 0.5)]])
def test_one_point_or_a_flat_curve_is_drawn_too(points: list[tuple[float, float]]) -> None:
    picture = learning_curve_text({"fleet": points}, 40, 10)
    assert sum("━" in line for line in plot_area(picture)) == 1


def test_nothing_to_draw_or_nowhere_to_draw_it_is_refused(tmp_path: Path) -> None:
    for curves in ({}, {"fleet": []}):
        with pytest.raises(InputError, match="no curve"):
            learning_curve_text(curves)
        with pytest.raises(InputError, match="no curve"):
            learning_curve_png(tmp_path / "a.png", curves, {}, "title")
    for width, height in ((29, 20), (60, 7)):
        with pytest.raises(InputError, match="too small"):
            learning_curve_text(CURVES, width, height)
    assert not list(tmp_path.iterdir())


def test_a_picture_is_written_the_same_each_time(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    for name in ("a.png", "b.png"):
        learning_curve_png(tmp_path / name, CURVES, TARGETS, "har: 30 devices, seed 1")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    pixels = image.imread(tmp_path / "a.png")[..., :3]
    assert pixels.shape == (768, 1280, 3)
    blue = np.abs(pixels - np.array([0x00, 0x72, 0xB2]) / 255).max(axis=2) < 0.02
    grey = np.abs(pixels - 0x8A / 255).max(axis=2) < 0.02
    assert blue.sum() > 1000
    assert grey.sum() > 500


def test_a_curve_without_points_is_left_out_of_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    learning_curve_png(tmp_path / "a.png", {**CURVES, "late": []}, {}, "title")
    learning_curve_png(tmp_path / "b.png", CURVES, {}, "title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

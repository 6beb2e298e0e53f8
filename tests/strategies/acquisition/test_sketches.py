"""Sketches: alike for alike items, comparable only under one seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, ShapeError
from strategies.acquisition import hamming, sketch
from strategies.acquisition.sketches import unpack


def test_the_share_of_differing_bits_is_the_angle() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 200, 30))
    b = 0.7 * a + 0.5 * b
    bits = 2048
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    share = hamming(sketch(a, bits=bits, seed=1), sketch(b, bits=bits, seed=1)) / bits
    # a share of 2048 coin flips strays by .011; six times that
    assert np.abs(share - np.arccos(cosine) / np.pi).max() < 0.066


def test_scale_does_not_matter_and_a_center_does() -> None:
    points = np.random.default_rng(1).standard_normal((20, 5))
    plain = sketch(points, bits=64, seed=2)
    assert plain.shape == (20, 8)
    assert plain.dtype == np.uint8
    assert np.array_equal(sketch(points * 7.5, bits=64, seed=2), plain)
    moved = sketch(points + 100, bits=64, seed=2)
    assert hamming(moved[0], moved).mean() < hamming(plain[0], plain).mean() / 2
    centered = sketch(points + 100, bits=64, seed=2, center=np.full(5, 100.0))
    assert hamming(centered, plain).max() <= 1  # a point on a plane may fall to either side


def test_another_seed_gives_unrelated_bits() -> None:
    points = np.random.default_rng(1).standard_normal((50, 16))
    differing = hamming(sketch(points, bits=256, seed=1), sketch(points, bits=256, seed=2))
    # 50 x 256 coin flips: mean 128, standard deviation of the mean 1.1
    assert abs(differing.mean() - 128) < 8
    assert np.array_equal(sketch(points, bits=256, seed=1), sketch(points, bits=256, seed=1))


def test_a_sketch_does_not_change_between_releases() -> None:
    point = [[1.0, -2.0, 0.5], [0.0, 1.0, 1.0]]
    assert (
        sketch(point, bits=128, seed=42).tobytes().hex()
        == "622bbcd5572d4c51ab329334991afcf98ff54f953954b286b4c16d0a7747c144"
    )
    assert sketch(point, bits=16, seed=42).tobytes().hex() == "6dbabadc"


def test_planes_of_short_sketches_tell_angles_better_than_planes_drawn_one_by_one() -> None:
    rng = np.random.default_rng(3)
    bits, dimensions = 64, 80
    a, b = rng.standard_normal((2, 300, dimensions))
    b = 0.8 * a + 0.6 * b
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    angle = np.arccos(cosine) / np.pi
    ours, drawn = [], []
    for seed in range(20):
        share = hamming(sketch(a, bits=bits, seed=seed), sketch(b, bits=bits, seed=seed)) / bits
        ours.append(np.mean((share - angle) ** 2))
        planes = rng.standard_normal((dimensions, bits))
        share = ((a @ planes > 0) != (b @ planes > 0)).mean(axis=1)
        drawn.append(np.mean((share - angle) ** 2))
    assert np.mean(ours) < 0.9 * np.mean(drawn)
    assert np.mean(drawn) == pytest.approx(np.mean(angle * (1 - angle)) / bits, rel=0.1)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), items=st.integers(0, 20), size=st.integers(0, 5))
def test_distance_is_counted_bit_by_bit(seed: int, items: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 256, (2, items, size), dtype=np.uint8)
    expected = [
        sum((int(x) ^ int(y)).bit_count() for x, y in zip(p, q, strict=True))
        for p, q in zip(a, b, strict=True)
    ]
    assert hamming(a, b).tolist() == expected
    squared = ((unpack(a) - unpack(b)) ** 2).sum(axis=1)
    assert squared.tolist() == [4 * bits for bits in expected]


def test_what_cannot_be_sketched_is_refused() -> None:
    with pytest.raises(InputError):
        sketch([[1.0]], bits=12, seed=0)
    with pytest.raises(InputError):
        sketch([[1.0]], bits=0, seed=0)
    with pytest.raises(InputError):
        sketch([[np.nan]], bits=8, seed=0)
    with pytest.raises(ShapeError):
        sketch([1.0], bits=8, seed=0)
    with pytest.raises(ShapeError):
        sketch([[1.0]], bits=8, seed=0, center=[1.0, 2.0])
    with pytest.raises(ShapeError):
        hamming(np.zeros(2, dtype=np.uint8), np.zeros(3, dtype=np.uint8))

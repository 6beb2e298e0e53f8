"""What leaves of an image: means of blocks, or a few levels of an embedding; no pixel by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fieldvote.errors import InputError, ShapeError
from privacy.pii.images import MOST_SIDE, downsample, embedding_only


@st.composite
def images(draw: st.DrawFn) -> NDArray[np.uint8]:
    shape = draw(st.tuples(st.integers(2, 90), st.integers(1, 90)))
    channels = draw(st.sampled_from([(), (1,), (3,)]))
    seed = draw(st.integers(0, 1000))
    return np.random.default_rng(seed).integers(0, 256, (*shape, *channels), dtype=np.uint8)


@given(images(), st.integers(1, MOST_SIDE))
@settings(deadline=None, max_examples=60)
def test_an_image_leaves_no_larger_than_allowed_and_always_smaller_than_it_was(
    pixels: NDArray[np.uint8], side: int
) -> None:
    small = downsample(pixels, side=side)
    assert max(small.shape[:2]) <= side
    assert small.shape[2:] == pixels.shape[2:]
    assert small.size < pixels.size


@given(images(), st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_every_pixel_that_leaves_is_the_mean_of_its_block(
    pixels: NDArray[np.uint8], side: int
) -> None:
    """The plain twin: blocks one by one, the last one with what is left over."""
    block = max(2, -(-max(pixels.shape[:2]) // side))
    small = downsample(pixels, side=side)
    for row in range(small.shape[0]):
        for column in range(small.shape[1]):
            bottom = None if row == small.shape[0] - 1 else (row + 1) * block
            right = None if column == small.shape[1] - 1 else (column + 1) * block
            part = pixels[row * block : bottom, column * block : right].astype(float)
            assert np.allclose(small[row, column], part.mean(axis=(0, 1)), atol=0.51)


def test_one_changed_pixel_of_a_large_image_moves_nothing_by_more_than_its_share() -> None:
    pixels = np.full((256, 256), 100, dtype=np.uint8)
    secret = pixels.copy()
    secret[100, 100] = 255
    assert np.array_equal(downsample(pixels, side=8), downsample(secret, side=8))


def test_fewer_levels_leave_fewer_values() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert len(np.unique(downsample(pixels, side=8, levels=4))) <= 4


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 2, 0), (2, 2, 2, 2), (1, 1)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        downsample(np.zeros(shape, dtype=np.uint8), side=4)
    with pytest.raises(ShapeError):
        downsample(np.zeros((4, 4), dtype=np.float64), side=4)


@pytest.mark.parametrize(("side", "levels"), [(0, 256), (65, 256), (8, 1), (8, 257)])
def test_a_size_that_hides_nothing_is_refused(side: int, levels: int) -> None:
    with pytest.raises(InputError):
        downsample(np.zeros((99, 99), dtype=np.uint8), side=side, levels=levels)


# Below the shortest length that has a direction an embedding leaves as zeros.
COORDINATES = st.floats(-1e3, 1e3, width=32).filter(lambda value: not 0 < abs(value) < 1e-6)


@given(st.lists(COORDINATES, max_size=20), st.integers(2, 255))
def test_an_embedding_leaves_in_few_levels_and_without_its_length(
    values: list[float], levels: int
) -> None:
    embedding = np.array(values, dtype=np.float32)
    given = embedding_only(embedding, levels=levels)
    assert given.dtype == np.int8
    assert np.abs(given).max(initial=0) <= levels // 2
    assert np.array_equal(given, embedding_only(embedding * np.float32(4), levels=levels))


@pytest.mark.parametrize("levels", [1, 256])
def test_an_embedding_that_could_leave_exactly_is_refused(levels: int) -> None:
    with pytest.raises(InputError):
        embedding_only(np.ones(3, dtype=np.float32), levels=levels)


def test_an_embedding_that_is_none_is_refused() -> None:
    with pytest.raises(InputError):
        embedding_only(np.array([np.nan], dtype=np.float32))
    with pytest.raises(ShapeError):
        embedding_only(np.ones((2, 2), dtype=np.float32))

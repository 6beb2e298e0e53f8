"""From reals to masked words and back: grids, ranges, sections."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, RefusalError, ShapeError
from fieldvote.rng import keyed_entropy, stream
from privacy.secagg import Layout, Quantizer, Section
from privacy.secagg.ranges import fits, from_words, to_words, word_bytes_for

reals = st.floats(-100, 100)


@given(st.lists(st.lists(reals, min_size=3, max_size=3), min_size=1, max_size=6), st.integers())
@settings(deadline=None, max_examples=60)
def test_decoding_a_sum_is_summing_the_decoded(rows: list[list[float]], seed: int) -> None:
    quantizer = Quantizer(clip=50.0, levels=1000)
    entropy = keyed_entropy(seed, "quantize")
    encoded = [quantizer.encode(np.array(row), entropy=entropy) for row in rows]
    assert all(np.abs(one).max() <= 1000 for one in encoded)
    decoded = quantizer.decode(sum(encoded))
    np.testing.assert_allclose(decoded, sum(map(quantizer.decode, encoded)), atol=1e-9)
    clipped = np.clip(rows, -50, 50).sum(axis=0)
    assert np.abs(decoded - clipped).max() <= len(rows) * 50.0 / 1000


def test_rounding_is_right_on_average() -> None:
    # 0.008 is 5.5 standard deviations of the mean: a false alarm once in 26 million
    values = np.full(100_000, 0.3)
    encoded = Quantizer(clip=1.0, levels=1).encode(values, entropy=keyed_entropy(1, "mean"))
    assert set(encoded.tolist()) == {0, 1}
    assert abs(encoded.mean() - 0.3) < 0.008


def test_what_lies_on_the_grid_stays_and_what_passes_the_clip_is_cut() -> None:
    quantizer = Quantizer(clip=2.0, levels=4)
    values = np.array([-np.inf, -2.5, -2.0, -0.5, 0.0, 1.5, 2.0, np.inf])
    encoded = quantizer.encode(values, entropy=keyed_entropy(1, "grid"))
    assert encoded.tolist() == [-4, -4, -4, -1, 0, 3, 4, 4]


def test_rounding_follows_the_entropy_and_nothing_else() -> None:
    values = stream(1, "values").normal(size=100)
    grid = Quantizer(clip=3.0, levels=100)
    made = [grid.encode(values, entropy=keyed_entropy(seed, "x")).tolist() for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize(("clip", "levels"), [(0.0, 5), (-1.0, 5), (np.nan, 5), (1.0, 0)])
def test_what_is_no_grid_is_refused(clip: float, levels: int) -> None:
    with pytest.raises(InputError):
        Quantizer(clip=clip, levels=levels)


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="not a number"):
        Quantizer(clip=1.0, levels=5).encode(np.array([0.0, np.nan]), entropy=bytes)


@given(st.integers(1, 1 << 62), st.integers(2, 1 << 15))
def test_a_chosen_word_holds_the_greatest_sum_and_the_narrower_does_not(
    bound: int, devices: int
) -> None:
    if not fits(bound, devices=devices, word_bytes=8):
        with pytest.raises(InputError):
            word_bytes_for(bound, devices=devices)
        return
    width = word_bytes_for(bound, devices=devices)
    assert bound * devices < 2 ** (8 * width - 1)
    assert width == 4 or bound * devices >= 2**31


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=20), st.sampled_from([4, 8]))
def test_words_add_up_as_signed_numbers_do(numbers: list[int], width: int) -> None:
    words = [to_words(np.array([number]), bound=1000, word_bytes=width) for number in numbers]
    total = from_words(sum(words[1:], start=words[0]), bound=1000, devices=len(numbers))
    assert total.tolist() == [sum(numbers)]


def test_reals_are_not_cut_to_whole_numbers_unasked() -> None:
    with pytest.raises(InputError, match="float64"):
        to_words(np.array([0.5]), bound=10, word_bytes=4)


def test_a_number_or_a_sum_out_of_range_is_refused() -> None:
    with pytest.raises(RefusalError):
        to_words(np.array([0, -11]), bound=10, word_bytes=4)
    with pytest.raises(RefusalError):
        to_words(np.array([np.iinfo(np.int64).min]), bound=10, word_bytes=8)
    with pytest.raises(RefusalError):
        from_words(np.array([31], dtype=np.uint32), bound=10, devices=3)


LAYOUT = Layout(
    (
        Section(name="update", length=3, bound=50),
        Section(name="samples", length=1, bound=1000),
        Section(name="correct", length=2, bound=1000),
    )
)


def test_sections_come_back_from_a_sum_as_they_went_in() -> None:
    parts = {
        "update": np.array([1, -50, 3]),
        "samples": np.array([77]),
        "correct": np.array([5, 6]),
    }
    assert (LAYOUT.length, LAYOUT.bound) == (6, 1000)
    summed = LAYOUT.split(LAYOUT.join(parts) + LAYOUT.join(parts), devices=2)
    assert list(summed) == ["update", "samples", "correct"]
    for name, part in parts.items():
        assert np.array_equal(summed[name], 2 * part)


def test_sections_keep_to_their_own_bounds() -> None:
    parts = {"update": np.zeros(3, int), "samples": np.zeros(1, int), "correct": np.zeros(2, int)}
    with pytest.raises(RefusalError, match="update"):
        LAYOUT.join(parts | {"update": np.array([0, 51, 0])})
    with pytest.raises(ShapeError):
        LAYOUT.join(parts | {"correct": np.zeros(3, int)})
    with pytest.raises(InputError):
        LAYOUT.join({"update": np.zeros(3, int)})
    with pytest.raises(RefusalError, match="update"):
        LAYOUT.split(np.array([101, 0, 0, 0, 0, 0]), devices=2)
    with pytest.raises(ShapeError):
        LAYOUT.split(np.zeros(5, int), devices=2)


def test_a_layout_has_sections_with_different_names() -> None:
    with pytest.raises(InputError):
        Layout(())
    with pytest.raises(InputError):
        Layout((LAYOUT.sections[0], LAYOUT.sections[0]))
    with pytest.raises(InputError):
        Section(name="empty", length=1, bound=0)

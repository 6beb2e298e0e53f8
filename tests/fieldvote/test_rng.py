"""Random streams are named, not carried."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.rng import keyed_entropy, stream

LABELS = st.lists(st.one_of(st.integers(), st.text(), st.binary()), max_size=3).map(tuple)


@settings(deadline=None)
@given(st.integers(), LABELS)
def test_a_name_always_gives_the_same_stream(seed: int, labels: tuple[str | int | bytes]) -> None:
    first, again = stream(seed, *labels), stream(seed, *labels)
    assert np.array_equal(first.integers(0, 1 << 62, 8), again.integers(0, 1 << 62, 8))
    assert keyed_entropy(seed, *labels)(40) == keyed_entropy(seed, *labels)(40)


@settings(deadline=None)
@given(st.integers(), LABELS, st.integers(), LABELS)
def test_different_names_give_different_streams(
    seed: int,
    labels: tuple[str | int | bytes],
    other_seed: int,
    other_labels: tuple[str | int | bytes],
) -> None:
    same = (seed, labels) == (other_seed, other_labels)
    assert (
        keyed_entropy(seed, *labels)(16) == keyed_entropy(other_seed, *other_labels)(16)
    ) == same


def test_names_do_not_run_into_one_another() -> None:
    names: list[tuple[str | int | bytes, ...]] = [
        ("ab", "c"), ("a", "bc"), ("abc",), ("1",), (1,), (b"1",), (), ("",), ("", "")
    ]  # fmt: skip
    drawn = [int(stream(1, *name).integers(1 << 62)) for name in names]
    assert all(one != other for one, other in itertools.combinations(drawn, 2))


def test_a_stream_is_the_same_on_every_machine() -> None:
    assert stream(1, "offers", 7, 3).integers(0, 1000, 4).tolist() == [207, 997, 514, 591]
    assert keyed_entropy(1, "keys")(4).hex() == "6412718d"


def test_entropy_goes_on_where_it_stopped_and_never_repeats() -> None:
    entropy = keyed_entropy(1)
    drawn = [entropy(16) for _ in range(50)]
    assert len(set(drawn)) == 50
    assert [len(entropy(size)) for size in (0, 1, 64, 65, 1000)] == [0, 1, 64, 65, 1000]


def test_a_stream_is_uniform() -> None:
    # 64 cells, 64,000 draws; chi-square with 63 degrees exceeds 131 once in a million
    counts = np.bincount(stream(3, "uniform").integers(0, 64, 64_000), minlength=64)
    assert float(((counts - 1000.0) ** 2 / 1000.0).sum()) < 131.0

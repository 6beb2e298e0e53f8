"""Groups of items: named, whole, and only those that differ beyond chance are said to."""

from pathlib import Path

import numpy as np
import pytest

from edge.check_groups import MOST_GROUPS, group_values, groups_of
from fieldvote.errors import DataError, InputError
from fieldvote.rng import stream

NAN = np.nan


def votes_for(n: int) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    return np.zeros((n, 1), dtype=np.int8)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.array([1, 2, 1]), ["1", "2"]),
        (np.array([1.5, NAN, 2.0]), ["1.5", "2", "missing"]),
        (np.array(["de", "en", "de"]), ["de", "en"]),
        (np.arange(100.0), ["0 to 24.75", "24.75 to 49.5", "49.5 to 74.25", "74.25 to 99"]),
        (np.array([*range(99), NAN]), ["0 to 24.5", "24.5 to 49", "49 to 73.5", "73.5 to 98",
                                       "missing"]),
    ],
)  # fmt: skip
def test_every_item_is_in_one_group(
    values: np.ndarray[tuple[int], np.dtype[np.generic]], names: list[str]
) -> None:
    groups = groups_of(values, votes_for(len(values)), None, 2)
    assert [group.name for group in groups] == names
    assert sum(group.items for group in groups) == len(values)


def test_of_many_words_the_rare_ones_are_one_group() -> None:
    values = np.array([f"w{i % 20:02}" for i in range(200)] + ["w03"] * 9)
    groups = groups_of(values, votes_for(209), None, 2)
    assert len(groups) == MOST_GROUPS + 1
    assert groups[-1].name == "others"
    assert {group.name: group.items for group in groups}["w03"] == 19
    assert sum(group.items for group in groups) == 209


def test_a_group_says_what_its_votes_come_to() -> None:
    votes = np.array([[0, -1], [1, 0], [-1, -1], [1, 1]], dtype=np.int8)
    labels = np.array([0, 0, 1, 1])
    one, other = groups_of(np.array(["a", "a", "b", "b"]), votes, labels, 2)
    assert (one.coverage, one.conflict, one.accuracy) == (1.0, 0.5, pytest.approx(2 / 3))
    assert one.shares == pytest.approx((2 / 3, 1 / 3))
    assert (other.coverage, other.conflict, other.accuracy) == (0.5, 0.0, 1.0)
    assert other.shares == (0.0, 1.0)


def test_a_group_that_is_treated_otherwise_stands_out_and_chance_does_not() -> None:
    rng = stream(3, "groups")
    n = 2000
    group = rng.integers(0, 4, n)
    labels = rng.integers(0, 2, n)
    right = rng.random(n) < np.where(group == 2, 0.6, 0.9)
    covered = rng.random(n) < np.where(group == 1, 0.5, 0.8)
    given = np.where(right, labels, 1 - labels)
    votes = np.where(covered, given, -1).astype(np.int8)[:, None]
    said = {each.name: each.stands_out for each in groups_of(group, votes, labels, 2)}
    assert said["0"] == said["3"] == ()
    assert [word.split()[0] for word in said["1"]] == ["coverage"]
    assert [word.split()[0] for word in said["2"]] == ["accuracy"]
    fair = np.where(rng.random(n) < 0.7, given, -1).astype(np.int8)[:, None]
    shuffled = rng.permutation(group)
    assert not any(each.stands_out for each in groups_of(shuffled, fair, labels, 2))


def test_values_come_from_a_field_or_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "i.npz"
    np.savez(file, X=np.ones((3, 2)), device=np.array([4, 5, 4]), wide=np.ones((3, 2)))
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert group_values("b", file, rows, ("a", "b"), 3).tolist() == [2.0, 4.0, 6.0]
    assert group_values("device", file, rows, ("a", "b"), 3).tolist() == [4, 5, 4]
    with pytest.raises(InputError, match="--by devise: no such field or array; did you mean"):
        group_values("devise", file, rows, ("a", "b"), 3)
    with pytest.raises(DataError, match=r"wide has shape \(3, 2\), expected \(3,\)"):
        group_values("wide", file, None, (), 3)
    with pytest.raises(InputError, match="no such field or array"):
        group_values("device", tmp_path / "i.txt", None, (), 3)

from pathlib import Path
from threading import Event, Thread

import pytest

from fieldvote.errors import StoreError, UnavailableError
from fieldvote.locks import lock_file


def test_a_lock_is_held_by_one_and_free_once_it_is_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        lock_file(path, "taken"),
        pytest.raises(UnavailableError, match="taken"),
        lock_file(path, "taken"),
    ):
        raise AssertionError
    with lock_file(path, "taken"):
        pass


def test_without_a_refusal_the_next_waits_until_it_is_free(tmp_path: Path) -> None:
    path, entered = tmp_path / "lock", Event()

    def enter() -> None:
        with lock_file(path):
            entered.set()

    with lock_file(path):
        other = Thread(target=enter)
        other.start()
        assert not entered.wait(0.2)
    assert entered.wait(10)
    other.join(10)


@pytest.mark.parametrize("refusal", ["taken", ""])
def test_a_lock_that_cannot_be_made_is_a_store_error(tmp_path: Path, refusal: str) -> None:
    path = tmp_path / "no" / "lock"
    with pytest.raises(StoreError, match="cannot be written"), lock_file(path, refusal):
        raise AssertionError

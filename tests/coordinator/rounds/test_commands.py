"""What people ask of rounds, kept until it is done or refused."""

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.rounds.commands import Command
from coordinator.store.campaign import Store
from fieldvote.errors import DataError, StoreError
from tests.coordinator.rounds.test_pace import ByHand


@given(
    st.builds(
        Command,
        what=st.sampled_from(["plan", "pause", "resume", "abort"]),
        round=st.integers(0, 99),
        reason=st.text(max_size=20),
        kind=st.sampled_from(["ordinary", "incident"]),
        budget=st.none() | st.integers(1, 99),
    )
)
def test_a_command_comes_back_from_the_store_as_it_was(command: Command) -> None:
    assert Command.from_json(command.to_json()) == command


@pytest.mark.parametrize("body", [b"", b"[]", b'{"what": "explode"}'])
def test_what_is_no_command_is_said_and_dropped_and_the_campaign_goes_on(body: bytes) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Command.from_json(body)
    with closing(ByHand()) as made:
        made.store.owe("one", "command", body)
        assert made.turn().about.startswith("round 1: people")
        assert made.store.owed() == []


def test_a_command_that_the_store_would_not_take_stays_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with closing(ByHand()) as made:
        made.turn()
        made.store.owe("one", "command", Command(what="pause", round=1).to_json())

        def full(*_: object) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(Store, "append", full)
            with pytest.raises(StoreError, match="the disk is full"):
                made.scheduler.turn()
        assert [row.key for row in made.store.owed()] == ["one"]
        assert made.turn().about.startswith("round 1 is paused")
        assert made.store.owed() == []

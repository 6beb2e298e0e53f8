"""What people see of rounds that wait, for whom, and until when."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from coordinator.rounds.commands import Command
from coordinator.rounds.views import list_rounds, show_round
from fieldvote.errors import InputError
from fieldvote.records import SurveyRequest
from tests.coordinator.rounds.campaign import TWO
from tests.coordinator.rounds.test_pace import ByHand


@pytest.fixture
def campaign() -> Iterator[ByHand]:
    with closing(ByHand()) as made:
        yield made


def test_before_the_first_round_there_is_nothing_to_see(campaign: ByHand) -> None:
    assert list_rounds(campaign.store) == []
    for number in (None, 0, 1):
        with pytest.raises(InputError, match="there is no round"):
            show_round(campaign.store, number)


def test_a_round_with_the_devices_says_how_many_have_answered(campaign: ByHand) -> None:
    campaign.network.late = {(TWO, SurveyRequest)}
    campaign.turn()
    row = show_round(campaign.store)
    assert row["waits_for"] == "devices: 2 of 3 have answered (survey)"
    assert row["since"] == "2026-01-01 12:00:00+00:00"
    assert row["until"] == "2026-01-01 12:01:00+00:00"


def test_a_round_with_people_says_how_many_answers_are_there(campaign: ByHand) -> None:
    campaign.turn()
    campaign.answer(1)
    row = show_round(campaign.store, 1)
    assert row["waits_for"] == "people: 1 of 3 candidates are answered"
    assert row["until"] == "2026-01-01 13:00:00+00:00"
    assert list_rounds(campaign.store) == [
        {
            "round": 1,
            "kind": "ordinary",
            "began": "2026-01-01 12:00:00+00:00",
            "labels": 0,
            "phase": "waiting for people",
            "model": "",
        }
    ]


def test_a_round_that_is_held_waits_for_a_person_since_then_and_without_an_end(
    campaign: ByHand,
) -> None:
    campaign.turn()
    campaign.clock.sleep(60)
    campaign.scheduler.obey(Command(what="pause", round=1, reason="the guide changes"))
    row = show_round(campaign.store)
    assert row["waits_for"] == "a person: fieldvote rounds resume 1, or abort"
    assert (row["reason"], row["since"]) == ("the guide changes", "2026-01-01 12:01:00+00:00")
    assert "until" not in row
    campaign.scheduler.obey(Command(what="abort", round=1, reason="enough"))
    assert show_round(campaign.store)["waits_for"] == "nothing"


def test_labels_and_scores_are_listed_once_they_are_there(campaign: ByHand) -> None:
    campaign.turn()
    campaign.answer()
    campaign.turn()
    done, waiting = list_rounds(campaign.store)
    assert (done["labels"], done["phase"]) == (3, "done")
    assert str(done["held_out"]).endswith(" of 10")
    assert "held_out" not in waiting
    assert str(done["model"]) == campaign.scheduler.campaign.rounds[1].model[:12] != ""

"""Every label says where it came from and which model learned from it."""

from contextlib import closing
from dataclasses import replace

import pytest

from coordinator.labels.desk import Seat
from coordinator.labels.desk_keys import pseudonym
from coordinator.labels.provenance import list_labels
from coordinator.rounds.events import Selected, Trained
from coordinator.settings import LabelingSettings
from fieldvote.errors import DataError
from fieldvote.records import MaskedItem
from tests.coordinator.rounds.campaign import KEYS, TASK, Campaign, Reader, settings_with

RULE = LabelingSettings(answers=2, guideline="high means above nought")


class Contrary(Reader):
    """Sees the opposite."""

    def answer(self, item: MaskedItem) -> int | None:
        return 1 - (super().answer(item) or 0)


@pytest.fixture
def campaign() -> Campaign:
    made = Campaign(settings_with(labeling=RULE))
    boss = Seat(annotator=Reader(), name="boss", expert=True)
    made.people = (
        Seat(annotator=Reader(), name="ann"),
        Seat(annotator=Contrary(), name="bob"),
        boss,
    )
    made.scheduler = made.started()
    return made


def test_a_line_tells_who_said_what_and_which_model_learned_from_it(campaign: Campaign) -> None:
    with closing(campaign):
        campaign.run(2)
        lines = list_labels(campaign.store, TASK)
        first, second = campaign.events(Selected)
        traces = [f"{event.round}/{item}" for event in (first, second) for item in event.items]
        assert sorted(str(line["trace"]) for line in lines) == sorted(traces)
        models = {event.round: event.model[:12] for event in campaign.events(Trained)}
        names = {who: pseudonym(who, KEYS.signing) for who in ("ann", "bob", "boss")}
        for line in lines:
            other = "low" if line["class"] == "high" else "high"
            assert set(str(line["answers"]).split(", ")) == {
                f"{names['ann']}: {line['class']}",
                f"{names['bob']}: {other}",
                f"{names['boss']} (expert): {line['class']}",
            }
            assert (line["source"], line["method"], line["confidence"]) == ("people", "expert", 0.5)
            assert (line["guideline"], line["schema"]) == (RULE.version, TASK.digest[:12])
            assert line["model"] == models[int(line["counted"])]
            assert line["at"]
            assert line["delivered"] == "yes"


def test_only_the_labels_of_one_round_and_a_class_nobody_knows(campaign: Campaign) -> None:
    with closing(campaign):
        campaign.run(2)
        lines = list_labels(campaign.store, TASK, 2)
        assert {str(line["trace"]).split("/")[0] for line in lines} == {"2"}
        with pytest.raises(DataError, match="class 1, the task has 1"):
            list_labels(campaign.store, replace(TASK, classes=("low",)))

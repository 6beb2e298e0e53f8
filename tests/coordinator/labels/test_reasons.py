"""The reasons of a label name functions, versions and weights, and add up to the label."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest

from coordinator.labels.reasons import explain_votes
from coordinator.models.totals import label_model_of, read_parameters
from coordinator.rounds.events import Agreed
from fieldvote.errors import InputError
from strategies.labeling import LabelModel
from tests.coordinator.rounds.campaign import TASK, Campaign

FIRST, SECOND = (function.id for function in TASK.functions)


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    with closing(Campaign()) as made:
        made.run(2)
        yield made


def test_each_vote_has_its_line_and_the_last_is_what_the_model_says(campaign: Campaign) -> None:
    given = TASK.functions[0].classes[0]
    rows = explain_votes(campaign.store, TASK, [f"{FIRST}={given}"])
    assert [row["function"] for row in rows] == ["class balance", FIRST, "probability"]
    assert rows[1]["version"] == TASK.functions[0].version
    assert rows[1]["votes"] == given
    newest = campaign.events(Agreed)[-1].label_model
    model = LabelModel.from_vector(read_parameters(campaign.store.artifact(newest)))
    votes = np.array([[TASK.classes.index(given), -1]])
    wanted = dict(zip(TASK.classes, model.predict(votes)[0], strict=True))
    assert {name: rows[-1][name] for name in TASK.classes} == {
        name: f"{p:.1%}" for name, p in wanted.items()
    }
    assert rows[1]["accuracy"] == round(float(model.accuracies[0]), 3)


def test_without_votes_only_the_prior_speaks(campaign: Campaign) -> None:
    [row] = explain_votes(campaign.store, TASK, [])
    prior = label_model_of(campaign.store, TASK, kept=campaign.events(Agreed)[-1].label_model).prior
    assert [row[name] for name in TASK.classes] == [f"{p:.1%}" for p in prior]


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (["nobody=low"], "no function 'nobody'"),
        ([f"{FIRST}=purple"], "no class 'purple'"),
        ([FIRST], "no class ''"),
        ([f"{SECOND}=low", f"{SECOND}=low"], "votes twice"),
    ],
)
def test_a_vote_nobody_could_have_cast_is_refused(
    campaign: Campaign, said: list[str], wrong: str
) -> None:
    with pytest.raises(InputError, match=wrong):
        explain_votes(campaign.store, TASK, said)

"""A device says why it labels an item as it does, from its own votes."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.device import opened
from edge.reasons import explain_item
from edge.serving_head import keep_label_model, label_model_of
from edge.settings import EdgeSettings
from fieldvote.errors import InputError, UnavailableError
from strategies.labeling import LabelModel, VoteSummary
from tests.doubles.sockets import short_folder
from tests.doubles.tasks import text_files, write_device

ITEMS = "a prize for you\nsee you at home\na third one\n"


@pytest.fixture
def config() -> Iterator[Path]:
    with short_folder() as folder:
        yield write_device(folder, text_files(), items=ITEMS)


def with_a_model(config: Path) -> tuple[LabelModel, list[str], np.ndarray]:
    """Let a label model come to the device; return it, the items' ids, and their votes."""
    with opened(EdgeSettings.load(config)) as device:
        votes = device.agent.votes
        model = LabelModel.fit(VoteSummary.from_votes(votes, classes=len(device.task.classes)))
        keep_label_model(device.pool, device.task, model.to_vector())
        kept = label_model_of(device.pool, device.task)
        assert kept is not None
        assert np.array_equal(kept.to_vector(), model.to_vector())
        return model, [item.hex() for item in device.pool.ids()], votes


def test_every_vote_on_the_item_has_its_line_and_the_last_is_the_label(config: Path) -> None:
    model, items, votes = with_a_model(config)
    with opened(EdgeSettings.load(config)) as device:
        task = device.task
    for item, row in zip(items, votes, strict=True):
        told = explain_item(config, item)
        cast = [task.functions[j] for j in np.flatnonzero(row >= 0)]
        said = {line["function"]: line for line in told}
        assert set(said) - {"class balance", "probability"} == {each.id for each in cast}
        assert {said[each.id]["version"] for each in cast} == {each.version for each in cast}
        wanted = model.predict(row[None])[0]
        shown = [said["probability"][name] for name in task.classes]
        assert shown == [f"{p:.1%}" for p in wanted]
    assert any((row >= 0).any() for row in votes)


def test_the_command_prints_a_table_or_json(config: Path) -> None:
    _, items, _ = with_a_model(config)
    words = ["explain", items[0][:8], "--config", str(config)]
    table = CliRunner().invoke(app, words).stdout
    assert table.splitlines()[0].startswith("function")
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert told == explain_item(config, items[0])


def test_an_item_that_is_not_one_and_a_model_that_never_came_are_said(config: Path) -> None:
    with opened(EdgeSettings.load(config)) as device:
        item = device.pool.ids()[0].hex()
    with pytest.raises(UnavailableError, match="no label model has come"):
        explain_item(config, item)
    for name in ("zz", ""):
        with pytest.raises(InputError, match="items of this device have an id"):
            explain_item(config, name)

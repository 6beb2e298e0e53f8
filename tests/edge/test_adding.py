"""Items that are added to a device while its agent is up, and while it is not."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.selection import is_blank
from edge.service import Serving, add_items
from edge.settings import EdgeSettings
from edge.status import status_of
from fieldvote.cli import app
from fieldvote.errors import DataError
from fieldvote.records import HelloReply, HelloRequest, SurveyReply, SurveyRequest, decode, encode
from tests.doubles.tasks import text_files, write_device


def surveyed(serving: Serving, number: int) -> SurveyReply:
    request = SurveyRequest(
        round=number, strategy="random", offers=0, random_offers=9, first=False, model=None
    )
    return decode(serving.answer(encode(request)), SurveyReply)


def test_an_agent_takes_in_what_is_added_while_it_is_up_and_sums_each_item_once(
    tmp_path: Path,
) -> None:
    config = write_device(tmp_path, text_files(), items="a prize for you\nsee you at home\n")
    more = tmp_path / "monday.txt"
    more.write_text("win a prize now\nhome late\nat the bus\n")
    with ExitStack() as held:
        serving = Serving(EdgeSettings.load(config), held, lambda _: None)
        assert surveyed(serving, 1).items == 2
        told = CliRunner().invoke(app, ["edge", "add", str(more), "--config", str(config)])
        assert (told.exit_code, told.stdout) == (0, "3 items added\n")
        later = surveyed(serving, 2)
        assert later.items == 3
        assert sum(not is_blank(offer) for offer in later.offers) == 5
        assert surveyed(serving, 3).items == 0
        hello = serving.answer(encode(HelloRequest(campaign="c")))
        assert decode(hello, HelloReply).items == 5
    assert add_items(config, more).kept == 3
    assert status_of(config)["items"] == 8


def test_a_file_that_holds_no_items_adds_none(tmp_path: Path) -> None:
    config = write_device(tmp_path, text_files(), items="a prize for you\n")
    with ExitStack() as held:
        Serving(EdgeSettings.load(config), held, lambda _: None)
    wrong = tmp_path / "wrong.npz"
    wrong.write_bytes(b"no archive")
    with pytest.raises(DataError):
        add_items(config, wrong)
    assert status_of(config)["items"] == 1

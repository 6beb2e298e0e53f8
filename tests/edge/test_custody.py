"""A device whose key is elsewhere, from its settings to its commands."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.adding import fill
from edge.cli import app
from edge.device import opened
from edge.pool import Pool
from edge.settings import EdgeSettings
from edge.stores import POOL_FILE, private_folder
from fieldvote.errors import InputError, SealError
from fieldvote.records import CollectRequest, SurveyReply, SurveyRequest, decode, encode
from fieldvote.task import Task
from tests.doubles.tasks import text_files, write_device
from tests.edge.test_pool_locked import planted_in, stolen

ITEMS = "a planted prize\na sentence nobody may find\nplanted here too\n"
SURVEY = SurveyRequest(
    round=1, strategy="fleet", offers=0, random_offers=3, first=False, model=None
)


def device(folder: Path, custody: str) -> Path:
    return write_device(folder, text_files(), items=ITEMS, custody=custody)


def run(config: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert result.exception is None, (result.output, result.exception)
    return result.output


def test_a_stolen_device_whose_key_is_elsewhere_tells_no_item(tmp_path: Path) -> None:
    config = device(tmp_path / "phone", '{ file = "../stick.key" }')
    with opened(EdgeSettings.load(config)) as phone:
        offers = decode(phone.agent.handle(encode(SURVEY)), SurveyReply).offers
        grants = tuple(offer.item for offer in offers)
        phone.agent.handle(encode(CollectRequest(round=1, grants=grants)))
        assert (tmp_path / "stick.key").stat().st_size == 32
        assert not planted_in(stolen(tmp_path / "phone" / "state"))
    assert not planted_in(stolen(tmp_path / "phone" / "state"))
    assert ["items", "3"] in [line.split() for line in run(config, "status").splitlines()]
    (tmp_path / "stick.key").unlink()
    with pytest.raises(InputError, match="bring it back"), opened(EdgeSettings.load(config)):
        pass


def test_a_device_before_locking_is_locked_at_its_next_start(tmp_path: Path) -> None:
    config = device(tmp_path, '{ file = "stick.key" }')
    settings = EdgeSettings.load(config)
    folder = private_folder(Path(settings.folder))
    pool = Pool(folder / POOL_FILE)
    fill(pool, Path(settings.items), Task.load(Path(settings.task)), evaluates=False)
    pool.close()
    assert planted_in(stolen(folder))
    with opened(settings) as phone:
        assert len(phone.pool) == 3
    assert not planted_in(stolen(folder))


def test_the_key_is_changed_where_it_is_and_moved_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = device(tmp_path, "{ }")
    with opened(EdgeSettings.load(config)) as phone:
        before = phone.pool.payloads()
    first = (tmp_path / "state" / "at_rest.key").read_bytes()
    assert "another now" in run(config, "rekey")
    assert (tmp_path / "state" / "at_rest.key").read_bytes() != first
    words = tmp_path / "words"
    words.write_text("open sesame\n")
    said = run(config, "rekey", "--to", "passphrase", "--file", str(words))
    assert said.startswith('[custody]\nkey = "passphrase"\n')
    with pytest.raises(SealError, match="locked by a passphrase"):
        run_raw(config)
    text = config.read_text().replace(
        "custody = { }", f'custody = {{ key = "passphrase", file = "{words}" }}'
    )
    config.write_text(text)
    with opened(EdgeSettings.load(config)) as phone:
        assert phone.pool.payloads() == before


def run_raw(config: Path) -> None:
    with opened(EdgeSettings.load(config)):
        raise AssertionError("a pool that is locked by another key was opened")


def test_a_purged_device_holds_nothing_of_its_items_even_with_its_key_beside(
    tmp_path: Path,
) -> None:
    config = device(tmp_path, "{ }")
    with opened(EdgeSettings.load(config)) as phone:
        wrapped = phone.pool.note("data key")
        locked = [bytes(row[0]) for row in phone.pool.rows("SELECT payload FROM item")]
    assert wrapped is not None
    assert "deleted 3 items" in run(config, "purge", "--yes")
    left = stolen(tmp_path / "state")
    assert not any(value[:24] in left for value in [*locked, wrapped])

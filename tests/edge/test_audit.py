"""What a device shows an auditor."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.audit import signed_ledger
from edge.device import opened
from edge.settings import EdgeSettings
from fieldvote.cli import app
from fieldvote.errors import InputError, SignatureError
from privacy.dp.statement import read_statement
from privacy.sealing import SigningKey
from tests.doubles.sockets import short_folder
from tests.doubles.tasks import text_files, write_device


@pytest.fixture
def config() -> Iterator[Path]:
    with short_folder() as folder:
        yield write_device(folder, text_files(), items="a prize for you\nsee you at home\n")


def test_the_signed_ledger_is_the_devices_own_and_can_be_checked(config: Path) -> None:
    with opened(EdgeSettings.load(config)) as device:
        device.ledger.charge("summaries", size_bytes=17)
        head = device.ledger.head
    folder = Path(EdgeSettings.load(config).folder)
    public = SigningKey.from_bytes((folder / "signing.key").read_bytes()).public
    shown = CliRunner().invoke(app, ["edge", "ledger", "--signed", "--config", str(config)])
    assert shown.exit_code == 0, shown.output
    statement = read_statement(shown.output, public=public)
    assert statement.head == head
    assert statement.spent.size_bytes == 17
    other = SigningKey.generate(bytes)
    with pytest.raises(SignatureError):
        read_statement(shown.output, public=other.public)


def test_a_device_that_never_ran_has_nothing_to_sign(config: Path) -> None:
    with pytest.raises(InputError, match="start the device once"):
        signed_ledger(config)

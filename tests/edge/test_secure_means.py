import os
from pathlib import Path

import pytest

from edge.secure_means import numbered, secure_means
from edge.settings import EdgeSettings
from edge.trust import Trust
from fieldvote.errors import InputError, RefusalError
from privacy.sealing import SealingKey, SigningKey
from privacy.sealing.device_keys import DeviceKeys
from privacy.sealing.directory import Directory, Entry
from privacy.secagg.roster import device_number
from tests.fuzz.fleet_parsers import fleet

NODE = fleet()[2].keys.node
SIGNER = SigningKey.generate(os.urandom)


def _directory(*, revoked: bool = False) -> Directory:
    keys = DeviceKeys(
        signing=SIGNER.public, sealing=SealingKey.generate(os.urandom).public, node=NODE
    )
    entry = Entry(
        id="phone-1",
        signing=keys.signing,
        sealing=keys.sealing,
        node=keys.node,
        serial="ab",
        revoked=revoked,
    )
    return Directory(version=1, entries=(entry,))


class _Believing:
    """What is believed of an owner, as far as sums ask."""

    def __init__(self, directory: bytes) -> None:
        self.directory = directory


def test_a_device_of_the_directory_has_the_number_that_follows_from_its_key() -> None:
    assert numbered(_directory()) == {device_number(SIGNER.public): SIGNER.public}


def test_a_revoked_device_is_nobody() -> None:
    assert numbered(_directory(revoked=True)) == {}


def test_without_root_and_directory_there_are_no_sums_under_masks() -> None:
    assert secure_means(SIGNER, None, None) is None


def test_the_settings_directory_counts_where_there_is_no_root() -> None:
    means = secure_means(SIGNER, None, _directory().to_bytes())
    assert means is not None
    assert means.directory() == numbered(_directory())


def test_with_a_root_only_the_signed_directory_counts() -> None:
    trust: Trust = _Believing(b"")  # type: ignore[assignment]  # all that is asked of it
    means = secure_means(SIGNER, trust, _directory().to_bytes())
    assert means is not None
    with pytest.raises(RefusalError, match="no directory has come yet"):
        means.directory()
    trust.directory = _directory().to_bytes()  # type: ignore[misc]  # news has come
    assert means.directory() == numbered(_directory())


def test_a_file_that_is_no_directory_is_refused() -> None:
    with pytest.raises(InputError):
        secure_means(SIGNER, None, b"no directory")


def test_the_directory_of_the_settings_is_beside_their_file(tmp_path: Path) -> None:
    file = tmp_path / "device.toml"
    file.write_text(
        'folder = "f"\ntask = "t"\nsketch_secret = "s"\ndirectory = "fleet.directory"\n'
        f'labeling_key = "{"a" * 64}"\ndesk_key = "{"b" * 64}"\n'
    )
    assert EdgeSettings.load(file).directory == str(tmp_path / "fleet.directory")

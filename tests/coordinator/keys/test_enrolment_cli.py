"""`fieldvote keys`, the part about devices, as its owner types it."""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from coordinator.keys.authority import (
    FILES,
    INTERMEDIATE_KEY,
    ROOT_KEY,
    TOKEN_KEY,
    Authority,
    make_authority,
    renew_intermediate,
)
from coordinator.keys.cli import app
from coordinator.keys.directory import directory_of, node_files
from coordinator.keys.registrar_settings import Handout, RegistrarSettings
from edge.registrar_line import enrol
from fieldvote.bundle import DIRECTORY_FILE, DIRECTORY_METADATA
from fieldvote.errors import InputError, RefusalError, SealError, SettingsError
from privacy.sealing.certificate import check_chain
from privacy.sealing.directory import Directory
from privacy.sealing.roles import Role, Targets
from privacy.sealing.signed import reopen
from privacy.sealing.token import Token
from tests.doubles.certificates import NOW, Phone
from tests.doubles.registrars import DESK, a_registrar, an_owner

ONE, TWO = Phone("one"), Phone("two")


def types(*words: str, code: int = 0) -> str:
    """Return what a command prints."""
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_an_owner_invites_a_device_by_one_word(tmp_path: Path) -> None:
    keys = tmp_path / "owner"
    types("init", str(keys))
    (keys / "desk.pub").write_text(DESK)
    (keys / "registrar.toml").write_text('desk = "desk.pub"\n')
    said = json.loads(types("invite", "--name", "phone1", "--keys", str(keys), "--json"))
    token = Token.from_text(said["token"])
    assert said["name"] == token.name == "phone1"
    assert types("invite", "--keys", str(keys)).strip().startswith("fv1-")
    with pytest.raises(InputError, match="no device is enrolled yet"):
        directory_of(keys)


def test_the_book_becomes_tables_directories_and_keys_to_register(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        for name, phone in (("phone1", ONE), ("phone2", TWO)):
            enrol(phone.with_token(owner.invite(name)), now=owner.clock())
    keys = str(owner.folder)
    rows = json.loads(types("enrolled", "--keys", keys, "--json"))
    assert [(row["device"], row["revoked"]) for row in rows] == [("phone1", ""), ("phone2", "")]
    assert "phone1" in types("enrolled", "--keys", keys)

    paths = types("nodes", str(tmp_path / "nodes"), "--keys", keys).splitlines()
    assert [Path(path).name for path in paths] == ["phone1.pub", "phone2.pub"]
    line = Path(paths[0]).read_bytes()
    assert serialization.load_ssh_public_key(line) == ONE.node.public_key()

    first = directory_of(owner.folder)
    assert directory_of(owner.folder) == first
    assert first.signing_keys == {"phone1": ONE.signing.public, "phone2": TWO.signing.public}
    said = types("revoke", "phone1", "--keys", keys, "--reason", "lost on a train")
    assert "fieldvote keys directory" in said
    second = directory_of(owner.folder)
    assert second.version == first.version + 1
    assert second.signing_keys == {"phone2": TWO.signing.public}
    assert "lost on a train" in types("enrolled", "--keys", keys)
    assert [path.name for path in node_files(owner.folder, tmp_path / "nodes")] == ["phone2.pub"]
    assert not (tmp_path / "nodes" / "phone1.pub").exists()


def test_the_directory_is_signed_for_the_coordinator_by_its_own_role(tmp_path: Path) -> None:
    keys = tmp_path / "owner"
    types("init", str(keys))
    with a_registrar(tmp_path / "elsewhere") as owner:
        enrol(ONE.with_token(owner.invite()), now=owner.clock())
    (keys / "enrolled.sqlite").write_bytes((owner.folder / "enrolled.sqlite").read_bytes())
    for version in (1, 2):  # signed again, the same devices are the same directory
        said = json.loads(types("directory", "--keys", str(keys), "--json"))
        assert said == {"version": version, "devices": 1, "revoked": 0}
    content = (keys / "online" / DIRECTORY_FILE).read_bytes()
    assert Directory.from_bytes(content).version == 1
    signed = reopen(
        (keys / "online" / DIRECTORY_METADATA).read_bytes(), Targets, Role.DIRECTORY
    ).value
    assert [path for path, _ in signed.files] == [DIRECTORY_FILE]
    assert "1 devices" in types("directory", "--keys", str(keys))


def test_an_authority_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    owner = an_owner(tmp_path / "owner")
    for name in FILES:
        private = not name.endswith(".pem")
        assert bool((owner.folder / name).stat().st_mode & 0o077) is not private
    assert (owner.folder / "online" / "fleet.pem").read_bytes() == (
        owner.folder / "fleet.pem"
    ).read_bytes()
    before = {name: (owner.folder / name).read_bytes() for name in FILES}
    with pytest.raises(InputError, match="not written over"):
        make_authority(owner.folder, fleet="ours", now=NOW, entropy=os.urandom)
    assert {name: (owner.folder / name).read_bytes() for name in FILES} == before
    secret = (owner.folder / TOKEN_KEY).read_bytes()
    assert str(secret) not in repr(owner.authority)


def test_a_registrar_needs_no_root_key_and_no_key_others_may_read(tmp_path: Path) -> None:
    owner = an_owner(tmp_path / "owner")
    (owner.folder / ROOT_KEY).rename(tmp_path / "carried-away.key")
    assert owner.invite().root == owner.authority.fingerprint
    (owner.folder / INTERMEDIATE_KEY).chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        Authority.load(owner.folder, now=owner.clock())
    with pytest.raises(InputError, match="fieldvote keys init"):
        Authority.load(tmp_path, now=owner.clock())


def test_an_intermediate_that_is_over_signs_nothing_and_is_followed_by_a_new_one(
    tmp_path: Path,
) -> None:
    owner = an_owner(tmp_path / "owner")
    root = owner.authority.root
    owner.clock.passes(days=367)
    with pytest.raises(RefusalError, match="intermediate's certificate ended"):
        owner.invite()
    now, carried = owner.clock(), tmp_path / "carried-away.key"
    (owner.folder / ROOT_KEY).rename(carried)
    with pytest.raises(InputError, match="root's key is needed"):
        renew_intermediate(owner.folder, now=now, entropy=os.urandom)
    renew_intermediate(owner.folder, now=now, entropy=os.urandom, root_key=carried)
    assert owner.authority.root == root
    grant = owner.registrar._issue(ONE.keys, "phone1")[0]
    assert check_chain(grant, root=root, now=owner.clock()).name == "phone1"
    # a crash between the two files is seen
    (owner.folder / INTERMEDIATE_KEY).write_bytes(b"k" * 32)
    with pytest.raises(InputError, match="not of one making"):
        owner.invite()


def test_the_roots_key_may_be_locked_by_a_passphrase(tmp_path: Path) -> None:
    folder, now = tmp_path / "owner", datetime.now(UTC)
    make_authority(folder, fleet="ours", now=now, entropy=os.urandom, passphrase="open sesame")
    assert len((folder / ROOT_KEY).read_bytes()) > 32
    with pytest.raises(SealError):
        renew_intermediate(folder, now=now, entropy=os.urandom, passphrase=lambda: "wrong")
    key = (folder / INTERMEDIATE_KEY).read_bytes()
    words = ["intermediate", "--keys", str(folder)]
    done = CliRunner().invoke(app, words, input="open sesame\n", catch_exceptions=False)
    assert "signs with a new key until" in done.stdout
    assert (folder / INTERMEDIATE_KEY).read_bytes() != key
    assert Authority.load(folder, now=now)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('listen = "nowhere"', "host:port"),
        ('superlink = "hub"', "host:port"),
        ('superlink = "hub.example:9092"', "not loopback"),
        ("certificate_days = 0", "certificate_days"),
        ("token_minutes = 9999", "token_minutes"),
        ('desk = "gone.pub"', "cannot be read"),
        ('desk = "other.pub"', "labels keys"),
        ('superlink_ca = "other.pub"', "no certificate"),
        ('root = "large"', "at most"),
        ("colour = 1", "unknown key"),
    ],
)
def test_settings_no_device_could_use_are_refused(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "desk.pub").write_text(DESK)
    (tmp_path / "other.pub").write_text(DESK + 'task = "/x"\n')
    (tmp_path / "large").write_bytes(bytes(200_000))
    desk = "" if line.startswith("desk") else 'desk = "desk.pub"\n'
    (tmp_path / "registrar.toml").write_text(f"{desk}{line}\n")
    with pytest.raises(SettingsError, match=re.escape(words)):
        Handout.read(RegistrarSettings.load(tmp_path))

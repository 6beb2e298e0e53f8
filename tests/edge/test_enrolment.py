"""A device is enrolled whole or not at all, keeps its keys, and renews its certificate."""

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from cryptography import x509
from typer.testing import CliRunner

from coordinator.keys.registrar_settings import Handout, RegistrarSettings
from edge import enrolment
from edge.cli import app
from edge.credential import Credential, renew_if_due, renewing
from edge.device import opened
from edge.enrolment import Wishes, enroll
from edge.flower.keys import node_key
from edge.registrar_line import enrol
from edge.settings import EdgeSettings
from edge.status import status_of
from edge.stores import open_pool
from fieldvote.durable import write_over
from fieldvote.errors import (
    FieldvoteError,
    InputError,
    RefusalError,
    SignatureError,
    StoreError,
    UnavailableError,
)
from fieldvote.records import HelloReply, HelloRequest, decode, encode
from privacy.sealing.certificate import DeviceCertificate
from privacy.sealing.possession import check_hello
from tests.deployment.processes import wait_for
from tests.doubles.registrars import DESK, Owner, a_registrar, an_owner
from tests.doubles.tasks import text_files, write_task

KEYS = ("signing.key", "sealing.key", "node.key")


def enrolled(owner: Owner, folder: Path, name: str = "phone1") -> tuple[Path, DeviceCertificate]:
    token = owner.invite(name)
    return enroll(token.text, Wishes(folder=folder), now=owner.clock(), entropy=os.urandom)


def credential_of(config: Path) -> Credential:
    found = Credential.of(EdgeSettings.load(config))
    assert found is not None
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_command_makes_a_device_that_starts(tmp_path: Path) -> None:
    ca = "-----BEGIN CERTIFICATE-----\nsome authority"
    more = f'superlink = "hub.example:9092"\nsuperlink_ca = "{tmp_path}/hub.pem"\n'
    (tmp_path / "hub.pem").write_text(ca)
    (tmp_path / "texts.txt").write_text("a prize for you\nsee you at home\n")
    (tmp_path / "my task").mkdir()
    folder = tmp_path / "devices" / "phone1"
    with a_registrar(tmp_path / "owner", more=more) as owner:
        wishes = Wishes(folder=folder, task=tmp_path / "my task", items=tmp_path / "texts.txt")
        config, certificate = enroll(
            owner.invite().text, wishes, now=owner.clock(), entropy=os.urandom
        )
        secret = owner.authority.sketch_secret
    settings = EdgeSettings.load(config)
    assert Path(settings.task).resolve() == tmp_path / "my task"
    assert Path(settings.items).resolve() == tmp_path / "texts.txt"
    assert Path(settings.sketch_secret).read_bytes() == secret
    assert settings.flower is not None
    assert settings.flower.superlink == "hub.example:9092"
    assert Path(settings.flower.ca).read_text() == ca
    assert node_key(Path(settings.flower.key)).curve.name == "secp384r1"
    assert certificate.name == "phone1"
    for path in folder.iterdir():
        private = path.suffix != ".pub"
        assert not (private and path.stat().st_mode & 0o077), path
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.parent.iterdir()] == ["phone1"]


def test_the_agent_opens_with_what_was_written_and_shows_its_certificate(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a prize for you\nsee you at home\n")
    task = write_task(tmp_path / "task", text_files())
    wishes = Wishes(folder=tmp_path / "phone1", task=task, items=tmp_path / "texts.txt")
    with a_registrar(tmp_path / "owner") as owner:
        config, certificate = enroll(
            owner.invite().text, wishes, now=owner.clock(), entropy=os.urandom
        )
        root = owner.authority.root
    challenge = bytes(range(32))
    with opened(EdgeSettings.load(config)) as device:
        asked = HelloRequest(campaign="c", challenge=challenge)
        reply = decode(device.agent.handle(encode(asked)), HelloReply)
    assert reply.items == 2
    keys = (reply.signing_key, reply.sealing_key)
    assert check_hello(
        reply.proof, keys, challenge=challenge, campaign="c", task=reply.task,
        certificate=reply.certificate, root=root, now=owner.clock(),
    ) == certificate  # fmt: skip


def test_the_owners_root_is_handed_out_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "root.msgpack").write_bytes(b"the owner's root")
    with a_registrar(tmp_path / "owner") as owner:
        config, _ = enrolled(owner, tmp_path / "phone1")
    settings = EdgeSettings.load(config)
    assert Path(settings.root).read_bytes() == b"the owner's root"
    assert settings.flower is None


def test_a_device_that_is_there_keeps_its_keys_and_gets_a_new_certificate(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        config, first = enrolled(owner, tmp_path / "phone1")
        before = content(tmp_path / "phone1")
        owner.clock.passes(days=40)
        again, second = enrolled(owner, tmp_path / "phone1")
    after = content(tmp_path / "phone1")
    assert again == config
    assert second.ends > first.ends
    assert {name for name in after if after[name] != before[name]} == {"certificate.pem"}


def test_a_folder_of_somebody_elses_is_left_as_it_is(tmp_path: Path) -> None:
    owner = an_owner(tmp_path / "owner")
    used, device = tmp_path / "used", tmp_path / "device"
    used.mkdir()
    (used / "signing.key").write_bytes(b"k" * 32)
    device.mkdir()
    (device / "device.toml").write_text(f'folder="."\ntask="t"\nsketch_secret="s"\n{DESK}')
    for folder, words in ((used, "name another folder"), (device, "was not enrolled")):
        before = content(folder)
        with pytest.raises(InputError, match=words):
            enrolled(owner, folder)
        assert content(folder) == before


def test_a_mistyped_token_makes_nothing(tmp_path: Path) -> None:
    wishes = Wishes(folder=tmp_path / "phone1")
    with pytest.raises(InputError, match="token"):
        enroll("fv1-abc", wishes, now=datetime.now().astimezone(), entropy=os.urandom)
    assert list(tmp_path.iterdir()) == []


def test_a_call_that_was_cut_off_is_made_again_with_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        token, wishes = owner.invite(), Wishes(folder=tmp_path / "phone1")
        with monkeypatch.context() as cut:
            real = enrol

            def cut_off(*words: object, **more: object) -> object:
                real(*words, **more)  # type: ignore[arg-type]  # passed on as they are
                raise UnavailableError("the line broke")

            cut.setattr(enrolment, "enrol", cut_off)
            with pytest.raises(UnavailableError):
                enroll(token.text, wishes, now=owner.clock(), entropy=os.urandom)
        assert not wishes.folder.exists()
        made = content(tmp_path / ".phone1.enrolling")
        enroll(token.text, wishes, now=owner.clock(), entropy=os.urandom)
        assert owner.names() == ["phone1"]
    there = content(wishes.folder)
    assert {name: there[name] for name in KEYS} == {name: made[name] for name in KEYS}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["owner", "phone1"]


@pytest.mark.parametrize("name", ["certificate.pem", "sketch.secret", "device.toml", "rename"])
def test_a_device_killed_while_writing_is_there_whole_at_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def dies(path: Path, _: bytes) -> None:
        if path.name == name:
            raise SystemExit(9)
        real(path, _)

    real = write_over
    with a_registrar(tmp_path / "owner") as owner:
        token, wishes = owner.invite(), Wishes(folder=tmp_path / "phone1")
        with monkeypatch.context() as kill:
            if name == "rename":
                kill.setattr(enrolment, "sync_folder", lambda _: dies(Path("rename"), b""))
            else:
                kill.setattr(enrolment, "write_over", dies)
            with pytest.raises(SystemExit):
                enroll(token.text, wishes, now=owner.clock(), entropy=os.urandom)
        assert not wishes.folder.exists()
        config, certificate = enroll(token.text, wishes, now=owner.clock(), entropy=os.urandom)
    assert credential_of(config).checked(owner.clock()) == certificate


@pytest.mark.parametrize(
    "more", ['task = "/elsewhere"\n', "evaluates = true\n", "[flower]\n", "no toml"]
)
def test_a_registrar_that_hands_out_other_settings_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    def strange(settings: RegistrarSettings) -> Handout:
        return replace(real(settings), desk=DESK + more)

    real = Handout.read
    monkeypatch.setattr(Handout, "read", strange)
    with a_registrar(tmp_path / "owner") as owner, pytest.raises(InputError):
        enrolled(owner, tmp_path / "phone1")
    assert not (tmp_path / "phone1").exists()


def test_a_certificate_is_shown_with_a_signature_where_one_is_asked_for(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        config, certificate = enrolled(owner, tmp_path / "phone1")
        root = owner.authority.root
    credential = credential_of(config)
    assert credential.show(HelloRequest(campaign="c"), "t")[1] == b""
    challenge = bytes(range(32))
    chain, proof = credential.show(HelloRequest(campaign="c", challenge=challenge), "t")
    keys = (certificate.keys.signing, certificate.keys.sealing)
    assert check_hello(
        proof, keys, challenge=challenge, campaign="c", task="t", certificate=chain, root=root,
        now=owner.clock(),
    ) == certificate  # fmt: skip
    with pytest.raises(InputError, match="32 bytes"):
        credential.show(HelloRequest(campaign="c", challenge=b"short"), "t")


def test_a_certificate_is_renewed_from_half_of_its_life_on_and_not_before(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        config, first = enrolled(owner, tmp_path / "phone1")
        credential = credential_of(config)
        owner.clock.passes(days=14)
        assert renew_if_due(credential, owner.clock()) == ""
        assert credential.checked(owner.clock()) == first
        owner.clock.passes(hours=23, minutes=58)  # half by our clock, not yet by the registrar's
        assert renew_if_due(credential, owner.clock()) == ""
        owner.clock.passes(minutes=3)
        assert "is renewed until" in renew_if_due(credential, owner.clock())
        second = credential.checked(owner.clock())
        assert second.ends - first.ends > timedelta(days=14)
        assert credential.certificate.stat().st_mode & 0o777 == 0o600
        owner.clock.passes(days=31)
        with pytest.raises(RefusalError, match="with a new token"):
            renew_if_due(credential, owner.clock())


def test_a_certificate_stays_where_the_registrar_is_silent_or_refuses(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        config, first = enrolled(owner, tmp_path / "phone1")
        with owner.book() as book:
            book.revoke("phone1", "", owner.clock())
        owner.clock.passes(days=16)
        credential = credential_of(config)
        with pytest.raises(RefusalError, match="revoked"):
            renew_if_due(credential, owner.clock())
    with pytest.raises(UnavailableError):
        renew_if_due(credential, owner.clock())
    assert credential.checked(owner.clock()) == first


def test_a_certificate_of_another_fleet_is_not_shown_as_ours(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner, a_registrar(tmp_path / "other") as other:
        config, _ = enrolled(owner, tmp_path / "phone1")
        theirs, _ = enrolled(other, tmp_path / "theirs")
        before = content(config.parent)
        with pytest.raises(SignatureError, match="another fleet"):
            enrolled(other, config.parent)
        assert content(config.parent) == before
        (config.parent / "certificate.pem").write_bytes(
            (theirs.parent / "certificate.pem").read_bytes()
        )
        with pytest.raises(FieldvoteError):
            credential_of(config).checked(owner.clock())


def test_the_running_agent_renews_and_says_each_trouble_once(tmp_path: Path) -> None:
    said: list[str] = []
    stop = Event()
    with a_registrar(tmp_path / "owner") as owner:
        config, _ = enrolled(owner, tmp_path / "phone1")
        owner.clock.passes(days=16)
        with renewing(credential_of(config), say=said.append, stop=stop, now=owner.clock):
            wait_for(lambda: bool(said), 10, tmp_path)
        stop.set()
    assert "is renewed until" in said[0]
    with renewing(None, say=said.append, stop=Event()):
        pass
    assert len(said) == 1


def test_status_tells_until_when_and_a_trouble_in_words(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        config, certificate = enrolled(owner, tmp_path / "phone1")
    write_task(config.parent / "task", text_files())
    open_pool(EdgeSettings.load(config)).close()
    found = status_of(config)
    assert found["enrolled_as"] == "phone1"
    assert found["certificate_until"] == certificate.ends.isoformat(timespec="seconds")
    assert str(found["renews_from"]) < str(found["certificate_until"])
    (config.parent / "certificate.pem").write_bytes(b"gone")
    assert "no certificates in PEM" in str(status_of(config)["certificate"])


def test_the_command_says_what_to_do_next(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        folder = str(tmp_path / "phone1")
        words = ["enroll", "--token", "-", "--folder", folder]
        typed = f"{owner.invite().text}\n"
        for wish in ("--task", "--items"):  # and the token can still be spent
            mistyped = [*words, wish, str(tmp_path / "nothing")]
            refused = CliRunner().invoke(app, mistyped, input=typed)
            assert isinstance(refused.exception, InputError)
            assert not Path(folder).exists()
        done = CliRunner().invoke(app, words, input=typed, catch_exceptions=False)
        assert done.exit_code == 0
        assert typed.strip() not in done.output
        assert "phone1 is enrolled until" in done.output
        assert f"fieldvote edge run --config {folder}/device.toml" in done.output


def test_two_cannot_enrol_one_folder_at_a_time(tmp_path: Path) -> None:
    owner = an_owner(tmp_path / "owner")
    with (
        enrolment._draft(tmp_path / "phone1"),
        pytest.raises(UnavailableError, match="another process"),
    ):
        enrolled(owner, tmp_path / "phone1")
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreError, InputError)):
        enrolled(owner, tmp_path / "file" / "phone1")


def test_a_chain_in_pem_is_all_a_certificate_file_holds(tmp_path: Path) -> None:
    with a_registrar(tmp_path / "owner") as owner:
        config, _ = enrolled(owner, tmp_path / "phone1")
    chain = (config.parent / "certificate.pem").read_bytes()
    assert len(x509.load_pem_x509_certificates(chain)) == 2
    assert b"PRIVATE" not in chain

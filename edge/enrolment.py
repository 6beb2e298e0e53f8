"""Becoming a device of a fleet: one token, one call, one folder that is there whole or not at all.

The folder is made under another name beside its place and takes its place in one step. Keys are
made before the call and kept until then, so a call that was cut off is made again with the same
token: the registrar knows the request and answers it again. A device that has its keys keeps them;
enrolled again, after its certificate was over, it gets a new certificate and nothing else.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.credential import SIGNING_KEY, Credential
from edge.flower.keys import node_key
from edge.registrar_line import Enrolled, enrol
from edge.settings import EdgeSettings
from fieldvote.durable import read_whole, sync_folder, write_over
from fieldvote.errors import InputError, SignatureError, StoreError, UnavailableError
from fieldvote.settings import parse_toml
from privacy.sealing.certificate import DeviceCertificate, fingerprint, read_certificate
from privacy.sealing.enrolment import Applicant
from privacy.sealing.keys import KEY_BYTES, SealingKey, SigningKey
from privacy.sealing.token import Token

CONFIG, SEALING_KEY, NODE_KEY = "device.toml", "sealing.key", "node.key"
FLEET, CERTIFICATE, ROOT = "fleet.pem", "certificate.pem", "root.msgpack"
SKETCH, SUPERLINK_CA = "sketch.secret", "superlink-ca.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a device's owner decides, and the fleet does not.

    Attributes:
        folder: Where the device's files will be.
        task: The task folder; None: `task` in the device's folder.
        items: File the pool is filled from on first start; None for none.
    """

    folder: Path
    task: Path | None = None
    items: Path | None = None


def enroll(
    text: str, wishes: Wishes, *, now: datetime, entropy: Callable[[int], bytes]
) -> tuple[Path, DeviceCertificate]:
    """Enrol a device. Return its settings file, and what its certificate says.

    Args:
        text: The token, as the owner's command printed it.
        wishes: Where, and with what.
        now: The time, with its zone.
        entropy: For the keys; the system's.

    Raises:
        InputError: the token was mistyped, the folder is somebody else's, or there is no such task
            or file of items; nothing was changed.
        SignatureError: whoever answers is not of the token's fleet; nothing was told to it.
        RefusalError: the registrar refuses; the folder is not there.
        UnavailableError: nobody answers; the same command may be given again.
        StoreError: the folder cannot be written.
    """
    token, folder = Token.from_text(text), wishes.folder
    config = folder / CONFIG
    if config.is_file():
        return config, _again(token, config, now)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: is there already, and no enrolled device; name another folder")
    # before the token is spent: the settings that would name them are not written a second time
    if wishes.task is not None and not wishes.task.is_dir():
        raise InputError(f"{wishes.task}: no such task folder")
    if wishes.items is not None and not wishes.items.is_file():
        raise InputError(f"{wishes.items}: no such file of items")
    with _draft(folder) as draft:
        applicant = Applicant(
            token=token,
            signing=SigningKey.from_bytes(_kept(draft / SIGNING_KEY, entropy)),
            sealing=SealingKey.from_bytes(_kept(draft / SEALING_KEY, entropy)),
            node=node_key(draft / NODE_KEY),
        )
        enrolled = enrol(applicant, now=now)
        for name, content in _files(enrolled, wishes).items():
            write_over(draft / name, content)
        EdgeSettings.load(draft / CONFIG)  # what would not start is not put in place
        try:
            sync_folder(draft)
            draft.rename(folder)
            sync_folder(folder.parent)
        except OSError as err:
            raise StoreError(f"{folder}: cannot be written ({err.strerror or err})") from err
    return config, enrolled.certificate


def _again(token: Token, config: Path, now: datetime) -> DeviceCertificate:
    """Give a device that has its keys a new certificate, and change nothing else."""
    settings = EdgeSettings.load(config)
    credential = Credential.of(settings)
    folder = Path(settings.folder)
    node = Path(settings.flower.key) if settings.flower else folder / NODE_KEY
    if credential is None or not node.is_file():
        raise InputError(f"{config}: a device that was not enrolled; its keys stay as they are")
    applicant = Applicant(
        token=token,
        signing=SigningKey.from_bytes(read_whole(folder / SIGNING_KEY)),
        sealing=SealingKey.from_bytes(read_whole(folder / SEALING_KEY)),
        node=node_key(node),
    )
    if fingerprint(read_certificate(read_whole(credential.fleet))) != token.root:
        raise SignatureError(f"{config}: is a device of another fleet than the token's")
    enrolled = enrol(applicant, now=now)
    write_over(credential.certificate, enrolled.grant.certificate)
    return enrolled.certificate


def _files(enrolled: Enrolled, wishes: Wishes) -> dict[str, bytes]:
    """Return what is written beside the keys, the settings last."""
    grant = enrolled.grant
    files = {
        FLEET: enrolled.fleet,
        CERTIFICATE: grant.certificate,
        SKETCH: grant.sketch_secret,
        ROOT: grant.root,
        SUPERLINK_CA: grant.superlink_ca,
        CONFIG: _settings(enrolled, wishes).encode(),
    }
    return {name: content for name, content in files.items() if content}


def _settings(enrolled: Enrolled, wishes: Wishes) -> str:
    """Return the device's TOML."""
    grant = enrolled.grant
    strange = [name for name in parse_toml(grant.desk.encode(), "desk") if not _of_desk(name)]
    if strange:  # a line more could point the device to another folder, or another fleet
        raise InputError("the registrar's desk keys hold other settings than the desk's keys")
    own = {
        "folder": ".",
        "task": _seen_from(wishes.folder, wishes.task) or "task",
        "sketch_secret": SKETCH,
        "root": ROOT if grant.root else "",
        "items": _seen_from(wishes.folder, wishes.items),
    }
    lines = [
        f"# {enrolled.certificate.name}, enrolled by 'fieldvote edge enroll'",
        *_lines(own),
        grant.desk.strip(),
        "",
        "[enrolment]",
        *_lines({"registrar": enrolled.registrar, "fleet": FLEET, "certificate": CERTIFICATE}),
    ]
    if grant.superlink:
        place = {"superlink": grant.superlink, "key": NODE_KEY}
        secure = _lines({"ca": SUPERLINK_CA}) if grant.superlink_ca else ["insecure = true"]
        lines += ["", "[flower]", *_lines(place), *secure]
    return "\n".join(lines) + "\n"


def _lines(table: dict[str, str]) -> list[str]:
    """Return settings as TOML, those that are empty left out; JSON's strings are TOML's."""
    return [f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in table.items() if v]


def _of_desk(name: str) -> bool:
    """Return whether a setting is a key of the desk."""
    return name in ("labeling_key", "desk_key", "labeling_keys", "desk_keys")


def _seen_from(folder: Path, path: Path | None) -> str:
    """Return a path as the settings file in this folder names it."""
    return "" if path is None else os.path.relpath(path.absolute(), folder.absolute())


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Return a folder of the same parent, made 0700, for one enrolment at a time.

    Unless it was renamed it stays, whatever went wrong: the registrar may know its keys already,
    and whoever could make this device throw them away could lock it out.
    """
    draft = folder.with_name(f".{folder.name}.enrolling")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as err:
        raise StoreError(f"{draft}: cannot be made ({err.strerror or err})") from err
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        os.close(descriptor)
        raise UnavailableError(f"{folder}: is being enrolled by another process") from err
    try:
        yield draft
    finally:
        os.close(descriptor)


def _kept(path: Path, entropy: Callable[[int], bytes]) -> bytes:
    """Return the key a try before this one has made, or make it."""
    if not path.exists():
        write_over(path, entropy(KEY_BYTES))
    return read_whole(path)

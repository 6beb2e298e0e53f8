"""Inviting: a token for one device, made where the fleet's keys are."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.keys.authority import Authority
from coordinator.keys.enrolled import opened_book
from coordinator.keys.registrar_settings import RegistrarSettings
from fieldvote.errors import RefusalError
from privacy.sealing.token import Token, check_name, make_token


def invite(folder: Path, name: str, *, now: datetime) -> Token:
    """Return a token for one device.

    Args:
        folder: The owner's key folder.
        name: What the device will be called; empty leaves it to the token. A device whose
            certificate is over is invited again under its own name.
        now: The time, with its zone.

    Raises:
        InputError: the folder holds no authority or no settings, or the name is none.
        RefusalError: the device of this name is revoked.
    """
    if name:
        check_name(name)
    settings = RegistrarSettings.load(folder)
    authority = Authority.load(folder, now=now)
    with opened_book(folder) as book:
        if any(device.name == name and device.revoked_at for device in book.devices()):
            raise RefusalError(f"{name} is revoked: invite under a new name")
    return make_token(
        authority.token_key,
        name=name,
        root=authority.fingerprint,
        address=settings.address,
        now=now,
        entropy=os.urandom,
        life=timedelta(minutes=settings.token_minutes),
    )

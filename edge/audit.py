"""What a device shows an auditor: its account, signed by the key that signs what it ships."""

from datetime import UTC, datetime
from pathlib import Path

from edge.accounts import delta_of
from edge.status import look
from edge.stores import ledger_of
from fieldvote.errors import InputError
from privacy.dp.statement import sign_statement, state
from privacy.sealing import SigningKey


def signed_ledger(config: Path) -> str:
    """Return the device's signed summary of its ledger, as JSON text.

    Args:
        config: The device's TOML file; the device has run before.

    Raises:
        RefusalError: the ledger's chain is broken.
        InputError: the device has no signing key yet, or the file is none.
    """
    settings, task, pool = look(config)
    place = Path(settings.folder) / "signing.key"
    try:
        if not place.is_file():
            raise InputError(
                f"{place}: no key yet; start the device once with 'fieldvote edge run'"
            )
        statement = state(ledger_of(pool, task), at=datetime.now(UTC), delta=delta_of(task))
        return sign_statement(statement, SigningKey.from_bytes(place.read_bytes()))
    finally:
        pool.close()

"""The values of a device's database that are locked on its disk, if it has a key."""

from collections.abc import Iterable

from privacy.sealing.at_rest import DataKey, place

LOCKED = {  # table: the column that names a row, and the columns that are locked
    "item": ("id", ("payload",)),
    "journal": ("request", ("reply",)),
    "parcel": ("id", ("request", "reply")),
}
"""Item content, and whatever was made of it: replies and messages hold sums, and sealed items."""

Name = bytes | str


class Locker:
    """Locks and opens values for the rows they belong to; without a key they stay as they are."""

    def __init__(self, key: DataKey | None = None) -> None:
        """Take the database's key."""
        self.key = key

    def seal(self, table: str, column: str, rows: Iterable[tuple[Name, bytes]]) -> list[bytes]:
        """Return values as they are stored.

        Args:
            table: Where.
            column: Where.
            rows: The name of each row and its value.
        """
        if (key := self.key) is None:
            return [value for _, value in rows]
        return [key.seal(value, place(table, column, name)) for name, value in rows]

    def open(self, table: str, column: str, rows: Iterable[tuple[Name, bytes]]) -> list[bytes]:
        """Undo seal.

        Raises:
            SealError: a value was changed, cut short or moved on the disk.
        """
        if (key := self.key) is None:
            return [bytes(value) for _, value in rows]
        return [key.open(value, place(table, column, name)) for name, value in rows]

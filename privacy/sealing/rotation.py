"""Keys that follow each other: several at a time, each with the time it is good for.

A sender seals to the key that began last among those that are good now; a receiver accepts all that
are good now. So the next key is listed with a begin in the future, everybody learns of it, and
the old one ends when nothing sealed to it or signed by it can still be on its way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fieldvote.errors import InputError, RefusalError


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedKey:
    """A public key and when it is good.

    Attributes:
        public: 32 bytes.
        begins: From when on; None for always. With a time zone.
        ends: From when on it is not good any more; None for never. With a time zone.
    """

    public: bytes
    begins: datetime | None = None
    ends: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse a time that means another moment elsewhere, and a key that is never good."""
        for moment in (self.begins, self.ends):
            if moment is not None and moment.tzinfo is None:
                raise InputError("a key's begin and end need a time zone: write 2026-05-01T00:00Z")
        if self.begins is not None and self.ends is not None and self.begins >= self.ends:
            raise InputError("a key that ends before it begins is never good")

    def is_good(self, at: datetime) -> bool:
        """Return whether the key is good at this moment."""
        began = self.begins is None or self.begins <= at
        return began and (self.ends is None or at < self.ends)


def good_keys(keys: Sequence[DatedKey], at: datetime) -> tuple[bytes, ...]:
    """Return the public keys that are good at this moment, as they are listed."""
    return tuple(key.public for key in keys if key.is_good(at))


def newest_key(keys: Sequence[DatedKey], at: datetime) -> bytes:
    """Return the key to seal to: of those that are good, the one that began last.

    Of two that began together the one listed last counts.

    Raises:
        RefusalError: none is good; what would be sealed stays.
    """
    good = [key for key in keys if key.is_good(at)]
    if not good:
        raise RefusalError("no labeling key is good now: nothing is sealed until one is listed")
    began = [key.begins.timestamp() if key.begins else float("-inf") for key in good]
    place = max(range(len(good)), key=lambda place: (began[place], place))
    return good[place].public

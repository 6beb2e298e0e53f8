"""Model versions: each is named by the digest of what it holds, and names its parent.

They lie in the campaign's store, so that an event and the model it names are there together or not
at all, and a coordinator that takes over finds both.
"""

from hashlib import sha256

from coordinator.store.campaign import Store
from fieldvote.heads import HeadModel
from fieldvote.records import (
    decode,
    encode,
)


def digest_of(model: HeadModel) -> str:
    """Return the digest a version is called by: 64 hexadecimal digits."""
    return sha256(encode(model)).hexdigest()


class Shelf:
    """The model versions of a store. Writes belong in a transaction."""

    def __init__(self, store: Store) -> None:
        """Use this store."""
        self._store = store

    def put(self, model: HeadModel) -> str:
        """Keep a version and return its digest; keeping it again changes nothing."""
        return self._store.keep_artifact(encode(model))

    def get(self, digest: str) -> HeadModel:
        """Return the version of this digest.

        Raises:
            DataError: it is not here, or is not what its name says.
        """
        return decode(self._store.artifact(digest), HeadModel)

    def lineage(self, digest: str) -> tuple[str, ...]:
        """Return a version's ancestors, itself first."""
        line = []
        while digest:
            line.append(digest)
            digest = self.get(digest).parent
        return tuple(line)

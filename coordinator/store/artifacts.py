"""What is kept by name: bytes by their digest, and a campaign's small facts."""

from hashlib import sha256

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT is spelled as SQLite's

from coordinator.store.schema import artifact, note
from coordinator.store.scope import CampaignTables, of
from fieldvote.errors import DataError

_KEEP = insert(artifact).on_conflict_do_nothing()
_IS_KEPT = select(artifact.c.digest).where(artifact.c.digest == bindparam("the_digest"))
_ARTIFACT = select(artifact.c.blob).where(artifact.c.digest == bindparam("the_digest"))
_ARTIFACTS = select(artifact.c.digest).order_by(artifact.c.digest)
_NOTE = select(note.c.value).where(of(note, "name"))
_ADD_NOTE = insert(note)
_KEEP_NOTE = _ADD_NOTE.on_conflict_do_update(
    index_elements=["campaign", "name"], set_={"value": _ADD_NOTE.excluded.value}
)


class ArtifactTables(CampaignTables):
    """Models and other bytes, shared by all campaigns of the database, and notes of this one.

    An event that names an artifact is stored in one transaction with it.
    """

    def keep_artifact(self, blob: bytes) -> str:
        """Keep bytes; return the 64 hexadecimal digits they are called by. Twice is once."""
        digest = sha256(blob).hexdigest()
        if not self.database.rows(_IS_KEPT, {"the_digest": digest}):
            self._write(_KEEP, [{"digest": digest, "blob": blob}])
        return digest

    def artifact(self, digest: str) -> bytes:
        """Return what is called so.

        Raises:
            DataError: it is not here, or is not what its name says.
        """
        rows = self.database.rows(_ARTIFACT, {"the_digest": digest})
        if not rows:
            raise DataError(f"there is no artifact {digest[:12]} here")
        blob: bytes = rows[0]["blob"]
        if sha256(blob).hexdigest() != digest:
            raise DataError(f"artifact {digest[:12]} was changed on the disk: restore a backup")
        return blob

    def artifacts(self) -> tuple[str, ...]:
        """Return the names of all artifacts, in order."""
        return tuple(row["digest"] for row in self.database.rows(_ARTIFACTS))

    def keep_note(self, name: str, value: str) -> None:
        """Keep a small fact of the campaign; the last word counts."""
        self._add(_KEEP_NOTE, {"name": name, "value": value})

    def note(self, name: str) -> str | None:
        """Return a small fact of the campaign, None if it was never kept."""
        rows = self._rows(_NOTE, the_name=name)
        return rows[0]["value"] if rows else None

"""Who may take part: devices whose certificate fits, now and whenever somebody is chosen.

A device is met after it has shown a certificate of the fleet and signed our challenge with its key.
What it showed is kept, and looked at again each time devices are chosen: one whose certificate is
over, or that was revoked meanwhile, is asked anew who it is, and is nobody until it fits again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from coordinator.store.campaign import Store
from coordinator.transport import node_of
from fieldvote.durable import read_whole
from fieldvote.errors import FieldvoteError, InputError, RefusalError, SettingsError
from fieldvote.records import DeviceId, HelloReply
from privacy.sealing.certificate import DeviceCertificate, check_chain, read_certificate
from privacy.sealing.directory import Directory, Lookup
from privacy.sealing.possession import CHALLENGE_BYTES, check_hello

_CERTIFICATE, _NODE = "certificate of ", "node of "  # a device; a signing key


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSettings:
    """Who vouches for devices.

    Attributes:
        fleet: The fleet's root certificate, in PEM; `fieldvote keys init` puts it into online.
        directory: The directory, as `fieldvote keys directory` writes it; read again when it
            changes. Empty: nobody is known to be revoked.
        listed_only: Whether a device must stand in the directory. Then a thief of the registrar's
            keys adds nobody; and a new device waits until the owner has signed the directory again.
    """

    fleet: str
    directory: str = ""
    listed_only: bool = False

    def __post_init__(self) -> None:
        """Refuse a list of nobody."""
        if self.listed_only and not self.directory:
            raise SettingsError("listed_only: needs directory")

    def beside(self, folder: Path) -> "EnrolmentSettings":
        """Return the settings with their files as seen from where the settings file is."""
        directory = str(folder / self.directory) if self.directory else ""
        return replace(self, fleet=str(folder / self.fleet), directory=directory)


class Admission:
    """Keeps the door of one campaign; the caller holds the store's transaction."""

    def __init__(
        self,
        settings: EnrolmentSettings,
        store: Store,
        *,
        campaign: str,
        now: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read who vouches for devices.

        Args:
            settings: Where that stands.
            store: Keeps the certificates of devices that were met.
            campaign: What the campaign calls itself when it asks.
            now: The time, with its zone.
            entropy: For challenges; the system's.
            say: Takes the operator's lines, each once.

        Raises:
            InputError: a file cannot be read, or is not what it should be.
        """
        self._root = read_certificate(read_whole(Path(settings.fleet)))
        self._store, self._campaign, self._now = store, campaign, now
        self._entropy, self._say = entropy, say
        self._said = set[str]()
        self._listed_only = settings.listed_only
        self._challenge = b""
        self._known: dict[DeviceId, DeviceCertificate | None] = {}
        self._path = Path(settings.directory) if settings.directory else None
        self._directory: Lookup | None = None
        self._mark: tuple[int, ...] = ()
        if self._path:
            self._take_up(self._path)

    def challenge(self) -> bytes:
        """Return what devices are to sign with their next hello; what was sent before is void."""
        self._challenge = self._entropy(CHALLENGE_BYTES)
        return self._challenge

    def meet(self, device: DeviceId, reply: HelloReply) -> bool:
        """Return whether a device may be met, and keep the certificate of one that may."""
        try:
            found = check_hello(
                reply.proof,
                (reply.signing_key, reply.sealing_key),
                challenge=self._challenge,
                campaign=self._campaign,
                task=reply.task,
                certificate=reply.certificate,
                root=self._root,
                now=self._now(),
                directory=self._newest(),
            )
        except FieldvoteError as err:
            self._tell(f"device {node_of(device)} is not met: {_reason(reply, err)}")
            return False
        if not self._is_listed(found):
            self._tell(
                f"device {node_of(device)} is {found.name}, which is not in the directory yet"
            )
            return False
        self._store.keep_note(f"{_CERTIFICATE}{device}", reply.certificate.decode("ascii"))
        # of two nodes with one certificate the last to say hello counts, and the other no more
        self._store.keep_note(_NODE + found.keys.signing.hex(), str(device))
        self._known = {d: it for d, it in self._known.items() if it is None or it != found}
        self._known[device] = found
        return True

    def holds(self, device: DeviceId) -> bool:
        """Return whether the certificate a device has shown still fits."""
        if device not in self._known:
            self._known[device] = self._kept(device)
        found, directory = self._known[device], self._newest()
        if found is None or not found.begins <= self._now() <= found.ends:
            return False
        if directory is not None and directory.revokes(found):
            self._tell(
                f"device {node_of(device)} is {found.name}, which is revoked: it takes no part"
            )
            return False
        return self._is_listed(found)

    def _is_listed(self, found: DeviceCertificate) -> bool:
        """Return whether a device stands in the directory, or need not."""
        directory = self._newest()
        return not self._listed_only or (directory is not None and directory.lists(found))

    def _kept(self, device: DeviceId) -> DeviceCertificate | None:
        """Return the certificate a device has shown to a coordinator before this one."""
        chain = self._store.note(f"{_CERTIFICATE}{device}")
        if chain is None:
            return None
        try:
            found = check_chain(chain.encode(), root=self._root, now=self._now())
        except (InputError, RefusalError):
            return None
        node = self._store.note(_NODE + found.keys.signing.hex())
        return found if node == str(device) else None

    def _newest(self) -> Lookup | None:
        """Return the directory, read again if its file has changed; never an older one."""
        if self._path is None:
            return None
        try:
            self._take_up(self._path)
        except InputError as err:
            # the one we have still says who is revoked; without it, everybody would be welcome
            self._tell(f"the directory is left as it was: {err}")
        return self._directory

    def _take_up(self, path: Path) -> None:
        """Go by the directory in this file, if it is another than before."""
        try:
            said = path.stat()
        except OSError as err:
            raise InputError(f"{path}: cannot be read ({err.strerror or err})") from err
        mark = (said.st_mtime_ns, said.st_size, said.st_ino)
        if mark == self._mark:
            return
        found = Directory.from_bytes(read_whole(path))
        if self._directory is not None and found.version < self._directory.version:
            raise InputError(f"version {found.version} is older than {self._directory.version}")
        self._directory, self._mark = Lookup(found), mark

    def _tell(self, line: str) -> None:
        """Say something, but not again."""
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def _reason(reply: HelloReply, err: FieldvoteError) -> str:
    """Return why a device is not met, for its operator."""
    return str(err) if reply.certificate else "it shows no certificate; enrol it first"

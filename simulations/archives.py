"""The homes of real data sets: fetched in their original format, checked, and kept in the cache.

Nothing of them ships with this project; their licences are their own. What is pinned is the digest
of the decoded content, not of a zip file that its home may pack anew any day:

- sms: SMS Spam Collection v1, Almeida, Gómez Hidalgo and Yamakami 2011, UCI 228, CC BY 4.0.
- har: Human Activity Recognition Using Smartphones, Anguita et al. 2013, UCI 240, CC BY 4.0 on its
  page; the readme inside asks for no commercial use.
"""

import os
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from fieldvote.errors import DataError, MissingDataError
from simulations.dataset import Dataset

UCI = "https://archive.ics.uci.edu/static/public/"
"""The UCI Machine Learning Repository's folder of archives."""

Arrays = Mapping[str, NDArray[np.generic]]
"""What an .npz file holds, by key."""

_SILENCE_S = 30.0
_LARGEST_BYTES = 300_000_000
_SMS_DEVICES = 40
_HAR_COLUMNS = 265


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A real data set: where it lives, how its original is read, and what must come out.

    Attributes:
        name: What scenarios call it.
        file: The file that a data folder or the cache holds it in.
        page: Its zip file, below the site.
        classes: Class names in the order of the file's integers.
        digest: SHA-256 of the decoded content, in hexadecimal.
        parse: Reads the original zip file.
    """

    name: str
    file: str
    page: str
    classes: tuple[str, ...]
    digest: str
    parse: Callable[[bytes], Arrays]

    def checked(self, dataset: Dataset, source: str) -> Dataset:
        """Return the data set under its own name, in its one order, with classes named.

        Raises:
            DataError: The content is not the pinned one.
        """
        named = in_one_order(replace(dataset, name=self.name))
        found = content_digest(named)
        if found != self.digest:
            raise DataError(
                f"{source}: the content of {self.name} has digest {found[:12]}, "
                f"expected {self.digest[:12]}; remove the file, or load your own by its path"
            )
        return replace(named, classes=self.classes)


def in_one_order(dataset: Dataset) -> Dataset:
    """Return a table's items by device, then by row, whatever order their source had.

    Copies of the activity data differ in the order of their rows; the same scenario must not.
    """
    if dataset.features is None:
        return dataset
    rows = np.ascontiguousarray(dataset.features, dtype=">f4")
    device = dataset.device
    order = np.array(
        sorted(range(dataset.items), key=lambda row: (device[row], rows[row].tobytes()))
    )
    return replace(
        dataset,
        features=dataset.features[order],
        labels=dataset.labels[order],
        device=device[order],
    )


def content_digest(dataset: Dataset) -> str:
    """Return the SHA-256 of the items (texts, or rows as float32), their labels and devices."""
    if dataset.texts is not None:
        content = "\n".join(dataset.texts).encode()
    else:
        content = np.asarray(dataset.features, dtype="<f4").tobytes()
    digest = sha256(content)
    digest.update(dataset.labels.astype("<i8").tobytes())
    digest.update(dataset.device.astype("<i8").tobytes())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Return the user's cache of data sets."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "fieldvote"


def fetch(archive: Archive, site: str) -> Arrays:
    """Download an archive and return its arrays; give up after 30 s without a byte.

    Raises:
        MissingDataError: The site did not answer, or what came is not the archive.
    """
    if not site.startswith(("https://", "http://")):
        raise MissingDataError(f"cannot fetch {archive.name} from {site}: not a web address")
    try:
        with urllib.request.urlopen(  # noqa: S310 - the scheme was checked above
            site + archive.page, timeout=_SILENCE_S
        ) as answer:
            body: bytes = answer.read(_LARGEST_BYTES)
    except (OSError, HTTPException) as err:
        raise MissingDataError(
            f"{archive.name} is neither here nor reachable: set FIELDVOTE_DATA to a folder with "
            f"{archive.file}, or connect this machine once"
        ) from err
    try:
        return archive.parse(body)
    except (BadZipFile, zlib.error, EOFError, LookupError, RuntimeError, ValueError) as err:
        raise MissingDataError(
            f"{site}{archive.page} answered with something other than {archive.name}: set "
            f"FIELDVOTE_DATA to a folder with {archive.file}, or try again later"
        ) from err


def keep(arrays: Arrays, path: Path) -> None:
    """Write arrays to the cache, all or nothing; a cache that cannot be written is no loss."""
    body = BytesIO()
    np.savez_compressed(body, allow_pickle=False, **arrays)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(body.getvalue())
            Path(draft).replace(path)
        except OSError:
            Path(draft).unlink(missing_ok=True)
            raise


def message_device(text: str) -> int:
    """Return the device a message lives on: its hash decides, so equal texts meet.

    >>> message_device("Ok lar... Joking wif u oni...")
    13
    """
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") % _SMS_DEVICES


def parse_sms(body: bytes) -> Arrays:
    """Read the original: lines of `ham` or `spam`, a tab, and the message."""
    lines = _member(ZipFile(BytesIO(body)), "SMSSpamCollection").decode().split("\n")
    pairs = [line.split("\t", 1) for line in lines if line]
    texts = [text for _, text in pairs]
    return {
        "utf8": np.frombuffer("\n".join(texts).encode(), dtype=np.uint8),
        "y": np.array([SMS.classes.index(word) for word, _ in pairs], dtype=np.int8),
        "device": np.array([message_device(text) for text in texts], dtype=np.int8),
    }


def parse_har(body: bytes) -> Arrays:
    """Read the original's time-domain features, 265 of 561, of both its halves."""
    outer = ZipFile(BytesIO(body))
    # the repository wraps the authors' own zip in another
    inner = [name for name in outer.namelist() if name.endswith("UCI HAR Dataset.zip")]
    files = ZipFile(BytesIO(outer.read(inner[0]))) if inner else outer
    names = _member(files, "UCI HAR Dataset/features.txt").decode().split("\n")[:_HAR_COLUMNS]
    features, labels, people = (
        np.concatenate([_table(files, stem, half) for half in ("train", "test")])
        for stem in ("X", "y", "subject")
    )
    return {
        "X": features[:, :_HAR_COLUMNS].astype(np.float32),
        "y": labels[:, 0].astype(np.int8) - 1,
        "device": people[:, 0].astype(np.int8),
        "feature_names": np.array([line.split()[1] for line in names]),
    }


def _table(files: ZipFile, stem: str, half: str) -> NDArray[np.float64]:
    """Return the numbers of one of the activity data's text files. Shape (n, columns)."""
    body = _member(files, f"UCI HAR Dataset/{half}/{stem}_{half}.txt")
    return np.loadtxt(BytesIO(body), dtype=np.float64, ndmin=2)


def _member(files: ZipFile, ending: str) -> bytes:
    """Return the one member whose path ends so, refusing one that would unpack without end."""
    found = [member for member in files.infolist() if member.filename.endswith(ending)]
    if len(found) != 1 or found[0].file_size > _LARGEST_BYTES:
        raise KeyError(ending)
    return files.read(found[0])


SMS = Archive(
    name="sms",
    file="sms_spam.npz",
    page="228/sms+spam+collection.zip",
    classes=("ham", "spam"),
    digest="c54267f428fbe594c1f3b70b53974f1e3899701cb9fb662c142a04ff5a88668f",
    parse=parse_sms,
)

HAR = Archive(
    name="har",
    file="uci_har265.npz",
    page="240/human+activity+recognition+using+smartphones.zip",
    classes=("walking", "upstairs", "downstairs", "sitting", "standing", "laying"),
    digest="d1cc0a9e195d0338feece26940d649d4a98c9b0a11751dc5bf9df52b8ec7f751",
    parse=parse_har,
)

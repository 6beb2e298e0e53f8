import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from fieldvote.errors import DataError, MissingDataError
from simulations.archives import HAR, SMS, content_digest, in_one_order, message_device, parse_har
from simulations.dataset import Dataset
from simulations.datasets import load_dataset, load_npz
from tests.simulations.test_datasets import REAL

REAL_FOLDER = os.environ.get("FIELDVOTE_DATA", "")
NOWHERE = "http://127.0.0.1:9/"
MESSAGES = tuple(f"{'win' if i % 3 == 0 else 'hello'} number {i} – café\tx" for i in range(60))
LABELS = np.array([int(i % 3 == 0) for i in range(60)])


def zipped(members: Mapping[str, bytes]) -> bytes:
    body = BytesIO()
    with ZipFile(body, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return body.getvalue()


def original_sms(texts: tuple[str, ...], labels: np.ndarray) -> bytes:
    lines = (f"{SMS.classes[label]}\t{text}\n" for text, label in zip(texts, labels, strict=True))
    return zipped({"SMSSpamCollection": "".join(lines).encode(), "readme": b"read me"})


def original_har(rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
    """The authors' zip inside the repository's, for six windows of two people."""
    rows = np.round(rng.uniform(-1, 1, size=(6, 561)), 6)
    halves = {"train": slice(0, 4), "test": slice(4, 6)}
    labels, people = ["1", "2", "3", "4", "5", "6"], ["1", "3", "1", "3", "2", "2"]
    members = {
        "UCI HAR Dataset/features.txt": "\n".join(f"{i + 1} f{i}" for i in range(561)).encode(),
        "__MACOSX/UCI HAR Dataset/._features.txt": b"not this one",
    }
    for half, part in halves.items():
        for stem, lines in (
            ("X", [" " + " ".join(f"{value: .7e}" for value in row) for row in rows[part]]),
            ("y", labels[part]),
            ("subject", people[part]),
        ):
            members[f"UCI HAR Dataset/{half}/{stem}_{half}.txt"] = "\n".join(lines).encode()
    return zipped({"UCI HAR Dataset.zip": zipped(members), "UCI HAR Dataset.names": b""}), rows


@contextmanager
def served(pages: Mapping[str, bytes]) -> Iterator[str]:
    """A site on loopback with these pages; everything else is not found."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path.removeprefix("/"))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without data: no folder named, an empty cache."""
    monkeypatch.delenv("FIELDVOTE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "fieldvote"


@pytest.fixture
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pin the made-up messages instead of the real ones."""
    made = Dataset(
        name="sms",
        classes=("0", "1"),
        labels=LABELS,
        device=np.unique([message_device(text) for text in MESSAGES], return_inverse=True)[1],
        texts=MESSAGES,
    )
    archive = replace(SMS, digest=content_digest(made))
    monkeypatch.setattr("simulations.datasets.SMS", archive)


@pytest.mark.usefixtures("pinned")
def test_a_set_is_fetched_once_and_then_found_in_the_cache(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served({SMS.page: original_sms(MESSAGES, LABELS)}) as site:
        fetched = load_dataset("sms", 1, site=site)
    assert fetched.texts == MESSAGES
    assert fetched.classes == ("ham", "spam")
    assert fetched.labels.tolist() == LABELS.tolist()
    progress = capsys.readouterr()
    assert progress.out == ""
    assert len(progress.err.splitlines()) == 1
    again = load_dataset("sms", 1, site=NOWHERE)
    assert again.texts == MESSAGES
    assert again.device.tolist() == fetched.device.tolist()
    assert capsys.readouterr().err == ""
    assert [path.name for path in cache.iterdir()] == [SMS.file]


@pytest.mark.usefixtures("pinned")
def test_a_cache_that_cannot_be_written_costs_only_the_next_download(
    tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with served({SMS.page: original_sms(MESSAGES, LABELS)}) as site:
        assert load_dataset("sms", 1, site=site).texts == MESSAGES


@pytest.mark.usefixtures("pinned")
@pytest.mark.parametrize("what", ["one letter", "one label", "the order"])
def test_content_that_differs_is_refused_and_not_kept(what: str, cache: Path) -> None:
    texts, labels = list(MESSAGES), LABELS.copy()
    if what == "one letter":
        texts[7] += "!"
    elif what == "one label":
        labels[7] ^= 1
    else:
        texts.reverse()
        labels = labels[::-1]
    with (
        served({SMS.page: original_sms(tuple(texts), labels)}) as site,
        pytest.raises(DataError, match="digest"),
    ):
        load_dataset("sms", 1, site=site)
    assert not cache.exists()


@pytest.mark.parametrize("name", ["sms", "har"])
def test_offline_it_says_in_one_line_what_the_two_ways_out_are(name: str, cache: Path) -> None:
    with pytest.raises(MissingDataError) as missing:
        load_dataset(name, 1, site=NOWHERE)
    message = str(missing.value)
    assert "\n" not in message
    assert "set FIELDVOTE_DATA to a folder with" in message
    assert {"sms": SMS, "har": HAR}[name].file in message
    assert "connect this machine once" in message


@pytest.mark.parametrize(
    "body",
    [
        b"<html>please log in</html>",
        zipped({"other": b""}),
        zipped({"SMSSpamCollection": b"neither\tof the two\n"}),
        zipped({"SMSSpamCollection": b"no tab\n"}),
        zipped({"SMSSpamCollection": b"ham\t\xff\n"}),
        original_sms(MESSAGES, LABELS)[:-30],
        None,
    ],
)
def test_an_answer_that_is_not_the_archive_is_no_data(body: bytes | None, cache: Path) -> None:
    pages = {} if body is None else {SMS.page: body}
    with served(pages) as site, pytest.raises(MissingDataError, match="FIELDVOTE_DATA"):
        load_dataset("sms", 1, site=site)


def test_only_web_addresses_are_fetched(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="not a web address"):
        load_dataset("sms", 1, site=f"file://{tmp_path}/")


def test_the_activity_archive_is_read_in_its_original_format() -> None:
    body, rows = original_har(np.random.default_rng(0))
    arrays = parse_har(body)
    np.testing.assert_array_equal(arrays["X"], rows[:, :265].astype(np.float32))
    assert arrays["y"].tolist() == [0, 1, 2, 3, 4, 5]
    assert arrays["device"].tolist() == [1, 3, 1, 3, 2, 2]
    assert arrays["feature_names"].tolist() == [f"f{i}" for i in range(265)]


def test_the_order_of_rows_in_a_source_makes_no_difference() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 3))
    labels, device = np.arange(20) % 4, np.arange(20) % 2
    shuffled = rng.permutation(20)
    both = [
        in_one_order(
            Dataset(
                name="har",
                classes=("a", "b", "c", "d"),
                labels=labels[order],
                device=device[order],
                features=features[order],
                feature_names=("x", "y", "z"),
            )
        )
        for order in (np.arange(20), shuffled)
    ]
    assert content_digest(both[0]) == content_digest(both[1])
    np.testing.assert_array_equal(both[0].features, both[1].features)
    assert both[0].labels.tolist() == both[1].labels.tolist()


@REAL
def test_the_real_messages_survive_the_road_through_their_original_format(
    cache: Path,
) -> None:
    real = load_npz(Path(REAL_FOLDER) / SMS.file)
    assert real.texts is not None
    with served({SMS.page: original_sms(real.texts, real.labels)}) as site:
        fetched = load_dataset("sms", 1, site=site)
    assert fetched.texts == real.texts
    assert fetched.device.tolist() == real.device.tolist()
    assert (cache / SMS.file).is_file()


@REAL
def test_a_tampered_file_in_the_data_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(Path(REAL_FOLDER) / SMS.file) as archive:
        arrays = dict(archive)
    arrays["y"][5] ^= 1
    np.savez(tmp_path / SMS.file, **arrays)
    monkeypatch.setenv("FIELDVOTE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="digest"):
        load_dataset("sms", 1, site=NOWHERE)

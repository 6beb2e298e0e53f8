"""A task in pieces: whatever breaks in between, it arrives whole or the old one serves on."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.arrivals import Part
from fieldvote.bundle import TARGETS_FILE, Bundle, unpack
from fieldvote.delivery import CHUNK_LIMIT, BundleRequest
from fieldvote.errors import WireError
from tests.doubles.owner import OWNER, STRANGER
from tests.doubles.phones import NEW, OLD, Phone, owned
from tests.doubles.tasks import tabular_files, task_of, text_files


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Phone]:
    made = Phone(tmp_path)
    yield made
    made.pool.close()


@pytest.fixture
def bundle() -> Bundle:
    return owned(4)


STEP = st.one_of(
    st.tuples(st.just("piece"), st.integers(1, 900)),
    st.tuples(st.just("again"), st.integers(1, 900)),
    st.tuples(st.just("ahead"), st.integers(1, 900)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("torn"), st.integers(1, 900)),
)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=12), size=st.integers(200, 4000))
def test_any_pieces_with_any_breaks_between_arrive_as_what_was_sent(
    steps: list[tuple[str, int]], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("phone")
    phone, bundle = Phone(root, tries=False), owned(4)
    have = 0
    for kind, length in steps:
        match kind:
            case "piece":
                length = min(length, bundle.size_bytes - have - 1)
                have += length
                assert phone.send(bundle, have - length, length).have == have
            case "again" if have:
                assert phone.send(bundle, max(have - length, 0), length).have == have
            case "ahead" if have + length < bundle.size_bytes:
                assert phone.send(bundle, have + length, 1).have == have
            case "torn":
                # a crash after some bytes were written, before they counted
                with (root / "state" / "arriving.part").open("ab") as file:
                    file.write(b"?" * length)
                phone.restart()
            case "restart":
                phone.restart()
        assert phone.send(bundle).have == have
    assert phone.finish(bundle, size).installed
    assert phone.arrivals.installed
    assert Bundle.load(phone.task) == bundle
    assert phone.trust is not None
    assert phone.trust.newest == 4
    assert not (root / "state" / "arriving.part").exists()
    assert Part.of(phone.pool) == Part()
    phone.pool.close()


def test_what_is_installed_is_said_again_without_a_byte_and_after_a_restart(
    phone: Phone, bundle: Bundle
) -> None:
    assert phone.finish(bundle).installed
    for _ in range(2):
        reply = phone.send(bundle)
        assert (reply.installed, reply.have, reply.refusal) == (True, bundle.size_bytes, "")
        phone.restart()
    assert not phone.arrivals.installed  # what serves now is what is installed
    assert phone.digest() == task_of(NEW).digest
    assert phone.trust is not None
    assert phone.trust.version_in(phone.root / "task.previous") == 3


def test_a_newer_bundle_takes_the_place_of_one_that_is_still_arriving(
    phone: Phone, bundle: Bundle
) -> None:
    newer = OWNER.bundle(text_files(candidates=8), 5)
    phone.send(bundle, 0, 500)
    assert phone.send(newer).have == 0
    assert phone.send(bundle).have == 500  # a question alone changes nothing
    assert phone.send(newer, 0, 100).have == 100
    assert phone.send(bundle).have == 0
    assert phone.finish(newer).installed


def wrong_model(content: bytes) -> dict[str, bytes]:
    return {**NEW, "model.onnx": content}


def other_names() -> dict[str, bytes]:
    said = NEW["task.toml"] + b'\n[model]\nembedding = "hidden"\n'
    return {**NEW, "task.toml": said}


def changed(name: str) -> Bundle:
    """Return a signed bundle, one file of which somebody has changed since."""
    files = unpack(owned(4).content)
    return Bundle.of({**files, name: files[name] + b"\n"})


WRONG: dict[str, tuple[Callable[[], Bundle], str]] = {
    "another signer": (lambda: STRANGER.bundle(NEW, 4), "signed by 0"),
    "the same version": (lambda: OWNER.bundle(NEW, 3), "pinned"),
    "an older version": (lambda: OWNER.bundle(NEW, 1), "pinned"),
    "nobody's signature": (lambda: Bundle.of(NEW), "pinned"),
    "a changed file": (lambda: changed("policy.toml"), "not the one that was signed"),
    "changed targets": (lambda: changed(TARGETS_FILE), "pinned"),
    "no files": (lambda: Bundle.of({}), "pinned"),
    "one file too many": (lambda: Bundle.of({**unpack(owned(4).content), "x": b""}), "not signed"),
    "another kind of items": (lambda: OWNER.bundle(tabular_files(), 4), "the items of this"),
    "no model": (lambda: OWNER.bundle(wrong_model(b"no model"), 4), "model.onnx"),
    "other outputs": (lambda: OWNER.bundle(other_names(), 4), "no output 'hidden'"),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_a_bundle_that_must_not_serve_is_refused_once_and_for_all(phone: Phone, what: str) -> None:
    make, said = WRONG[what]
    wrong = make()
    before = phone.digest()
    reply = phone.finish(wrong)
    assert said in reply.refusal
    assert (reply.have, reply.installed, phone.arrivals.installed) == (0, False, False)
    # asked again, it says so before a byte is sent
    assert phone.send(wrong).refusal == reply.refusal
    phone.restart()
    assert phone.digest() == before
    assert phone.trust is not None
    assert phone.trust.newest == 3
    assert not (phone.root / "state" / "arriving.part").exists()
    assert phone.finish(owned(5)).installed  # the owner mends it by a later version


def test_bytes_that_are_not_those_of_the_name_are_thrown_away(phone: Phone, bundle: Bundle) -> None:
    other = Bundle(name=bundle.name, content=bundle.content[:-1] + b"?")
    assert "not those the bundle is named by" in phone.finish(other).refusal
    assert phone.finish(bundle).installed  # which was somebody's mistake, not the bundle's


def test_without_a_trusted_key_nothing_is_taken(tmp_path: Path, bundle: Bundle) -> None:
    phone = Phone(tmp_path, owner=None)
    assert "no root is set" in phone.send(bundle).refusal
    assert "no root is set" in phone.send(bundle, 0, 100).refusal
    assert not (tmp_path / "state" / "arriving.part").exists()
    phone.pool.close()


def test_what_does_not_fit_is_refused_before_a_byte_is_kept(phone: Phone, bundle: Bundle) -> None:
    phone.free_bytes = 2 * bundle.size_bytes + 32 * 2**20 - 1
    assert f"the disk has {phone.free_bytes} bytes free" in phone.send(bundle, 0, 100).refusal
    assert not (phone.root / "state" / "arriving.part").exists()
    phone.free_bytes += 1
    assert phone.send(bundle, 0, 100).have == 100
    phone.largest_bytes = bundle.size_bytes - 1
    phone.restart()
    assert "largest_bundle_bytes" in phone.send(bundle, 100, 100).refusal


def test_a_disk_that_fills_up_in_between_keeps_what_was_confirmed(
    phone: Phone, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert phone.send(bundle, 0, 500).have == 500

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        assert "No space left on device" in phone.send(bundle, 500, 500).refusal
    phone.restart()
    assert phone.send(bundle).have == 500
    assert phone.finish(bundle).installed


def test_a_task_folder_that_cannot_be_replaced_costs_no_second_delivery(
    phone: Phone, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", read_only)
        assert "Read-only file system" in phone.finish(bundle).refusal
    assert phone.digest() == task_of(OLD).digest
    assert phone.send(bundle).installed  # nothing but the question


PIECES: dict[str, tuple[int, int, int]] = {
    "before the start": (100, -1, 1),
    "past the end": (100, 99, 2),
    "far past the end": (100, 101, 0),
    "of nothing": (0, 0, 0),
    "too large": (2 * CHUNK_LIMIT, 0, CHUNK_LIMIT),
}


@pytest.mark.parametrize("what", list(PIECES))
def test_a_piece_no_coordinator_sends_is_an_error_and_changes_nothing(
    phone: Phone, what: str
) -> None:
    size, offset, length = PIECES[what]
    with pytest.raises(WireError):
        phone.arrivals.take(
            BundleRequest(bundle=bytes(32), size=size, offset=offset, content=bytes(length))
        )
    with pytest.raises(WireError):
        phone.arrivals.take(BundleRequest(bundle=b"short", size=9, offset=0, content=b""))
    assert Part.of(phone.pool) == Part()

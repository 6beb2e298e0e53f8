import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.labels.desk_keys import DeskKeys
from coordinator.labels.terminal import TerminalAnnotator, answer_queue, make_keys, read_keys
from coordinator.service import STORE_FILE, CoordinatorSettings, open_store
from coordinator.store.rows import KnownDevice, StoredCandidate
from fieldvote.errors import InputError, StoreError
from fieldvote.records import (
    Answer,
    DeviceId,
    MaskedItem,
    decode,
    encode,
)
from fieldvote.rng import keyed_entropy
from fieldvote.task import Task
from privacy.sealing import SealingKey, SigningKey, open_envelope, seal
from privacy.sealing.context import Marks, Purpose, Scope
from tests.doubles.tasks import text_files, write_task

DEVICE = DeviceId(7)
SIGNER, OPENER = SigningKey(b"s" * 32), SealingKey(b"o" * 32)
TEXTS = ("see you at [TIME_1]", "win a prize", "[NAME_1] is home")


def script(*typed: str) -> Callable[[str], str]:
    """Type these words one after the other, then end the input, as Ctrl-D does."""
    left = list(typed)

    def ask(_: str) -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    return ask


def annotator(*typed: str, classes: tuple[str, ...] = ("no", "yes")) -> TerminalAnnotator:
    return TerminalAnnotator(classes, total=3, ask=script(*typed), say=lambda _: None)


def item(text: str = "a text", **fields: str) -> MaskedItem:
    return MaskedItem(item=bytes(16), text=text, names=tuple(fields), values=tuple(fields.values()))


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    """Return a coordinator's file; three sealed candidates wait in its store, and keys in desk."""
    write_task(tmp_path / "task", text_files())
    family = Task.load(tmp_path / "task").family
    make_keys(tmp_path / "desk", keyed_entropy(1, "desk"))
    public = read_keys(tmp_path / "desk").labeling.public
    config = tmp_path / "coordinator.toml"
    config.write_text('folder = "state"\ntask = "task"\n[campaign]\nname = "c"\nprice = 0.5\n')
    store = open_store(CoordinatorSettings.load(config), make=True)
    with store.transaction():
        store.meet(
            KnownDevice(
                id=DEVICE,
                evaluates=False,
                items=3,
                signing_key=SIGNER.public,
                sealing_key=OPENER.public,
            )
        )
        for number, text in enumerate(TEXTS):
            name = bytes([number]) * 16
            masked = MaskedItem(item=name, text=text, names=(), values=())
            envelope = seal(
                encode(masked),
                recipient=public,
                scope=Scope(
                    purpose=Purpose.CANDIDATE, family=family, device=SIGNER.public, item=name
                ),
                marks=Marks(epoch=bytes(16), sequence=number),
                signer=SIGNER,
            )
            store.keep_candidate(
                1, StoredCandidate(item=name, device=DEVICE, arm=0, envelope=envelope)
            )
    store.close()
    return config


def work(config: Path, *typed: str, keys: str = "desk") -> tuple[int, list[str]]:
    said: list[str] = []
    given = answer_queue(
        config,
        config.parent / keys,
        ask=script(*typed),
        say=said.append,
        emphasize=lambda text: f"*{text}*",
    )
    return given, said


def labels(config: Path) -> dict[int, int]:
    """Return the answers in the store as the device reads them: class by number of the item."""
    family = Task.load(config.parent / "task").family
    scope = Scope(purpose=Purpose.ANSWER, family=family, device=SIGNER.public)
    signer = read_keys(config.parent / "desk").signing.public
    store = open_store(CoordinatorSettings.load(config))
    answers = [
        decode(
            open_envelope(envelope, keys=[OPENER], scope=scope, senders=[signer]).plaintext,
            Answer,
        )
        for _, envelope in store.undelivered().get(DEVICE, [])
    ]
    store.close()
    return {answer.item[0]: answer.label for answer in answers}


def test_every_item_is_shown_once_with_its_number_and_what_is_masked_stands_out(
    campaign: Path,
) -> None:
    given, said = work(campaign, "0", "1", "0")
    assert given == 3
    assert labels(campaign) == {0: 0, 1: 1, 2: 0}
    assert "  0  ordinary\n  1  offer\n" in said[0]
    assert said[1:] == [
        "\n1 of 3",
        "see you at *[TIME_1]*",
        "\n2 of 3",
        "win a prize",
        "\n3 of 3",
        "*[NAME_1]* is home",
    ]


def test_a_skipped_item_waits_and_the_next_sitting_shows_only_it(campaign: Path) -> None:
    assert work(campaign, "1", "s", " 1 ")[0] == 2
    given, said = work(campaign, "0")
    assert (given, labels(campaign)) == (1, {0: 1, 1: 0, 2: 1})
    assert "\n1 of 1" in said
    given, (said,) = work(campaign)
    assert (given, said[:32]) == (0, "nothing waits for an answer now;")


@pytest.mark.parametrize("typed", [("1", "q"), ("1", "Q", "0"), ("1",)], ids=["q", "Q", "Ctrl-D"])
def test_what_was_answered_before_a_quit_stays(campaign: Path, typed: tuple[str, ...]) -> None:
    given, said = work(campaign, *typed)
    assert (given, labels(campaign)) == (1, {0: 1})
    assert "\n3 of 3" not in said


@pytest.mark.parametrize("wrong", ["", "2", "-1", "yes", "0 1", "²", "١"])
def test_a_wrong_key_is_asked_again(wrong: str) -> None:
    said: list[str] = []
    asked = TerminalAnnotator(("no", "yes"), total=1, ask=script(wrong, "1"), say=said.append)
    assert asked.answer(item()) == 1
    assert said[-1] == "type 0 to 1, n, s or q"


def test_more_than_ten_classes_have_keys_of_two_digits() -> None:
    assert annotator("11", classes=tuple("abcdefghijkl")).answer(item()) == 11


def test_after_a_quit_nothing_more_is_shown() -> None:
    quitter = annotator("q", "1")
    assert [quitter.answer(item()), quitter.answer(item())] == [None, None]
    assert quitter.seen == 1


def test_fields_are_shown_in_columns_and_missing_values_as_a_dash() -> None:
    said: list[str] = []
    asked = TerminalAnnotator(("no", "yes"), total=1, ask=script("0"), say=said.append)
    asked.answer(item(text="", heat="1.5", temperature=""))
    assert said[-1] == "  heat         1.5\n  temperature  -"


def test_an_item_cannot_move_the_cursor() -> None:
    said: list[str] = []
    asked = TerminalAnnotator(("no", "yes"), total=1, ask=script("0"), say=said.append)
    asked.answer(item(text="one\x1b[2J\rtwo\nthree\u202e"))
    assert said[-1] == "one\ufffd[2J\ufffdtwo\nthree\ufffd"


def test_keys_that_open_nothing_are_called_so(campaign: Path) -> None:
    make_keys(campaign.parent / "other", keyed_entropy(2, "desk"))
    with pytest.raises(InputError, match="none of 3 candidates opens"):
        work(campaign, "0", "0", "0", keys="other")
    assert labels(campaign) == {}


def test_a_desk_without_keys_or_campaign_says_so(campaign: Path) -> None:
    with pytest.raises(InputError, match="fieldvote labels keys"):
        work(campaign, keys="nowhere")
    (campaign.parent / "state" / STORE_FILE).unlink()
    with pytest.raises(InputError, match="no campaign yet"):
        work(campaign)


def test_keys_are_readable_by_their_owner_only_and_their_public_halves_are_returned(
    tmp_path: Path,
) -> None:
    public = make_keys(tmp_path / "desk", keyed_entropy(1, "desk"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "desk").iterdir()}
    assert modes == {"labeling.key": 0o600, "desk.key": 0o600}
    assert stat.S_IMODE((tmp_path / "desk").stat().st_mode) == 0o700
    held = read_keys(tmp_path / "desk")
    assert isinstance(held, DeskKeys)
    assert public == {
        "labeling_key": held.labeling.public.hex(),
        "desk_key": held.signing.public.hex(),
    }


@pytest.mark.parametrize("there", ["labeling.key", "desk.key"])
def test_keys_that_exist_are_left_as_they_are(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"somebody's")
    with pytest.raises(InputError, match="holds keys already"):
        make_keys(tmp_path, keyed_entropy(1, "desk"))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        (there, b"somebody's")
    ]


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        make_keys(tmp_path / "file" / "desk", keyed_entropy(1, "desk"))

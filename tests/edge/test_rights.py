"""Rights travel with an item: what may not be shown is never offered, what may not be summed is in
no sum, and the door asks once more."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.adding import barred_items
from edge.device import Device, opened
from edge.item_file import load_items
from edge.items import row_payload, text_payload
from edge.pool import Pool
from edge.selection import pack_offers
from edge.settings import EdgeSettings
from fieldvote.errors import DataError, InputError, RefusalError
from fieldvote.records import (
    ARM_CHOSEN,
    CollectReply,
    CollectRequest,
    HelloReply,
    HelloRequest,
    Offer,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from fieldvote.rights import Rights
from tests.doubles.agents import build_device
from tests.doubles.tasks import tabular_files, task_of, text_files, write_device

TEXTS = ["a prize for you", "see you at home", "mum has a voucher", "we will see the winner"]


def write_items(folder: Path, texts: list[str], rights: list[str] | None) -> Path:
    """Write a device whose items come from a file with these rights."""
    folder.mkdir(exist_ok=True)
    utf8 = np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)
    if rights is None:
        np.savez(folder / "items.npz", utf8=utf8)
    else:
        np.savez(folder / "items.npz", utf8=utf8, rights=np.array(rights))
    return write_device(folder, text_files(), item_file='"items.npz"')


def survey(device: Device, *, everything: int = 99) -> SurveyReply:
    request = SurveyRequest(
        round=1,
        strategy="fleet",
        offers=everything,
        random_offers=everything,
        first=False,
        model=None,
    )
    return decode(device.agent.handle(encode(request)), SurveyReply)


def test_an_item_that_may_not_be_shown_is_never_offered(tmp_path: Path) -> None:
    config = write_items(tmp_path, TEXTS, ["ship", "sum", "ship", "sum"])
    with opened(EdgeSettings.load(config)) as device:
        said = survey(device)
        ids = device.pool.ids()
        assert {offer.item for offer in said.offers} == {ids[0], ids[2]}
        assert said.items == 4  # and all four are counted


def test_an_item_that_may_not_be_shown_is_not_shipped_though_it_was_offered(tmp_path: Path) -> None:
    """The attack: somebody wrote an offer for it into the pool."""
    config = write_items(tmp_path, TEXTS, ["ship", "sum", "ship", "sum"])
    with opened(EdgeSettings.load(config)) as device:
        ids = device.pool.ids()
        forged = tuple(
            Offer(item=item, arm=ARM_CHOSEN, score=0, predicted=-1, sketch=bytes(8)) for item in ids
        )
        device.pool.keep_note("offers", pack_offers(forged))
        request = encode(CollectRequest(round=1, grants=tuple(ids)))
        reply = decode(device.agent.handle(request), CollectReply)
        assert [bool(sealed.envelope) for sealed in reply.sealed] == [True, False, True, False]
        assert [sealed.refusal for sealed in reply.sealed] == ["", "RefusalError"] * 2
        assert device.ledger.spent.candidates == 2


@pytest.mark.parametrize("rights", [Rights.NONE, Rights.SUM])
def test_the_door_itself_asks_for_the_rights(rights: Rights) -> None:
    device = build_device(task_of(text_files()), [text_payload(TEXTS[0])])
    with pytest.raises(RefusalError, match=f"rights are '{rights.value}'"):
        device.outbox.mask(bytes(16), text_payload(TEXTS[0]), rights)
    assert not device.ledger.entries()


def test_what_an_item_without_rights_says_changes_nothing_that_leaves(tmp_path: Path) -> None:
    """The attack: the same pool with another text, and with none, in that item's place."""
    rights = ["ship", "none", "sum", "ship"]
    sums = []
    for number, text in enumerate(("a prize for you", "see mum at home", None)):
        texts = [TEXTS[0], *([] if text is None else [text]), *TEXTS[2:]]
        marks = [mark for mark in rights if text is not None or mark != "none"]
        config = write_items(tmp_path / str(number), texts, marks)
        with opened(EdgeSettings.load(config)) as device:
            said = survey(device)
            hello = decode(device.agent.handle(encode(HelloRequest(campaign="c"))), HelloReply)
            sums.append(
                (said.items, said.voted, said.votes.tolist(), said.moments.tolist(), hello.items)
            )
            assert len(said.offers) == 2
            assert barred_items(device.pool) == (text is not None)
    assert sums[0] == sums[1] == sums[2]


def test_without_the_flag_the_same_comparison_sees_the_difference(tmp_path: Path) -> None:
    votes = []
    for number, text in enumerate(("a prize for you", "see mum at home")):
        config = write_items(tmp_path / str(number), [TEXTS[0], text], ["ship", "sum"])
        with opened(EdgeSettings.load(config)) as device:
            votes.append(survey(device).votes.tolist())
    assert votes[0] != votes[1]


@pytest.mark.parametrize(("unmarked", "offers"), [("ship", 4), ("sum", 0)])
def test_the_policy_says_what_an_unmarked_item_is_for(
    tmp_path: Path, unmarked: str, offers: int
) -> None:
    config = write_items(tmp_path, TEXTS, None)
    policy = tmp_path / "task" / "policy.toml"
    policy.write_text(policy.read_text() + f'\n[candidates]\nunmarked = "{unmarked}"\n')
    with opened(EdgeSettings.load(config)) as device:
        assert len(survey(device).offers) == offers


@pytest.mark.parametrize("marks", [["none"] * 4, None])
def test_a_file_of_which_nothing_may_be_used_is_refused(
    tmp_path: Path, marks: list[str] | None
) -> None:
    config = write_items(tmp_path, TEXTS, marks)
    policy = tmp_path / "task" / "policy.toml"
    policy.write_text(policy.read_text() + '\n[candidates]\nunmarked = "none"\n')
    with (
        pytest.raises(DataError, match="the rights of all are 'none'"),
        opened(EdgeSettings.load(config)),
    ):
        pass


@pytest.mark.parametrize(
    ("rights", "complaint"),
    [
        (np.array(["ship", "shpi", "sum", "sum"]), "rights of item 1: did you mean 'ship'"),
        (np.array(["ship"] * 3), "expected 4 words"),
        (np.array([2, 2, 2, 2]), "expected 4 words"),
        (np.array([["ship"] * 4]), "expected 4 words"),
    ],
)
def test_rights_nobody_can_read_are_refused(
    tmp_path: Path, rights: NDArray[Any], complaint: str
) -> None:
    task = task_of(tabular_files())
    np.savez(tmp_path / "rows.npz", X=np.zeros((4, 3)), rights=rights)
    with pytest.raises(DataError, match=complaint):
        load_items(tmp_path / "rows.npz", task.input, 3)


def test_rows_carry_rights_as_texts_do(tmp_path: Path) -> None:
    task = task_of(tabular_files())
    np.savez(tmp_path / "rows.npz", X=np.zeros((3, 3)), rights=np.array(["sum", "ship", "none"]))
    held = load_items(tmp_path / "rows.npz", task.input, 3)
    assert held.rights == (Rights.SUM, Rights.SHIP, Rights.NONE)
    np.savez(tmp_path / "rows.npz", X=np.zeros((3, 3)))
    assert load_items(tmp_path / "rows.npz", task.input, 3).rights is None


def test_rights_stay_with_an_item_and_none_is_not_kept(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    payloads = [row_payload(np.zeros(3))] * 2
    with pytest.raises(InputError, match="without rights"):
        pool.add([bytes(16), b"1" * 16], payloads, rights=[Rights.SHIP, Rights.NONE])
    assert len(pool) == 0
    pool.add([bytes(16), b"1" * 16], payloads, rights=[Rights.SUM, Rights.SHIP])
    pool.add([b"2" * 16], payloads[:1])
    pool.close()
    again = Pool(tmp_path / "pool.sqlite")
    assert again.column("rights").tolist() == [1, 2, 2]
    again.close()

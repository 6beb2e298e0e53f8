"""A device whose task is replaced under it: same keys, same ledger, no restart by hand."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from edge.install import sign_task
from edge.service import Serving, status_of
from edge.settings import EdgeSettings
from fieldvote.bundle import Bundle
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.errors import RefusalError, SettingsError
from fieldvote.heads import HeadModel, ServeRequest
from fieldvote.records import (
    HelloReply,
    HelloRequest,
    Request,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from tests.doubles.phones import NEW, OLD, OWNER, owned, signed
from tests.doubles.tasks import tabular_files, task_of, write_device

_NONE = np.empty(0)
SURVEY = SurveyRequest(
    round=1, strategy="random", offers=0, random_offers=1, first=True, model=None
)


@dataclass(slots=True)
class Served:
    """A device that answers, and what its operator reads."""

    config: Path
    held: ExitStack = field(default_factory=ExitStack)
    said: list[str] = field(default_factory=list)
    serving: Serving = field(init=False)

    def __post_init__(self) -> None:
        self.serving = Serving(EdgeSettings.load(self.config), self.held, self.said.append)

    def ask(self, request: Request) -> bytes:
        return self.serving.answer(encode(request))

    def hello(self) -> HelloReply:
        return decode(self.ask(HelloRequest(campaign="c")), HelloReply)

    def survey(self) -> SurveyReply:
        return decode(self.ask(SURVEY), SurveyReply)

    def bring(self, bundle: Bundle, *, upto: int | None = None) -> BundleReply:
        request = BundleRequest(
            bundle=bundle.name,
            size=bundle.size_bytes,
            offset=0,
            content=bundle.content[:upto],
        )
        return decode(self.ask(request), BundleReply)


def write(folder: Path, **said: str) -> Path:
    config = write_device(
        folder,
        OLD,
        items="a prize for you\nsee you at home\n",
        trusted_keys=f'["{OWNER.public.hex()}"]',
        **said,
    )
    sign_task(folder / "task", version=3, signer=OWNER)
    return config


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(write(tmp_path))
    with made.held:
        yield made


def test_after_the_reply_that_says_so_the_new_task_serves_with_the_old_keys(served: Served) -> None:
    before = served.hello()
    reply = served.bring(owned(4))
    assert (reply.installed, reply.have, reply.refusal) == (True, owned(4).size_bytes, "")
    after = served.hello()
    assert (before.task, after.task) == (task_of(OLD).digest, task_of(NEW).digest)
    assert (before.signing_key, before.sealing_key) == (after.signing_key, after.sealing_key)
    assert before.items == after.items == 2
    assert [line.split(" on ")[0] for line in served.said] == [
        "2 items, task offers v3,",
        "2 items, task offers v4,",
        "the task is another than before: items may enter its sums anew",
    ]
    assert served.bring(owned(4)).installed


def test_the_new_tasks_first_survey_is_not_answered_from_the_old_ones_journal(
    served: Served,
) -> None:
    first = served.survey()
    assert first.items == 2
    assert served.survey().offers == first.offers  # asked again, it answers the same
    served.bring(owned(4))
    again = served.survey()
    assert again.items == 2
    np.testing.assert_array_equal(again.votes, first.votes)
    assert served.survey().items == 2


def test_what_was_given_away_stays_on_the_ledger_and_pieces_cost_no_more_than_their_replies(
    served: Served,
) -> None:
    served.survey()
    before = int(str(status_of(served.config)["bytes_spent"]).split()[0])
    served.bring(owned(4))
    spent = int(str(status_of(served.config)["bytes_spent"]).split()[0])
    assert before < spent < before + 100


def test_status_names_the_head_that_is_served_by_the_round_that_made_it(served: Served) -> None:
    def after(number: int, serial: int, model: HeadModel | None) -> object:
        served.ask(ServeRequest(round=number, serial=serial, model=model))
        return status_of(served.config)["serves"]

    head = HeadModel(
        parent="", classes=2, mean=_NONE, scale=_NONE, gain=1.0, clip=1.0, recentre=0.0, fourier=0,
        bandwidth=1.0, amplitude=1.0, seed=0, weights=np.empty(0, dtype=np.int64),
    )  # fmt: skip
    assert status_of(served.config)["serves"] == "the task's own model"
    assert after(3, 6, head) == "head of round 3"
    assert after(2, 4, head) == "head of round 3"  # overtaken on its way
    assert after(5, 10, head) == "head of round 5"
    assert after(5, 11, head) == "the head before round 5's, which was taken back"
    assert after(6, 13, None) == "the task's own model"


def test_status_tells_the_version_and_what_is_on_its_way(served: Served) -> None:
    assert status_of(served.config)["task_version"] == 3
    assert "arriving" not in status_of(served.config)
    served.bring(owned(4), upto=500)
    assert status_of(served.config)["arriving"] == f"500 of {owned(4).size_bytes} bytes"
    served.bring(owned(5))
    found = status_of(served.config)
    assert (found["task_version"], found["task_digest"]) == (5, task_of(NEW).digest)
    assert "arriving" not in found


def test_a_refused_bundle_leaves_the_device_as_it_was(served: Served, tmp_path: Path) -> None:
    wrong = signed(tmp_path / "wrong", tabular_files(), 4, OWNER)
    assert "the items of this device" in served.bring(wrong).refusal
    assert served.hello().task == task_of(OLD).digest
    assert len(served.said) == 1


def test_a_device_that_only_evaluates_takes_a_task_but_not_other_classes(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "gold.npz", utf8=np.frombuffer(b"a prize\nhome", np.uint8), y=np.array([1, 0])
    )
    config = write_device(
        tmp_path,
        OLD,
        item_file='"gold.npz"',
        evaluates="true",
        trusted_keys=f'["{OWNER.public.hex()}"]',
    )
    sign_task(tmp_path / "task", version=3, signer=OWNER)
    served = Served(config)
    said = NEW["task.toml"].replace(b'["ordinary", "offer"]', b'["offer", "ordinary"]')
    with served.held:
        other = signed(tmp_path / "other", {**NEW, "task.toml": said}, 4, OWNER)
        assert "not of the new task's classes" in served.bring(other).refusal
        assert served.bring(owned(4)).installed
        assert served.hello().task == task_of(NEW).digest
        with pytest.raises(RefusalError, match="only evaluates"):
            served.survey()


def test_a_task_that_was_put_there_by_hand_is_another_task_too(tmp_path: Path) -> None:
    served = Served(write(tmp_path))
    with served.held:
        assert served.survey().items == 2
    sign_task(tmp_path / "task", version=9, signer=OWNER)
    again = Served(served.config)
    with again.held:
        assert again.survey().items == 2  # from the journal: the files are the same
        assert status_of(served.config)["in_a_sum"] == 2
    signed(tmp_path / "task", NEW, 10, OWNER)
    other = Served(served.config)
    with other.held:
        assert status_of(served.config)["in_a_sum"] == 0
        assert "version 5 is not newer than 10" in other.bring(owned(5)).refusal


def test_a_device_whose_new_task_cannot_be_opened_tries_again_at_the_next_request(
    served: Served, tmp_path: Path
) -> None:
    served.bring(owned(4))
    model = tmp_path / "task" / "model.onnx"
    content = model.read_bytes()
    model.write_bytes(b"damaged")
    with pytest.raises(RefusalError):
        served.hello()
    model.write_bytes(content)
    assert served.hello().task == task_of(NEW).digest


def test_a_bundle_limit_that_lets_nothing_in_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="largest_bundle_bytes"):
        EdgeSettings.load(write(tmp_path, largest_bundle_bytes="0"))

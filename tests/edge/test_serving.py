"""A device whose task is replaced under it: same keys, same ledger, no restart by hand."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.service import Serving, roll_back
from edge.settings import EdgeSettings
from edge.status import alone, status_of
from fieldvote.bundle import Bundle
from fieldvote.cli import app
from fieldvote.delivery import BundleReply, BundleRequest
from fieldvote.errors import (
    InputError,
    RefusalError,
    SettingsError,
    SignatureError,
    UnavailableError,
)
from fieldvote.heads import HeadModel, ServeReply, ServeRequest
from fieldvote.records import (
    HelloReply,
    HelloRequest,
    Request,
    SurveyReply,
    SurveyRequest,
    decode,
    encode,
)
from fieldvote.task import Task
from tests.doubles.owner import DAY_S, OWNER, STRANGER
from tests.doubles.phones import NEW, OLD, news_of, owned
from tests.doubles.tasks import tabular_files, task_of, write_device, write_task

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
    passed_s: float = 0.0

    def __post_init__(self) -> None:
        self.serving = Serving(
            EdgeSettings.load(self.config),
            self.held,
            self.said.append,
            now_s=lambda: time.time() + self.passed_s,
        )

    def ask(self, request: Request) -> bytes:
        return self.serving.answer(encode(request))

    def hello(self, news: bytes = b"") -> HelloReply:
        return decode(self.ask(HelloRequest(campaign="c", news=news)), HelloReply)

    def survey(self) -> SurveyReply:
        return decode(self.ask(SURVEY), SurveyReply)

    def bring(self, bundle: Bundle, *, upto: int | None = None) -> BundleReply:
        self.hello(news_of(bundle))
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
        root=OWNER.put_root(folder),
        **said,
    )
    OWNER.sign_task(folder / "task", 3)
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
    assert before < spent < before + 300  # hello and the piece


def test_status_names_the_head_that_is_served_by_the_round_that_made_it(served: Served) -> None:
    def after(number: int, serial: int, model: HeadModel | None) -> object:
        order = ServeRequest(round=number, serial=serial, model=model)
        served.ask(OWNER.order(order, task_of(OLD).family))
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
    served.hello()
    found = status_of(served.config)
    assert (found["task_version"], found["task_digest"]) == (5, task_of(NEW).digest)
    assert "arriving" not in found


def test_a_refused_bundle_leaves_the_device_as_it_was(served: Served) -> None:
    wrong = OWNER.bundle(tabular_files(), 4)
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
        root=OWNER.put_root(tmp_path),
    )
    OWNER.sign_task(tmp_path / "task", 3)
    served = Served(config)
    said = NEW["task.toml"].replace(b'["ordinary", "offer"]', b'["offer", "ordinary"]')
    with served.held:
        other = OWNER.bundle({**NEW, "task.toml": said}, 4)
        assert "not of the new task's classes" in served.bring(other).refusal
        assert served.bring(owned(5)).installed
        assert served.hello().task == task_of(NEW).digest
        with pytest.raises(RefusalError, match="only evaluates"):
            served.survey()


def test_a_task_that_was_put_there_by_hand_is_another_task_too(tmp_path: Path) -> None:
    served = Served(write(tmp_path))
    with served.held:
        assert served.survey().items == 2
    OWNER.sign_task(tmp_path / "task", 9)
    again = Served(served.config)
    with again.held:
        assert again.survey().items == 2  # from the journal: the files are the same
        assert status_of(served.config)["in_a_sum"] == 2
    write_task(tmp_path / "task", NEW)
    OWNER.sign_task(tmp_path / "task", 10)
    other = Served(served.config)
    with other.held:
        assert status_of(served.config)["in_a_sum"] == 0
        with pytest.raises(RefusalError, match="version 5 is older than 10"):
            other.bring(owned(5))
    # nor does an older one serve that somebody puts there by hand
    write_task(tmp_path / "task", OLD)
    OWNER.sign_task(tmp_path / "task", 9)
    with pytest.raises(SignatureError, match="version 9 is older than 10"):
        Served(served.config)


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


def test_a_device_whose_news_is_over_does_nothing_and_says_why(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served.survey().items == 2
    assert status_of(served.config)["trust"] == "ok"
    served.passed_s = 8.0 * DAY_S
    with pytest.raises(RefusalError, match="the timestamp is over since"):
        served.survey()
    request = BundleRequest(bundle=owned(4).name, size=9, offset=0, content=b"")
    assert "is over since" in decode(served.ask(request), BundleReply).refusal
    later_s = time.time() + served.passed_s
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: later_s)
        assert "the timestamp is over since" in str(status_of(served.config)["trust"])
    assert served.hello().items == 2  # it can be asked, and told what is new
    with pytest.raises(SignatureError, match="timestamp: it is over"):
        served.hello(OWNER.news(owned(3), 3, newer=1))  # signed after the last, and over too
    served.hello(OWNER.news(owned(3), 3, newer=2, lasts_days=20))
    assert served.survey().items == 2
    assert status_of(served.config)["trust"] == "ok"


def test_a_head_that_the_online_role_did_not_sign_is_not_served(served: Served) -> None:
    family = task_of(OLD).family
    order = ServeRequest(round=1, serial=2, model=None)
    later = ServeRequest(round=2, serial=4, model=None)
    replayed = OWNER.order(order, family)
    wrong = (
        order,
        STRANGER.order(order, family),
        OWNER.order(order, "0" * 64),  # of another family
        replace(replayed, serial=6),
        replace(replayed, round=9),
    )
    for each in wrong:
        with pytest.raises(SignatureError):
            served.ask(each)
    assert decode(served.ask(replayed), ServeReply).serial == 2
    assert decode(served.ask(OWNER.order(later, family)), ServeReply).serial == 4
    # the same order once more changes nothing; the device answers as it did then
    again = OWNER.order(replace(order, round=3), family)
    assert decode(served.ask(again), ServeReply).serial == 4


def test_the_operator_goes_back_and_the_network_cannot(served: Served) -> None:
    served.bring(owned(4))
    served.hello()
    served.held.close()
    said = roll_back(served.config)
    assert said == (
        "offers v3 serves from the next start on; over the wire only what is newer than v4"
    )
    again = Served(served.config)
    with again.held:
        assert again.hello().task == task_of(OLD).digest
        found = status_of(served.config)
        assert (found["task_version"], found["rolled_back_from"]) == (3, 4)
        with pytest.raises(UnavailableError, match="an agent is running"):
            with_agent(served.config)
        # the version that was left does not come back by itself, an older one never
        refusal = again.bring(owned(4)).refusal
        assert refusal == "version 4 is not newer than 4, which was left"
        with pytest.raises(RefusalError):
            again.bring(owned(2))
        assert again.survey().items == 2
        assert again.bring(owned(5)).installed
        assert again.hello().task == task_of(NEW).digest
    assert "rolled_back_from" not in status_of(served.config)


def test_going_back_twice_is_going_forward(served: Served) -> None:
    served.bring(owned(4))
    served.hello()
    served.held.close()
    words = ["edge", "rollback", "--config", str(served.config)]
    assert CliRunner().invoke(app, words).stdout.startswith("offers v3 ")
    assert CliRunner().invoke(app, words).stdout.startswith("offers v4 ")
    again = Served(served.config)
    with again.held:
        assert again.hello().task == task_of(NEW).digest


def test_what_the_operator_did_not_go_back_to_does_not_serve(
    served: Served, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no task was here before"):
        roll_back(served.config)
    served.bring(owned(4))
    served.hello()
    served.held.close()
    policy = tmp_path / "task.previous" / "policy.toml"
    policy.write_bytes(policy.read_bytes() + b"\n")
    with pytest.raises(SignatureError, match=r"policy\.toml"):
        roll_back(served.config)
    assert Task.load(tmp_path / "task").digest == task_of(NEW).digest


def with_agent(config: Path) -> None:
    """Go back while an agent holds the folder."""
    with alone(config.parent / "state"):
        roll_back(config)

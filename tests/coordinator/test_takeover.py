"""Two coordinators over one store: one leads, the other stands by, whatever becomes of the first.

A leader that is stopped is one that hangs, and wakes up when another has long taken its place.
"""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from coordinator import driving
from coordinator.store.leases import Lease
from fieldvote.errors import FencedError
from fieldvote.heads import GradientReply, ServeReply
from fieldvote.records import AnswersReply, CollectReply, Reply, SurveyReply
from tests.coordinator.company import LONGEST_S, Company, Coordinator, Trap
from tests.coordinator.rounds.crash import DEVICES, Outcome
from tests.doubles.postgres import PostgresServer, postgres_server

_NUMBERS = count()
# a leader that gets no processor for longer than this is robbed, and finds itself beside another
_LEASE_S = 2.5


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the campaign comes to when one coordinator drives it from end to end."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with closing(Company(folder, folder / "state" / "campaign.sqlite", 60.0)) as company:
        company.people = False
        alone = company.start("alone")
        company.until(lambda: alone.has_said("round 1: waiting for people"))
        company.people = True
        company.until(lambda: alone.ended)
        assert alone.code == 0, alone.said
        return company.outcome()


@pytest.fixture
def on_postgres(postgres: PostgresServer, tmp_path: Path) -> Iterator[Company]:
    with closing(Company(tmp_path, postgres.create(f"t{next(_NUMBERS)}"), _LEASE_S)) as company:
        yield company


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Company]:
    with closing(Company(tmp_path, tmp_path / "state" / "campaign.sqlite", _LEASE_S)) as company:
        yield company


@pytest.fixture(params=["postgres", "sqlite"])
def company(request: pytest.FixtureRequest) -> Company:
    """A campaign on either database."""
    found: Company = request.getfixturevalue(f"on_{request.param}")
    return found


def check_the_second_ended_it(company: Company, second: Coordinator, whole: Outcome) -> None:
    company.until(lambda: second.ended)
    assert second.code == 0, second.said
    said = [line for line in second.said if line.startswith(("standing", "campaign", "talks"))]
    assert said[0].startswith("standing by: campaign small is led by ")
    assert said[-2].startswith("campaign small: goes on at round ")
    assert said[-1] == "talks to devices"
    assert company.outcome().differs_from(whole) == ""


@pytest.mark.slow
def test_the_campaign_that_is_interrupted_below_is_a_whole_one(undisturbed: Outcome) -> None:
    kinds = [kind for kind, _ in undisturbed.events]
    assert kinds.count("Trained") == kinds.count("RolledOut") == 2
    assert "Extended" not in kinds
    assert len(undisturbed.rows["label"]) > DEVICES
    assert {serial for *_, serial in undisturbed.devices.values()} == {4}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "number"),
    [(AnswersReply, 1), (GradientReply, 1), (ServeReply, 1), (SurveyReply, 2), (CollectReply, 2)],
)
def test_whoever_stands_by_takes_over_from_a_leader_that_is_killed_in_mid_round(
    on_postgres: Company, undisturbed: Outcome, kind: type[Reply], number: int
) -> None:
    trap = Trap(kind=kind, round=number, signal=signal.SIGKILL)
    first, second = on_postgres.pair(trap)
    on_postgres.people = True
    check_the_second_ended_it(on_postgres, second, undisturbed)
    assert first.code == -signal.SIGKILL
    assert not first.has_said("round 2: done")


@pytest.mark.slow
def test_on_a_file_whoever_stands_by_does_not_wait_for_the_lease_of_a_leader_that_is_dead(
    on_sqlite: Company, undisturbed: Outcome
) -> None:
    on_sqlite.lease_s = 10.0 * LONGEST_S
    first, second = on_sqlite.pair(Trap(kind=AnswersReply, round=1, signal=signal.SIGKILL))
    on_sqlite.people = True
    check_the_second_ended_it(on_sqlite, second, undisturbed)
    assert first.code == -signal.SIGKILL


@pytest.mark.slow
def test_a_leader_that_lives_is_never_robbed_and_who_stood_by_finds_nothing_left_to_do(
    company: Company, undisturbed: Outcome
) -> None:
    first, second = company.pair()
    time.sleep(2 * company.lease_s)
    company.people = True
    company.until(lambda: first.ended and second.ended)
    assert (first.code, second.code) == (0, 0)
    assert first.has_said("round 2: done")
    assert second.said[-1] == "campaign small: goes on at round 2 of 2, done"
    assert not second.has_said("talks")
    assert company.outcome().differs_from(undisturbed) == ""


def overtaken(company: Company) -> tuple[Coordinator, Coordinator]:
    """Return a leader that hangs with replies in its hand, and one that has taken its place.

    The devices are away from the new one, so it waits where the other stood.
    """
    first, second = company.pair(Trap(kind=SurveyReply, round=2, signal=signal.SIGSTOP))
    company.away("second").touch()
    company.people = True
    company.until(lambda: first.stopped)
    began = time.monotonic()
    company.until(lambda: second.has_said("campaign small: goes on at round 2 of 2, asking"))
    # a process that is stopped is there: only its lease tells
    assert time.monotonic() - began > company.lease_s / 2
    company.people = False
    return first, second


@pytest.mark.slow
@pytest.mark.parametrize("late", [False, True], ids=["while the new one waits", "after the end"])
def test_a_leader_that_hung_and_wakes_up_overtaken_writes_nothing_more_and_says_who_leads(
    company: Company, undisturbed: Outcome, late: bool
) -> None:
    first, second = overtaken(company)
    if late:
        company.away("second").unlink()
        company.people = True
        company.until(lambda: second.ended)
        company.people = False
    before = company.rows()
    os.kill(first.pid, signal.SIGCONT)
    company.until(lambda: first.ended)
    assert company.rows() == before
    assert first.code == FencedError("", "").exit_code != 0
    assert first.said[-1].startswith("FencedError: campaign small is led by ")
    assert "nothing was written" in first.said[-1]
    company.away("second").unlink(missing_ok=True)
    company.people = True
    check_the_second_ended_it(company, second, undisturbed)


@pytest.mark.slow
def test_without_the_look_at_the_token_the_leader_that_hung_would_write(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lease, "check", lambda _self, _database: None)
    first, second = overtaken(company)
    before = company.rows()
    os.kill(first.pid, signal.SIGCONT)
    company.until(lambda: company.rows()["event"] != before["event"] or first.ended, every_s=0.25)
    after = company.rows()
    assert len(after["event"]) > len(before["event"])
    assert after["inbox"] != before["inbox"]
    assert not second.ended


def a_pid_that_is_gone() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def test_of_all_holders_only_a_dead_process_of_this_machine_is_gone() -> None:
    dead = a_pid_that_is_gone()
    ours = driving._holder(dead)
    machine, _, seen = ours.partition(f", process {dead} of ")
    assert machine == socket.gethostname()
    assert driving._is_gone(ours)
    named = partial("{}, process {} of {}".format)
    living = [driving._holder(pid) for pid in (os.getpid(), os.getppid(), 1)]
    unseen = [named(f"not-{machine}", dead, seen), named(machine, dead, f"{seen}1")]
    odd = [named(machine, pid, seen) for pid in (0, -dead, f"0{dead}", 10**30, "", "one")]
    for holder in ["", "nobody", *living, *unseen, *odd, f"{ours} ", f"x{ours}"]:
        assert not driving._is_gone(holder), holder

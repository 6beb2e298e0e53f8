"""A ledger as people read it: by release, by task and in all, with epsilon where it is promised."""

import pytest

from edge.accounts import delta_of, epsilon_rows, rows_of, totals_of
from edge.spending import account_of
from privacy.dp import Accountant
from tests.edge.test_private import TASK, answered, asked, device_of, private_task


@pytest.fixture(scope="module")
def device():
    made = answered(device_of())
    for about in ("votes", "gram", "cross"):
        asked(made, about)
    return made


def test_every_release_names_its_task_and_what_it_costs(device):
    rows = rows_of(device.ledger, TASK)
    assert {row["task"] for row in rows} == {account_of(TASK)} == {TASK.name}
    assert sum(row["micro_rho"] for row in rows) == device.ledger.spent.micro_rho > 0
    assert sum(row["candidates"] for row in rows) == device.ledger.spent.candidates
    for row in rows:
        assert (row["epsilon"] > 0) == (row["micro_rho"] > 0)
        assert row["kind"] not in ("offers", "candidates") or row["epsilon"] == 0


def test_totals_add_up_for_each_task_and_in_all_and_list_offers_apart(device):
    rows = totals_of(device.ledger, TASK)
    whole = rows[-1]
    assert (whole["task"], whole["kind"]) == ("(in all)", "")
    by_task = [row for row in rows if row["task"] == TASK.name]
    by_kind = {row["kind"]: row for row in rows if row["kind"]}
    for name in ("micro_rho", "bytes", "candidates", "releases"):
        assert sum(row[name] for row in by_task) == whole[name]
        assert sum(row[name] for row in by_kind.values()) == whole[name]
    assert by_kind["candidates"]["epsilon"] is None
    assert by_kind["offers"]["epsilon"] is None
    assert by_kind["training"]["limit_micro_rho"] == 155_532
    assert whole["limit_micro_rho"] == 311_064
    delta = delta_of(TASK)
    assert whole["epsilon"] == round(
        Accountant(micro_rho=whole["micro_rho"]).epsilon(delta=delta), 4
    )


def test_status_says_what_is_spent_and_left_and_nothing_where_sums_are_exact(device):
    said = epsilon_rows(device.ledger, TASK)
    assert said["hides"] == "one record"
    assert "of 4 spent" in said["epsilon"]
    assert "offers" in said["outside_epsilon"]
    assert epsilon_rows(device.ledger, private_task("")) == {}

"""Incidents are counted from 0, stay counted, and are told by the device's status."""

from pathlib import Path

import numpy as np
import pytest

from edge.incidents import STAGES, Incidents
from edge.items import row_payload, text_payload
from edge.pool import Pool
from edge.settings import EdgeSettings
from edge.status import status_of
from fieldvote.errors import LeakError
from fieldvote.rights import Rights
from tests.doubles.agents import Device, build_device
from tests.doubles.tasks import tabular_files, task_of, text_files, write_device
from tests.edge.test_outbox import Everything


def test_every_stage_is_there_at_0_before_anything_happened() -> None:
    assert dict(Incidents()) == dict.fromkeys(STAGES, 0)


def test_counts_survive_a_restart_and_a_stage_that_is_new_begins_at_0(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool.sqlite")
    pool.keep_note("incidents", b'{"second_scan": 3}')
    Incidents(pool)["masking"] += 1
    pool.close()
    again = Pool(tmp_path / "pool.sqlite")
    assert dict(Incidents(again)) == {"second_scan": 3, "masking": 1, "replayed_answers": 0}
    again.purge()
    assert Incidents(again)["second_scan"] == 3  # what happened has happened
    again.close()


def test_status_shows_the_counts_from_the_start_and_a_hit_at_once(tmp_path: Path) -> None:
    from edge.device import opened

    config = write_device(tmp_path, text_files(), items="a prize for you\nsee you at home\n")
    with opened(EdgeSettings.load(config)) as device:
        said = status_of(config)
        assert {stage: said[f"stopped_{stage}"] for stage in STAGES} == dict.fromkeys(STAGES, 0)
        assert said["health"] == "ok"
        outbox = device.agent._parts.outbox
        outbox._redactor = Everything()  # type: ignore[assignment]  # that is the attack
        shipped = outbox.ship(bytes(16), b"ask Zbigniew", rights=Rights.SHIP)
        assert shipped.refusal == "LeakError"
    said = status_of(config)
    assert said["stopped_second_scan"] == 1
    assert str(said["health"]).startswith("incidents")


# rows


def row_device(fields: str) -> Device:
    files = tabular_files()
    files["policy.toml"] = f"[candidates.fields]\n{fields}\n".encode()
    return build_device(task_of(files), [row_payload(np.zeros(3))])


FIELDS = """
heat = { kind = "decimals", decimals = 1 }
age = { kind = "age", width = 5 }
"""


def test_a_row_leaves_by_the_rules_of_its_policy() -> None:
    device = row_device(FIELDS)
    masked = device.outbox.mask(bytes(16), row_payload(np.array([0.16, 12.7, 41.99])))
    assert (masked.names, masked.values) == (("heat", "age"), ("0.2", "40-44"))


@pytest.mark.parametrize("what", ["too exact", "not named"])
def test_a_row_whose_masking_was_tampered_with_is_stopped_by_the_second_scan(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = row_device(FIELDS)
    rows = {"too exact": (("heat", 0.16),), "not named": (("speed", 12.0),)}
    monkeypatch.setattr("edge.outbox.mask_fields", lambda *_: rows[what])
    monkeypatch.setattr(
        "edge.outbox.show_fields", lambda row, _: tuple((name, repr(v)) for name, v in row)
    )
    with pytest.raises(LeakError, match="second scan found"):
        device.outbox.mask(bytes(16), row_payload(np.zeros(3)))
    assert device.outbox.incidents["second_scan"] == 1


def test_a_row_that_cannot_be_masked_stays_and_the_others_leave() -> None:
    device = row_device('age = { kind = "age" }')
    device.pool.add([b"1" * 16], [row_payload(np.array([0.0, 0.0, 4000.0]))])
    bad = device.outbox.ship(b"1" * 16, device.pool.payloads()[1], rights=Rights.SHIP)
    good = device.outbox.ship(b"2" * 16, device.pool.payloads()[0], rights=Rights.SHIP)
    assert (bad.refusal, good.refusal) == ("LeakError", "")
    assert dict(device.outbox.incidents)["masking"] == 1


def test_an_item_that_is_corrupt_stays_and_says_nothing_of_itself() -> None:
    device = row_device(FIELDS)
    for payload in (b"Zbigniew", text_payload("Zbigniew Kowalski, 07700 900123")):
        with pytest.raises(LeakError) as caught:
            device.outbox.mask(bytes(16), payload)
        assert "Zbigniew" not in str(caught.value)


def test_noise_comes_from_the_entropy_the_device_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    device = row_device('heat = { kind = "noise", spread = 1000 }')
    device.outbox._entropy = lambda size: bytes(size)
    row = row_payload(np.zeros(3))
    assert device.outbox.mask(bytes(16), row).values == ("-1000.0",)
    assert (
        len(
            {
                row_device('heat = { kind = "noise", spread = 1000 }')
                .outbox.mask(bytes(16), row)
                .values
                for _ in range(6)
            }
        )
        > 1
    )  # one sentence

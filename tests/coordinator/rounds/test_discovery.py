"""Answers that no class fits: paid, taught to nobody, and grouped into a suggestion."""

from dataclasses import replace

import numpy as np
import pytest

from coordinator.labels.consensus import NONE_OF_THESE
from coordinator.labels.provenance import list_labels
from coordinator.rounds.discovery import Suggestion, grouped, suggestions
from coordinator.rounds.events import Resolved
from coordinator.rounds.reproduce import reproduce
from coordinator.rounds.steering_view import suggestion_rows
from coordinator.store.rows import StoredOffer
from edge.items import row_payload
from fieldvote.records import DeviceId, MaskedItem
from fieldvote.rng import stream
from tests.coordinator.rounds.campaign import TASK, Campaign, Reader, settings_with


class Picky(Reader):
    """Says of what lies far off that it is none of these."""

    def answer(self, item: MaskedItem) -> int | None:
        seen = dict(zip(item.names, item.values, strict=True))
        label = super().answer(item)
        return NONE_OF_THESE if float(seen["a"]) > 3.0 else label


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    campaign = Campaign(settings_with(exchanges=2, labels_per_device=6, offers=20))
    campaign.people = (Picky(),)
    campaign.scheduler = campaign.started()
    campaign.run(1)
    for device, pool in campaign.fleet.pools.items():
        if int(device) <= 3:
            rng = stream(8, "unknown", int(device))
            rows = np.array([6.0, -6.0, 4.0]) + 0.2 * rng.normal(size=(8, 3))
            pool.add([rng.bytes(16) for _ in rows], [row_payload(row) for row in rows])
    campaign.run(3)
    return campaign


def test_what_fits_no_class_is_paid_and_no_device_is_sent_it(campaign: Campaign) -> None:
    kept = campaign.store.kept_labels()
    none = [each for each in kept if each.label.label == NONE_OF_THESE]
    assert len(none) >= 5
    answers, _ = campaign.store.paid()
    assert answers == len(kept)
    assert sum(event.labels for event in campaign.events(Resolved)) == len(kept) - len(none)
    assert not any(each.delivered or each.label.envelope for each in none)
    assert all(each.delivered for each in kept if each not in none)
    assert NONE_OF_THESE not in campaign.store.labels_by_class()
    # the device has shipped the item, and offers it to nobody again
    for pool in campaign.fleet.pools.values():
        shipped = [item for item, arm in zip(pool.ids(), pool.column("arm"), strict=True)
                   if arm >= 0]  # fmt: skip
        assert len(set(shipped)) == len(shipped)


def test_items_that_look_alike_are_suggested_as_a_class(campaign: Campaign) -> None:
    found = suggestions(campaign.store, least=5)
    assert found
    assert found[0].items >= 5
    assert found[0].devices >= 2
    row = suggestion_rows(campaign.store, 5, lambda: TASK.classes)["new_class"]
    assert isinstance(row, str)
    assert "a class of their own?" in row
    assert suggestion_rows(campaign.store, 500, lambda: TASK.classes) == {}


def test_the_record_tells_of_them_and_can_be_made_again(campaign: Campaign) -> None:
    rows = list_labels(campaign.store, campaign.parts.task)
    assert "none of these" in {row["class"] for row in rows}
    for number in (2, 3):
        made = reproduce(
            campaign.store,
            campaign.parts.task,
            campaign.settings,
            campaign.scheduler.events,
            number,
        )
        assert [each for each in made if not each.same] == []


def offers_of(rows: np.ndarray, devices: int = 2) -> list[StoredOffer]:
    return [
        StoredOffer(
            device=DeviceId(n % devices), item=bytes([n]) * 16, arm=0, score=1, predicted=n % 2,
            sketch=row.tobytes(),
        )
        for n, row in enumerate(rows)
    ]  # fmt: skip


def test_groups_are_found_among_what_has_nothing_to_do_with_them() -> None:
    rng = np.random.default_rng(3)
    centre = rng.integers(0, 256, size=(1, 8), dtype=np.uint8)
    flips = (rng.random((9, 64)) < 0.08).astype(np.uint8)
    near = centre ^ np.packbits(flips, axis=1)
    far = rng.integers(0, 256, size=(40, 8), dtype=np.uint8)
    offers = offers_of(np.concatenate([near, far]), devices=3)
    (found,) = grouped(offers, least=5)
    assert found.items == 9
    assert found.devices == 3
    assert grouped(list(reversed(offers)), least=5) == [found]


def test_a_sketch_of_another_length_or_none_at_all_stops_nothing() -> None:
    assert grouped([], least=2) == []
    rows = offers_of(np.zeros((4, 8), dtype=np.uint8))
    odd = replace(rows[0], sketch=b"ab")
    assert grouped([*rows, odd], least=2) == [Suggestion(items=4, devices=2, predicted=0)]
    assert "taken for" not in Suggestion(items=4, devices=2, predicted=-1).told(("a", "b"))

import pytest

from coordinator.store.campaign import Store
from coordinator.store.chain import ROOT, link
from coordinator.store.events import Head
from coordinator.store.verify import verify
from fieldvote.records import DeviceId
from tests.coordinator.store.places import NOON, Place, write_a_bit_of_everything

CUT_THE_LAST = "DELETE FROM event WHERE stream = 'rounds' AND version = 5"


def a_campaign(place: Place) -> Store:
    store = place.store()
    with store.transaction():
        for version in range(6):
            store.append("rounds", version, f"K{version}", f"body {version}")
        store.append("other", 0, "K", "{}")
    return store


def test_an_untouched_store_is_sound_and_counted(place: Place) -> None:
    store = a_campaign(place)
    write_a_bit_of_everything(place.store("another"), 0)
    report = verify(store.database, heads=store.heads())
    assert report.faults == ()
    assert (report.events, report.streams, report.artifacts) == (9, 4, 1)


def test_an_empty_store_is_sound(place: Place) -> None:
    assert verify(place.database()).faults == ()


EVENT = "campaign 'first', stream 'rounds': event "
TAMPERED = {
    "a changed body": (
        "UPDATE event SET body = 'lie' WHERE stream = 'rounds' AND version = 3",
        EVENT + "3 is not the one that was appended",
    ),
    "a changed kind": (
        "UPDATE event SET kind = 'lie' WHERE stream = 'rounds' AND version = 0",
        EVENT + "0 is not the one that was appended",
    ),
    "a changed time": (
        "UPDATE event SET at = 'yesterday' WHERE stream = 'rounds' AND version = 5",
        EVENT + "5 is not the one that was appended",
    ),
    "a removed event": (
        "DELETE FROM event WHERE stream = 'rounds' AND version = 2",
        EVENT + "2 is missing",
    ),
    "a removed beginning": (
        "DELETE FROM event WHERE stream = 'rounds' AND version = 0",
        EVENT + "0 is missing",
    ),
    "a removed event and a closed gap": (
        "DELETE FROM event WHERE stream = 'rounds' AND version = 2;"
        "UPDATE event SET version = 2 WHERE stream = 'rounds' AND version = 3;"
        "UPDATE event SET version = 3 WHERE stream = 'rounds' AND version = 4;"
        "UPDATE event SET version = 4 WHERE stream = 'rounds' AND version = 5",
        EVENT + "2 is not the one that was appended",
    ),
    "reordered events": (
        "UPDATE event SET version = 99 WHERE stream = 'rounds' AND version = 1;"
        "UPDATE event SET version = 1 WHERE stream = 'rounds' AND version = 2;"
        "UPDATE event SET version = 2 WHERE stream = 'rounds' AND version = 99",
        EVENT + "1 is not the one that was appended",
    ),
    "an event moved to another stream": (
        "UPDATE event SET stream = 'elsewhere' WHERE stream = 'other'",
        "campaign 'first', stream 'elsewhere': event 0 is not the one that was appended",
    ),
    "an event moved to another campaign": (
        "UPDATE event SET campaign = 'theirs' WHERE stream = 'other'",
        "campaign 'theirs', stream 'other': event 0 is not the one that was appended",
    ),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_change_behind_our_back_is_named_by_stream_and_version(place: Place, case: str) -> None:
    store = a_campaign(place)
    statements, found = TAMPERED[case]
    for statement in statements.split(";"):
        place.tamper(statement)
    assert verify(store.database).faults == (found,)


def test_an_event_that_was_changed_and_hashed_anew_breaks_the_next_one(place: Place) -> None:
    store = a_campaign(place)
    forged = ROOT
    for version in range(4):
        body = "lie" if version == 3 else f"body {version}"
        forged = link(
            forged, campaign="first", stream="rounds", version=version, kind=f"K{version}",
            body=body, at=NOON.isoformat(),
        )  # fmt: skip
    value = f"'\\x{forged.hex()}'" if place.is_postgres else f"x'{forged.hex()}'"
    place.tamper(f"UPDATE event SET body = 'lie', hash = {value}"  # noqa: S608  # our own hash
                 " WHERE stream = 'rounds' AND version = 3")  # fmt: skip
    assert verify(store.database).faults == (EVENT + "4 is not the one that was appended",)


def test_a_cut_tail_is_seen_by_who_kept_a_head(place: Place) -> None:
    store = a_campaign(place)
    heads = store.heads()
    place.tamper("DELETE FROM event WHERE stream = 'rounds' AND version > 3")
    assert verify(store.database).faults == ()  # what is left is a whole chain
    assert verify(store.database, heads=heads).faults == (
        "campaign 'first', stream 'rounds': ends before event 5, whose hash was kept elsewhere",
    )


def test_a_stream_that_was_written_anew_is_seen_by_who_kept_a_head(place: Place) -> None:
    store = a_campaign(place)
    heads = store.heads()
    place.tamper("DELETE FROM event WHERE stream = 'other'")
    store.append("other", 0, "K", "another")
    assert verify(store.database).faults == ()
    assert verify(store.database, heads=heads).faults == (
        "campaign 'first', stream 'other': event 0 has another hash than was kept elsewhere",
    )


def test_a_head_stays_good_when_the_stream_grows(place: Place) -> None:
    store = a_campaign(place)
    heads = store.heads()
    store.append("rounds", 6, "K", "{}")
    assert verify(store.database, heads=heads).faults == ()
    gone = Head(campaign="first", stream="never", version=0, hash="00")
    assert len(verify(store.database, heads=[gone]).faults) == 1


CONTRADICTIONS = {
    "UPDATE artifact SET blob = hash FROM event": "is not what its name says",
    "UPDATE snapshot SET state = digest": "the state kept after event 0 was changed",
    "UPDATE budget SET spent = spent + 1": "the budget of money is not the sum of its entries",
    "DELETE FROM budget_entry WHERE key = 'next 0'": "is not the sum of its entries",
    "UPDATE budget_entry SET spent = 200, reserved = 100": "settled above its reservation",
}


@pytest.mark.parametrize("statement", CONTRADICTIONS)
def test_what_contradicts_itself_is_found(place: Place, statement: str) -> None:
    store = place.store()
    write_a_bit_of_everything(store, 0)
    place.tamper(statement)
    assert any(CONTRADICTIONS[statement] in fault for fault in verify(store.database).faults)


def test_a_reply_that_was_counted_and_is_waited_for_is_found(place: Place) -> None:
    store = place.store()
    store.expect_all(1, "survey", {DeviceId(1): b""})
    place.tamper("INSERT INTO inbox VALUES ('first', '1/survey/1')")
    assert verify(store.database).faults == (
        "campaign 'first': a request waits for a reply that was counted",
    )


def test_a_state_whose_event_was_cut_off_is_found(place: Place) -> None:
    store = a_campaign(place)
    store.keep_snapshot("rounds", 5, b"state")
    place.tamper(CUT_THE_LAST, unchecked=True)
    assert verify(store.database).faults == (
        "campaign 'first', stream 'rounds': ends before event 5, after which a state was kept",
    )


def test_an_answer_without_a_candidate_is_found(place: Place) -> None:
    store = place.store()
    write_a_bit_of_everything(store, 0)
    place.tamper("DELETE FROM candidate", unchecked=True)
    assert verify(store.database).faults == ("campaign 'first': an answer belongs to no candidate",)

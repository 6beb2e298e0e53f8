from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError, LedgerSpentError, RefusalError, StoreError
from privacy.dp import Ledger, Limits, MemoryLedgerStore
from privacy.dp.chain import GENESIS

START = datetime(2026, 1, 1, tzinfo=UTC)
WIDE = Limits(candidates=1000, size_bytes=10**9)


def clock():
    return START


def open_ledger(store=None, limits=WIDE, now=clock):
    return Ledger(store if store is not None else MemoryLedgerStore(), limits, now)


class TamperedStore(MemoryLedgerStore):
    def __init__(self, entries):
        super().__init__()
        self._entries = list(entries)


class FailingStore(MemoryLedgerStore):
    """Writes or not, and fails either way."""

    def __init__(self, *, writes):
        super().__init__()
        self.writes = writes
        self.fails = True

    def append(self, entry):
        if self.writes or not self.fails:
            super().append(entry)
        if self.fails:
            raise StoreError("disk full")


charges = st.tuples(
    st.sampled_from(["summaries", "candidates", "updates"]), st.integers(0, 60), st.integers(0, 3)
)


@given(st.lists(charges, max_size=40))
@settings(deadline=None)
def test_totals_are_the_sums_of_what_was_not_refused_and_never_pass_a_limit(wanted):
    store, limits = MemoryLedgerStore(), Limits(candidates=10, size_bytes=300)
    ledger = open_ledger(store, limits)
    size = candidates = 0
    for kind, more_bytes, more_candidates in wanted:
        over = more_bytes and size + more_bytes > 300
        over = over or (more_candidates and candidates + more_candidates > 10)
        before = list(store.entries())
        if over:
            with pytest.raises(LedgerSpentError):
                ledger.charge(kind, size_bytes=more_bytes, candidates=more_candidates)
            assert list(store.entries()) == before
        else:
            ledger.charge(kind, size_bytes=more_bytes, candidates=more_candidates)
            size, candidates = size + more_bytes, candidates + more_candidates
        assert (ledger.spent.size_bytes, ledger.spent.candidates) == (size, candidates)
    again = open_ledger(store, limits)
    assert again.spent == ledger.spent
    assert again.entries() == ledger.entries()
    parts = ledger.spent.by_kind.values()
    assert sum(part.size_bytes for part in parts) == ledger.spent.size_bytes


def test_an_entry_is_in_the_store_before_charge_returns():
    store = MemoryLedgerStore()
    entry = open_ledger(store).charge("summaries", size_bytes=5)
    assert open_ledger(store).entries() == (entry,)
    assert (entry.sequence, entry.kind, entry.size_bytes, entry.at) == (0, "summaries", 5, START)
    assert entry.previous == GENESIS


def test_the_head_stands_for_the_history():
    ledger = open_ledger()
    assert ledger.head == GENESIS
    heads = {ledger.charge("summaries", size_bytes=1).digest for _ in range(3)}
    assert len(heads) == 3
    assert ledger.head == ledger.entries()[-1].digest


def three_entries():
    ticks = iter(START + timedelta(seconds=second) for second in range(3))
    store = MemoryLedgerStore()
    ledger = open_ledger(store, now=lambda: next(ticks))
    for size in (10, 20, 30):
        ledger.charge("summaries", size_bytes=size)
    return list(store.entries())


@pytest.mark.parametrize(
    "tamper",
    [
        lambda e: [e[1], e[2]],
        lambda e: [e[0], e[2]],
        lambda e: [e[1], e[0], e[2]],
        lambda e: [e[0], e[0], e[1], e[2]],
        lambda e: [e[0], e[1], e[2], e[2]],
        lambda e: [e[0], b"", e[2]],
        lambda e: [e[0], e[1][:-1], e[2]],
        lambda e: [e[0], e[1] + b"\0", e[2]],
        lambda e: [e[0], bytes(2000), e[2]],
    ],
)
def test_a_store_that_was_changed_does_not_open(tamper):
    with pytest.raises(RefusalError, match="chain"):
        open_ledger(TamperedStore(tamper(three_entries())))


def test_every_flipped_bit_of_a_stored_entry_breaks_the_chain():
    entries = three_entries()
    for bit in range(8 * len(entries[1])):
        broken = bytearray(entries[1])
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RefusalError):
            open_ledger(TamperedStore([entries[0], bytes(broken), entries[2]]))


@pytest.mark.parametrize("writes", [True, False])
def test_a_failed_write_releases_nothing_and_the_store_decides_what_was_spent(writes):
    store = FailingStore(writes=writes)
    ledger = open_ledger(store, Limits(candidates=0, size_bytes=10))
    with pytest.raises(StoreError):
        ledger.charge("summaries", size_bytes=6)
    store.fails = False
    if writes:
        with pytest.raises(LedgerSpentError):
            ledger.charge("summaries", size_bytes=6)
    else:
        ledger.charge("summaries", size_bytes=6)
    assert ledger.spent.size_bytes == 6
    assert open_ledger(store).spent.size_bytes == 6


@pytest.mark.parametrize("bad", [-1, True, 1.0, float("nan"), "1", None, 2**60])
@pytest.mark.parametrize("field", ["size_bytes", "candidates"])
def test_amounts_are_whole_numbers_and_never_given_back(bad, field):
    ledger = open_ledger()
    with pytest.raises(InputError):
        ledger.charge("summaries", **({"size_bytes": 1} | {field: bad}))
    with pytest.raises(InputError):
        Limits(**({"size_bytes": 1, "candidates": 1} | {field: bad}))
    assert ledger.spent.releases == 0


@pytest.mark.parametrize("kind", ["", "two words", "x" * 65, "a\nb", None, 3])
def test_a_kind_is_a_word(kind):
    with pytest.raises(InputError):
        open_ledger().charge(kind, size_bytes=1)


def test_a_clock_without_time_zone_is_refused():
    ledger = open_ledger(now=lambda: START.replace(tzinfo=None))
    with pytest.raises(InputError):
        ledger.charge("summaries", size_bytes=1)
    assert ledger.entries() == ()


def test_a_limit_lowered_below_what_is_spent_stops_the_device_but_opens():
    store = MemoryLedgerStore()
    open_ledger(store).charge("summaries", size_bytes=50)
    ledger = open_ledger(store, Limits(candidates=0, size_bytes=40))
    with pytest.raises(LedgerSpentError):
        ledger.charge("summaries", size_bytes=1)
    assert ledger.charge("summaries", size_bytes=0).sequence == 1


def test_threads_cannot_spend_the_same_budget_twice():
    ledger = open_ledger(limits=Limits(candidates=0, size_bytes=100))
    refused = []

    def spend():
        for _ in range(20):
            try:
                ledger.charge("summaries", size_bytes=1)
            except LedgerSpentError:
                refused.append(1)

    threads = [Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.spent.size_bytes == 100
    assert len(refused) == 60
    assert len(ledger.entries()) == 100

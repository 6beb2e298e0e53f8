import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldvote.errors import InputError
from fieldvote.rng import stream
from privacy.secagg.graph import Graph, derive_graph
from privacy.secagg.parameters import Parameters

# Of the digest 00 01 … 1f; a change of these is another version of the derivation.
RING = [5, 4, 9, 3, 10, 11, 6, 2, 7, 1, 0, 8]
KEEPERS = [0, 1, 4, 9, 11]
PARTNERS_OF_0 = [1, 5, 7, 8]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    devices = draw(st.integers(2, 60))
    degree = draw(st.sampled_from([*range(2, devices, 2), devices - 1]))
    keepers = draw(st.integers(1, devices))
    sizes = Parameters(degree=degree, least_partners=1, keepers=keepers, threshold=1)
    return derive_graph(draw(st.binary(min_size=32, max_size=32)), devices=devices, sizes=sizes)


@given(graphs())
@settings(deadline=None, max_examples=100)
def test_every_graph_is_regular_symmetric_and_without_loops(graph: Graph) -> None:
    edges = {
        (seat, partner)
        for seat in range(graph.devices)
        for partner in graph.partners(seat).tolist()
    }
    assert len(edges) == graph.devices * graph.degree
    assert all((partner, seat) in edges and partner != seat for seat, partner in edges)
    assert sorted(graph.ring.tolist()) == list(range(graph.devices))
    assert len(set(graph.keepers.tolist())) == len(graph.keepers)


@given(graphs(), st.integers(0, 2**32))
@settings(deadline=None, max_examples=100)
def test_partners_are_counted_as_one_by_one(graph: Graph, seed: int) -> None:
    present = stream(seed, "present").random(graph.devices) < 0.6
    counted = [int(present[graph.partners(seat)].sum()) for seat in range(graph.devices)]
    assert graph.partners_present(present).tolist() == counted


def test_the_derivation_is_the_one_that_was_published() -> None:
    sizes = Parameters(degree=4, least_partners=1, keepers=5, threshold=3)
    graph = derive_graph(bytes(range(32)), devices=12, sizes=sizes)
    assert graph.ring.tolist() == RING
    assert graph.keepers.tolist() == KEEPERS
    assert graph.partners(0).tolist() == PARTNERS_OF_0


def test_another_digest_is_another_graph() -> None:
    sizes = Parameters(degree=4, least_partners=1, keepers=5, threshold=3)
    rings = {tuple(derive_graph(bytes([i]) * 32, devices=12, sizes=sizes).ring) for i in range(20)}
    assert len(rings) == 20


def test_a_graph_cannot_be_changed_by_who_uses_it() -> None:
    sizes = Parameters(degree=4, least_partners=1, keepers=5, threshold=3)
    graph = derive_graph(bytes(32), devices=12, sizes=sizes)
    with pytest.raises(ValueError, match="read-only"):
        graph.ring[0] = 0


@pytest.mark.parametrize(("degree", "keepers"), [(3, 5), (8, 5), (4, 8)])
def test_sizes_without_a_graph_are_refused(degree: int, keepers: int) -> None:
    sizes = Parameters(degree=degree, least_partners=1, keepers=keepers, threshold=1)
    with pytest.raises(InputError):
        derive_graph(bytes(32), devices=7, sizes=sizes)


def test_a_ring_holds_together_unless_two_runs_of_half_the_degree_are_gone() -> None:
    sizes = Parameters(degree=4, least_partners=1, keepers=5, threshold=3)
    graph = derive_graph(bytes(32), devices=14, sizes=sizes)
    rng = stream(1, "connected")
    apart = 0
    for _ in range(300):
        present = rng.random(14) < 0.6
        runs = around(present[graph.ring], 2)
        parts = components(graph, present)
        apart += parts > 1
        assert parts <= 1 or runs >= 2
    assert apart > 5


def around(present: np.ndarray, half: int) -> int:
    """Count the runs of at least half absent places on the ring."""
    places = "".join("x" if here else "." for here in present)
    if "x" not in places:
        return 1
    start = places.index("x")
    turned = places[start:] + places[:start]
    return sum(len(run) >= half for run in turned.split("x"))


def components(graph: Graph, present: np.ndarray) -> int:
    """Count the parts the present devices fall into."""
    left, parts = set(np.flatnonzero(present).tolist()), 0
    while left:
        parts += 1
        front = [left.pop()]
        while front:
            near = set(graph.partners(front.pop()).tolist()) & left
            left -= near
            front.extend(near)
    return parts

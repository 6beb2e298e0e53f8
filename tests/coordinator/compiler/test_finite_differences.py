"""A wrong rule does not get past the check; right ones do, whatever is compiled."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from coordinator.compiler import Terms, compile_step, verify
from coordinator.compiler.reverse import RULES
from coordinator.compiler.site import Gradients, Site
from fieldvote.errors import InputError
from tests.coordinator.compiler.networks import Net, lenet, mlp, residual, small_transformer

SMALL = mlp(width=6, hidden=8, classes=3)
COMPILED: list[dict[str, object]] = [
    {},
    {"emit": "gradients"},
    {"emit": "gradients", "accumulate": True},
    {"accumulate": True},
    {"optimizer": "momentum", "terms": Terms(clip=True, proximal=True, corrected=True)},
    {"optimizer": "adam"},
    {"terms": Terms(clip=True)},
    {"low_rank": 2},
    {"trainable": "head", "frozen": "outside"},
]


@pytest.mark.parametrize("arguments", COMPILED, ids=str)
@pytest.mark.parametrize("network", [SMALL, small_transformer()], ids=["mlp", "transformer"])
def test_a_right_step_passes(network: object, arguments: dict[str, object]) -> None:
    assert verify(compile_step(network.model, **arguments)) < 0.02


@pytest.mark.parametrize("network", [lenet(size=8), residual(size=8)], ids=["lenet", "residual"])
def test_kinks_do_not_raise_a_false_alarm(network: object) -> None:
    assert all(verify(compile_step(network.model), seed=seed) < 0.05 for seed in range(2))


def scaled(rule: Callable[[Site], Gradients], factor: float) -> Callable[[Site], Gradients]:
    def wrong(site: Site) -> Sequence[str | None]:
        found = rule(site)
        return [None if g is None else site.b.mul(g, site.b.number(factor)) for g in found]

    return wrong


@pytest.mark.parametrize("factor", [0.0, 0.9, -1.0])
@pytest.mark.parametrize(
    ("network", "kind"),
    [
        (SMALL, "Relu"),
        (SMALL, "Gemm"),
        (small_transformer(), "LayerNormalization"),
        (residual(size=8), "Conv"),
    ],
)
def test_a_wrong_rule_is_caught(
    network: object, kind: str, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RULES, kind, scaled(RULES[kind], factor))
    with pytest.raises(InputError, match=r"is off by .* do not sign"):
        verify(compile_step(network.model))


def test_a_mask_left_out_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "Relu", lambda site: [site.g])
    with pytest.raises(InputError, match="is off by"):
        verify(compile_step(SMALL.model))


def test_whole_numbers_are_given_where_none_can_be_guessed() -> None:
    net = Net()
    found = net.op("Gather", net.weight("table", 9, 4), "x", axis=0)
    pooled = net.op("ReduceMean", found, net.const([1]), keepdims=0)
    net.op("Identity", net.linear(pooled, "head", 4, 3), out="logits")
    model = net.model({"x": ("n", 5)}, {"logits": ("n", 3)}, integers=("x",))
    words = np.random.default_rng(1).integers(0, 9, (4, 5))
    assert verify(compile_step(model), inputs={"x": words}) < 0.02


def test_a_step_that_does_not_run_is_refused() -> None:
    net = Net()
    fixed = net.op("Reshape", net.linear("x", "body", 6, 6), net.const([4, 6]))
    net.op("Identity", net.linear(fixed, "head", 6, 3), out="logits")
    step = compile_step(net.model({"x": ("n", 6)}, {"logits": (4, 3)}))
    assert verify(step, inputs={"x": np.ones((4, 6), np.float32)}) < 0.02
    with pytest.raises(InputError, match="does not run"):
        verify(step, inputs={"x": np.ones((3, 6), np.float32)})

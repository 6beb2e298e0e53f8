"""Arithmetic, element by element, with broadcasting."""

import numpy as np

from coordinator.compiler.site import Gradients, Rule, Site


def same(site: Site) -> Gradients:
    """The output is the input: Identity, Dropout at inference."""
    if site.op.kind == "Dropout" and site.has(2) and bool(site.must_be_constant(2, "the mode")):
        raise site.refuses("a train step is deterministic; leave dropout out", "training_mode")
    return [site.g]


def cast(site: Site) -> Gradients:
    """A cast that casts nothing: both sides are float32, or the sweep had refused them."""
    return [site.g]


def add(site: Site) -> Gradients:
    """Y = a + b + ..."""
    return [
        site.summed_to(site.g, i) if site.wants(i) else None for i in range(len(site.op.inputs))
    ]


def sub(site: Site) -> Gradients:
    """Y = a - b."""
    left = site.summed_to(site.g, 0) if site.wants(0) else None
    right = site.b.op("Neg", site.summed_to(site.g, 1)) if site.wants(1) else None
    return [left, right]


def mul(site: Site) -> Gradients:
    """Y = a b: da = g b, db = g a."""
    return [
        site.summed_to(site.b.mul(site.g, site.x(1 - i)), i) if site.wants(i) else None
        for i in (0, 1)
    ]


def div(site: Site) -> Gradients:
    """Y = a / b: da = g / b, db = -g y / b."""
    b = site.b
    quotient = b.div(site.g, site.x(1))
    left = site.summed_to(quotient, 0) if site.wants(0) else None
    if not site.wants(1):
        return [left, None]
    return [left, site.summed_to(b.op("Neg", b.mul(quotient, site.y())), 1)]


def power(site: Site) -> Gradients:
    """Y = xᵉ for a constant e: dx = g e xᵉ⁻¹."""
    if site.wants(1):
        raise site.refuses("an exponent that is trained is not known here")
    exponent = site.must_be_constant(1, "the exponent").astype(np.float32)
    if exponent.size != 1:
        raise site.refuses("the exponent must be one number")
    b, e = site.b, float(exponent.reshape(()))
    if e == 2.0:
        return [b.mul(site.g, b.mul(site.x(), b.number(2.0)))]
    return [b.mul(site.g, b.mul(b.op("Pow", site.x(), b.number(e - 1.0)), b.number(e)))]


def negative(site: Site) -> Gradients:
    """Y = -x."""
    return [site.b.op("Neg", site.g)]


def absolute(site: Site) -> Gradients:
    """Y = |x|: dx = g sign x, 0 at 0."""
    return [site.b.mul(site.g, site.b.op("Sign", site.x()))]


def square_root(site: Site) -> Gradients:
    """Y = √x: dx = g / 2y."""
    return [site.b.div(site.b.mul(site.g, site.b.number(0.5)), site.y())]


def reciprocal(site: Site) -> Gradients:
    """Y = 1 / x: dx = -g y²."""
    return [site.b.op("Neg", site.b.mul(site.g, site.b.mul(site.y(), site.y())))]


def exponential(site: Site) -> Gradients:
    """Y = eˣ: dx = g y."""
    return [site.b.mul(site.g, site.y())]


def logarithm(site: Site) -> Gradients:
    """Y = ln x: dx = g / x."""
    return [site.b.div(site.g, site.x())]


def where(site: Site) -> Gradients:
    """Y = a where the condition holds, b elsewhere; the condition learns nothing."""
    b, zero = site.b, site.b.number(0.0)
    left = b.op("Where", site.x(0), site.g, zero) if site.wants(1) else None
    right = b.op("Where", site.x(0), zero, site.g) if site.wants(2) else None
    return [
        None,
        None if left is None else site.summed_to(left, 1),
        None if right is None else site.summed_to(right, 2),
    ]


def extremum(site: Site) -> Gradients:
    """Y = max(a, b) or min(a, b): the one chosen gets the gradient, both half of it on a tie."""
    if len(site.op.inputs) != 2:
        raise site.refuses("only two inputs are known here")
    b, beyond = site.b, "Greater" if site.op.kind == "Max" else "Less"
    found: list[str | None] = []
    for i in (0, 1):
        if not site.wants(i):
            found.append(None)
            continue
        mine, other = site.x(i), site.x(1 - i)
        tied = b.op("Where", b.op("Equal", mine, other), b.number(0.5), b.number(0.0))
        share = b.op("Where", b.op(beyond, mine, other), b.number(1.0), tied)
        found.append(site.summed_to(b.mul(site.g, share), i))
    return found


RULES: dict[str, Rule] = {
    "Abs": absolute,
    "Add": add,
    "Cast": cast,
    "CastLike": cast,
    "Div": div,
    "Dropout": same,
    "Exp": exponential,
    "Identity": same,
    "Log": logarithm,
    "Max": extremum,
    "Min": extremum,
    "Mul": mul,
    "Neg": negative,
    "Pow": power,
    "Reciprocal": reciprocal,
    "Sqrt": square_root,
    "Sub": sub,
    "Sum": add,
    "Where": where,
}

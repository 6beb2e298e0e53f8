"""Activation functions. Those with a 0/1 slope are masked from their output.

A mask taken from the output lets the input go as soon as the output is there, and one HardSigmoid
of slope 2¹⁰⁰ makes it in one pass. Between 0 and 8e-31 such a mask is partly open, which is below
anything that float32 training can tell from zero.
"""

from math import log, pi, sqrt

import numpy as np

from coordinator.compiler.site import Gradients, Rule, Site


def relu(site: Site) -> Gradients:
    """Y = max(x, 0)."""
    return [site.b.mul(site.g, site.b.positive(site.y()))]


def leaky_relu(site: Site) -> Gradients:
    """Y = x above zero, αx below."""
    b, alpha = site.b, site.op.number("alpha", 0.01)
    return [b.op("Where", _above(site, 0.0), site.g, b.mul(site.g, b.number(alpha)))]


def prelu(site: Site) -> Gradients:
    """Y = x above zero, sx below: ds = Σ g x over the elements below."""
    b, above = site.b, _above(site, 0.0)
    dx = b.op("Where", above, site.g, b.mul(site.g, site.x(1))) if site.wants(0) else None
    if not site.wants(1):
        return [dx]
    below = b.op("Where", above, b.number(0.0), b.mul(site.g, site.x(0)))
    return [dx, site.summed_to(below, 1)]


def clip(site: Site) -> Gradients:
    """Y = x held between two bounds: the gradient passes strictly inside."""
    b = site.b
    low, high = (
        float(site.must_be_constant(i, "a bound").reshape(())) if site.has(i) else infinite
        for i, infinite in ((1, -np.inf), (2, np.inf))
    )
    if low >= high:
        raise site.refuses(f"the bounds {low} and {high} leave nothing between")
    inside = site.g
    if np.isfinite(low) and np.isfinite(high):
        y = site.y()
        from_low = y if low == 0.0 else b.sub(y, b.number(low))
        room = b.mul(from_low, b.sub(b.number(high), y))
        return [b.mul(inside, b.positive(room))]
    if np.isfinite(low):
        inside = b.op("Where", _above(site, low), inside, b.number(0.0))
    if np.isfinite(high):
        inside = b.op("Where", b.op("Less", site.x(), b.number(high)), inside, b.number(0.0))
    return [inside]


def sigmoid(site: Site) -> Gradients:
    """Y = 1 / (1 + e⁻ˣ): dx = g y (1 - y)."""
    b, y = site.b, site.y()
    return [b.mul(site.g, b.mul(y, b.sub(b.number(1.0), y)))]


def tanh(site: Site) -> Gradients:
    """Y = tanh x: dx = g (1 - y²)."""
    b, y = site.b, site.y()
    return [b.mul(site.g, b.sub(b.number(1.0), b.mul(y, y)))]


def softplus(site: Site) -> Gradients:
    """Y = ln(1 + eˣ): dx = g sigmoid x."""
    return [site.b.mul(site.g, site.b.op("Sigmoid", site.x()))]


def elu(site: Site) -> Gradients:
    """Y = x above zero, α (eˣ - 1) below, where dx = g (y + α)."""
    b, alpha = site.b, site.op.number("alpha", 1.0)
    below = b.mul(site.g, b.add(site.y(), b.number(alpha)))
    return [b.op("Where", _above(site, 0.0), site.g, below)]


def erf(site: Site) -> Gradients:
    """Y = erf x: dx = g 2/√π exp(-x²)."""
    b, x = site.b, site.x()
    bell = b.op("Exp", b.op("Neg", b.mul(x, x)))
    return [b.mul(site.g, b.mul(bell, b.number(2 / sqrt(pi))))]


def gelu(site: Site) -> Gradients:
    """Y = x Φ(x): dx = g (Φ(x) + x φ(x)).

    Source: Hendrycks and Gimpel 2016, arXiv:1606.08415; the tanh form is their approximation.
    """
    b, x = site.b, site.x()
    if site.op.text("approximate", "none") == "tanh":
        c = 0.044715
        x2 = b.mul(x, x)
        inner = b.mul(x, b.add(b.mul(x2, b.number(c)), b.number(1.0)))
        t = b.op("Tanh", b.mul(inner, b.number(sqrt(2 / pi))))
        slope = b.mul(
            b.sub(b.number(1.0), b.mul(t, t)),
            b.mul(b.add(b.mul(x2, b.number(3 * c)), b.number(1.0)), b.number(sqrt(2 / pi))),
        )
        whole = b.add(b.add(t, b.number(1.0)), b.mul(x, slope))
        return [b.mul(site.g, b.mul(whole, b.number(0.5)))]
    t = b.mul(x, b.number(sqrt(0.5)))
    below = b.op("HardSigmoid", b.op("Erf", t), alpha=0.5, beta=0.5)  # (1 + erf t) / 2, one pass
    # t / √π · exp(-t²), the factor inside the exponent: one pass less
    bell = b.op("Exp", b.sub(b.number(-log(pi) / 2), b.mul(t, t)))
    density = b.mul(t, bell)
    return [b.mul(site.g, b.add(below, density))]


def hard_sigmoid(site: Site) -> Gradients:
    """Y = αx + β held between 0 and 1."""
    b, y = site.b, site.y()
    inside = b.positive(b.mul(y, b.sub(b.number(1.0), y)))
    return [b.mul(b.mul(site.g, b.number(site.op.number("alpha", 0.2))), inside)]


def hard_swish(site: Site) -> Gradients:
    """Y = x HardSigmoid(x; 1/6, 1/2): slope x/3 + 1/2 between -3 and 3."""
    b, x = site.b, site.x()
    middle = b.add(b.mul(x, b.number(1 / 3)), b.number(0.5))
    above = b.op("Where", b.op("Greater", x, b.number(3.0)), b.number(1.0), middle)
    slope = b.op("Where", b.op("Less", x, b.number(-3.0)), b.number(0.0), above)
    return [b.mul(site.g, slope)]


def _above(site: Site, bound: float) -> str:
    """Write where the input is above a bound."""
    return site.b.op("Greater", site.x(), site.b.number(bound))


RULES: dict[str, Rule] = {
    "Clip": clip,
    "Elu": elu,
    "Erf": erf,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "LeakyRelu": leaky_relu,
    "PRelu": prelu,
    "Relu": relu,
    "Sigmoid": sigmoid,
    "Softplus": softplus,
    "Tanh": tanh,
}

"""Softmax along one axis: what attention is made of, beside matrix products."""

from coordinator.compiler.site import Gradients, Rule, Site


def softmax(site: Site) -> Gradients:
    """Y = softmax x: dx = y (g - Σ g y)."""
    b, y, axis = site.b, site.y(), site.axis(-1, len(site.shape()))
    weighted = b.reduce("ReduceSum", b.mul(site.g, y), [axis])
    return [b.mul(y, b.sub(site.g, weighted))]


def log_softmax(site: Site) -> Gradients:
    """Y = ln softmax x: dx = g - eʸ Σ g."""
    b, axis = site.b, site.axis(-1, len(site.shape()))
    total = b.reduce("ReduceSum", site.g, [axis])
    return [b.sub(site.g, b.mul(b.op("Exp", site.y()), total))]


RULES: dict[str, Rule] = {"LogSoftmax": log_softmax, "Softmax": softmax}

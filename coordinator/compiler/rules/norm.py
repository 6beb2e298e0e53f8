"""Normalisation: layer norm, and batch norm with the statistics it was deployed with.

Group and instance norm come here as layer norms (:mod:`coordinator.compiler.rewrites`). A batch
norm that would follow its batch is refused: its statistics are not a sum of gradients, and devices
would disagree about them.
"""

from coordinator.compiler.site import Gradients, Rule, Site


def batch_norm(site: Site) -> Gradients:
    """Y = s (x - m) / √(v + ε) + t with fixed m and v.

    dx = g s / √(v + ε); dt = Σ g; ds = (Σ g x - m Σ g) / √(v + ε).
    """
    if site.op.integer("training_mode", 0):
        raise site.refuses("fixed statistics only; train with GroupNorm", "training_mode")
    if site.wants(3) or site.wants(4):
        raise site.refuses("the running mean and variance are not trained by gradients")
    b, rank = site.b, len(site.shape())
    epsilon = b.number(site.op.number("epsilon", 1e-5))
    inverse = b.op("Reciprocal", b.op("Sqrt", b.add(site.x(4), epsilon)))
    dx = ds = dt = None
    if site.wants(0):
        factor = b.reshape(b.mul(inverse, site.x(1)), [-1] + [1] * (rank - 2))
        dx = b.mul(site.g, factor)
    others = [0, *range(2, rank)]
    if site.wants(1) or site.wants(2):
        dt = b.reduce("ReduceSum", site.g, others, keep=False)
    if site.wants(1) and dt is not None:
        both = b.reduce("ReduceSum", b.mul(site.g, site.x(0)), others, keep=False)
        ds = b.mul(inverse, b.sub(both, b.mul(site.x(3), dt)))
    return [dx, ds, dt if site.wants(2) else None]


def layer_norm(site: Site) -> Gradients:
    """Y = s x̂ + t, x̂ = (x - mean x) / std x over the last axes.

    dx = (h - mean h - x̂ mean(h x̂)) / std x with h = g s. Mean and inverse deviation are outputs
    that the forward operator can make, so neither is computed again.

    Source: Ba et al. 2016, arXiv:1607.06450.
    """
    b, shape = site.b, site.shape()
    first = site.axis(-1, len(shape))
    axes = list(range(first, len(shape)))
    statistics = (*shape[:first], *(1 for _ in axes))
    mean, inverse = (site.also_made(position, statistics) for position in (1, 2))
    normal = b.mul(b.sub(site.x(0), mean), inverse)
    dx = ds = dt = None
    if site.wants(0):
        h = b.mul(site.g, site.x(1))
        centre = b.reduce("ReduceMean", h, axes)
        along = b.reduce("ReduceMean", b.mul(h, normal), axes)
        dx = b.mul(inverse, b.sub(b.sub(h, centre), b.mul(normal, along)))
    if site.wants(1):
        ds = site.summed(b.mul(site.g, normal), shape, site.shape(1))
    if site.wants(2):
        dt = site.summed(site.g, shape, site.shape(2))
    return [dx, ds, dt]


RULES: dict[str, Rule] = {"BatchNormalization": batch_norm, "LayerNormalization": layer_norm}

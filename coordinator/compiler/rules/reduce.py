"""Sums, means and maxima over axes."""

from coordinator.compiler.graph import Shape
from coordinator.compiler.site import Gradients, Rule, Site, product


def total(site: Site) -> Gradients:
    """Y = Σ x: everything summed gets the gradient."""
    axes, kept = _reduced(site)
    return [_spread(site, _with_axes(site, site.g, kept), axes)]


def mean(site: Site) -> Gradients:
    """Y = Σ x / m."""
    axes, kept = _reduced(site)
    b, sizes = site.b, [site.shape()[axis] for axis in axes]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) == len(sizes):
        scaled = b.mul(site.g, b.number(1.0 / product(known)))
    else:  # a free length, such as that of a text
        counted = b.op("Gather", b.op("Shape", site.x()), b.ints(axes))
        count = b.op("Cast", b.op("ReduceProd", counted, keepdims=0), to=1)
        scaled = b.div(site.g, count)
    return [_spread(site, _with_axes(site, scaled, kept), axes)]


def total_of_squares(site: Site) -> Gradients:
    """Y = Σ x²: dx = 2 g x."""
    _, kept = _reduced(site)
    doubled = site.b.mul(_with_axes(site, site.g, kept), site.b.number(2.0))
    return [site.b.mul(site.x(), doubled)]


def length(site: Site) -> Gradients:
    """Y = √Σ x²: dx = g x / y, which a length of zero makes infinite."""
    _, kept = _reduced(site)
    ratio = site.b.div(_with_axes(site, site.g, kept), _with_axes(site, site.y(), kept))
    return [site.b.mul(site.x(), ratio)]


def largest(site: Site) -> Gradients:
    """Y = max x: those that are largest share the gradient evenly."""
    axes, kept = _reduced(site)
    b = site.b
    top = _with_axes(site, site.y(), kept)
    chosen = b.op("Cast", b.op("Equal", site.x(), top), to=1)
    share = b.div(_with_axes(site, site.g, kept), b.reduce("ReduceSum", chosen, axes))
    return [b.mul(chosen, share)]


def _reduced(site: Site) -> tuple[list[int], Shape]:
    """Return the axes that are reduced and the shape with them kept at size 1."""
    shape = site.shape()
    if site.has(1):
        axes = [int(a) % len(shape) for a in site.must_be_constant(1, "axes")]
    else:
        axes = [a % len(shape) for a in site.op.integers("axes", ())]
    if not axes and not site.op.integer("noop_with_empty_axes", 0):
        axes = list(range(len(shape)))
    return axes, tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def _with_axes(site: Site, x: str, kept: Shape) -> str:
    """Write a result of the reduction with its reduced axes at size 1."""
    if site.op.integer("keepdims", 1) or len(kept) == len(site.out_shape()):
        return x
    return site.in_shape(x, kept)


def _spread(site: Site, g: str, axes: list[int]) -> str:
    """Write the gradient as often as elements were reduced."""
    shape = site.shape()
    if all(isinstance(shape[axis], int) for axis in axes):
        wanted = [shape[a] if a in axes else 1 for a in range(len(shape))]
        return site.b.op("Expand", g, site.b.ints(site.sizes(tuple(wanted), "the sizes")))
    return site.b.op("Expand", g, site.b.op("Shape", site.x()))


RULES: dict[str, Rule] = {
    "ReduceL2": length,
    "ReduceMax": largest,
    "ReduceMean": mean,
    "ReduceSum": total,
    "ReduceSumSquare": total_of_squares,
}

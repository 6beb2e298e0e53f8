"""Pooling. Where windows tile the image, a MaxPool is undone without asking it for indices.

A MaxPool that writes indices takes eleven times as long as one that does not. The maximum is where
the input equals its window's maximum; the first such tap, as elsewhere, gets the gradient: taps are
ranked, and the match with the highest rank in its window is the first.
"""

import numpy as np

from coordinator.compiler.builder import STEEP
from coordinator.compiler.rules.conv_blocked import repeated
from coordinator.compiler.rules.geometry import Window, window
from coordinator.compiler.site import Gradients, Rule, Site, product


def global_average(site: Site) -> Gradients:
    """Y = mean of x over the image."""
    size = site.sizes(site.shape()[2:], "the image size")
    share = site.b.mul(site.g, site.b.number(1.0 / product(size)))
    return [site.b.op("Expand", share, site.b.ints([1, 1, *size]))]


def average(site: Site) -> Gradients:
    """Y = mean of x over a window: the gradient is spread evenly, and summed where they overlap."""
    at = window(site, site.op.integers("kernel_shape", ()))
    b = site.b
    inside = site.op.integer("count_include_pad", 0) or not any((*at.before, *at.after))
    if site.op.integer("ceil_mode", 0) and min(at.left_over) < 0:
        raise site.refuses("windows that reach beyond the image", "ceil_mode")
    taps = product(at.kernel)
    divisor = b.number(taps) if inside else b.constant(_taps_inside(at))
    g = b.div(site.g, divisor)
    if any(d != 1 for d in at.dilations):
        raise site.refuses("gaps inside the window", "dilations")
    spread = b.op(
        "ConvTranspose",
        b.reshape(g, [-1, 1, *at.out]),
        b.constant(np.ones((1, 1, *at.kernel), np.float32)),
        strides=at.strides,
        pads=(*at.before, *at.after),
        output_padding=at.left_over,
        kernel_shape=at.kernel,
    )
    return [site.like(spread)]


def _taps_inside(at: Window) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Count the taps of each window that lie on the image, not on its padding."""
    count = np.ones(at.out, np.float32)
    spans = zip(at.size, at.out, at.kernel, at.strides, at.before, strict=True)
    for axis, (size, out, kernel, stride, before) in enumerate(spans):
        first = np.arange(out) * stride - before
        here = np.minimum(first + kernel, size) - np.maximum(first, 0)
        shape = [1] * len(at.out)
        shape[axis] = out
        count *= here.reshape(shape)
    return count


def maximum(site: Site) -> Gradients:
    """Y = max of x over a window: the first maximum gets the gradient."""
    at = window(site, site.op.integers("kernel_shape", ()))
    if site.op.integer("storage_order", 0):
        raise site.refuses("only the usual order is known here", "storage_order")
    tiled = at.kernel == at.strides and not any((*at.before, *at.after, *at.left_over))
    if tiled and at.rank == 2 and max(at.dilations) == 1:
        return [_first_of_tile(site, at)]
    return [_by_index(site, at)]


def _first_of_tile(site: Site, at: Window) -> str:
    """Write the gradient at the first tap of each tile that equals the tile's maximum.

    Masks are HardSigmoids here too: of a difference that is never negative, and of one that is a
    half or more where it is positive.
    """
    b, taps = site.b, product(at.kernel)
    ranks = np.arange(taps, 0, -1, dtype=np.float32).reshape(at.kernel)
    # all images as channels of one sample, as in `repeated`
    images = [1, -1, *at.size]
    missing = b.sub(repeated(site, site.y(), at.out, at.kernel), site.x())
    match = b.op("HardSigmoid", missing, alpha=-STEEP, beta=1.0)
    ranked = b.mul(match, b.constant(np.tile(ranks, at.out)))
    top = b.op("MaxPool", b.reshape(ranked, images), kernel_shape=at.kernel, strides=at.strides)
    bound = repeated(site, b.sub(top, b.number(0.5)), at.out, at.kernel)
    first = b.positive(b.sub(ranked, bound))
    return b.mul(first, repeated(site, site.g, at.out, at.kernel))


def _by_index(site: Site, at: Window) -> str:
    """Write the gradient to the places that the forward pass remembers, summed on overlaps."""
    b, out = site.b, site.out_shape()
    (channels,) = site.sizes(out[1:2], "the number of channels")
    image, pooled = channels * product(at.size), channels * product(at.out)
    index = site.also_made(1, out)
    # indices count from the first sample on; here each sample counts for itself
    place = b.reshape(b.op("Mod", index, b.ints([image])), [-1, pooled])
    g = b.reshape(site.g, [-1, pooled])
    rows = b.op("Concat", b.op("Shape", g, start=0, end=1), b.ints([image]), axis=0)
    zeros = b.op("ConstantOfShape", rows)
    overlap = any(k > s for k, s in zip(at.kernel, at.strides, strict=True))
    return site.like(
        b.op(
            "ScatterElements",
            zeros,
            place,
            g,
            axis=1,
            reduction="add" if overlap else "none",
        )
    )


def global_maximum(site: Site) -> Gradients:
    """Y = max of x over the image: those that are largest share the gradient."""
    b = site.b
    axes = list(range(2, len(site.shape())))
    match = b.op("Cast", b.op("Equal", site.x(), site.y()), to=1)
    return [b.mul(match, b.div(site.g, b.reduce("ReduceSum", match, axes)))]


RULES: dict[str, Rule] = {
    "AveragePool": average,
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_maximum,
    "MaxPool": maximum,
}

"""Gradients of convolutions in the blocked layout of :mod:`coordinator.compiler.blocked`.

Each function returns None where its case does not fit, and the ordinary rule goes on.
"""

from itertools import product as every

import numpy as np

from coordinator.compiler.blocked import depthwise_kernel, fits, mirrored_kernel
from coordinator.compiler.builder import BLOCKED_DOMAIN
from coordinator.compiler.rules.geometry import Window
from coordinator.compiler.site import Site, product


def input_gradient(site: Site, at: Window, kernel: tuple[int, ...]) -> str | None:
    """Write dx as a blocked convolution of the gradient with the mirrored kernel."""
    b, block, groups = site.b, site.around.block, site.op.integer("group", 1)
    filters, channels = kernel[0], kernel[1] * groups
    if not fits(block, filters, channels, groups, at.rank) or any(d != 1 for d in at.dilations):
        return None
    g = site.g
    if (
        at.strides == (2, 2)
        and groups > 1
        and all(size == 2 * out for size, out in zip(at.size, at.out, strict=True))
    ):
        # between the gradients of a stride of two stand zeros: doubled, then combed
        comb = np.zeros(at.size, np.float32)
        comb[::2, ::2] = 1.0
        g = b.mul(repeated(site, g, at.out, (2, 2)), b.constant(comb))
        before, after = (
            tuple(r - p for r, p in zip(at.reach, at.before, strict=True)),
            at.before,
        )
    elif at.mirrored is not None:
        before, after = at.mirrored
    else:
        return None
    if min((*before, *after)) < 0:
        return None
    if groups > 1:
        axes = b.ints([2, 3])
        taps = b.op(
            "Slice", site.x(1), b.ints([-1, -1]), b.ints([-(2**31)] * 2), axes, b.ints([-1, -1])
        )
        weight = depthwise_kernel(b, taps, kernel, block)
    else:
        weight = mirrored_kernel(b, site.x(1), kernel, block)
    found = b.op(
        "Conv",
        b.blocked(g),
        weight,
        domain=BLOCKED_DOMAIN,
        pads=(*before, *after),
        group=groups,
        kernel_shape=at.kernel,
        strides=(1, 1),
    )
    return b.unblocked(found, channels)


def weight_gradient(site: Site, at: Window, kernel: tuple[int, ...]) -> str | None:
    """Write dw of a depthwise convolution: every tap multiplies runs of one block of channels."""
    b, block, channels = site.b, site.around.block, kernel[0]
    if not fits(block, channels, channels, channels, at.rank):
        return None
    # the layout's axes: samples with blocks of channels, height, width, channel within the block
    image = b.reshape(b.blocked(site.x(0)), [-1, *at.size, block])
    g = b.reshape(b.blocked(site.g), [-1, *at.out, block])
    image = _padded(site, at, image)
    sums = []
    for tap in every(*(range(k) for k in at.kernel)):
        first = [i * d for i, d in zip(tap, at.dilations, strict=True)]
        last = [f + (o - 1) * s + 1 for f, o, s in zip(first, at.out, at.strides, strict=True)]
        view = b.op("Slice", image, b.ints(first), b.ints(last), b.ints([1, 2]), b.ints(at.strides))
        rows = b.reshape(b.mul(view, g), [-1, product(at.out), block])
        sums.append(b.reduce("ReduceSum", rows, [1]))
    taps = product(at.kernel)
    by_block = b.op("Concat", *sums, axis=1) if taps > 1 else sums[0]
    by_sample = b.reshape(by_block, [-1, channels // block, taps, block])
    total = b.reduce("ReduceSum", by_sample, [0], keep=False)
    return b.reshape(b.transpose(total, [0, 2, 1]), kernel)


def repeated(site: Site, x: str, size: tuple[int, ...], times: tuple[int, ...]) -> str:
    """Write images of a size with every element repeated along the spatial axes.

    All samples and channels become one sample of many channels, whose number ONNX Runtime then does
    not know: it would bring images of whole blocks into its own layout and back for this.
    """
    b = site.b
    found = b.op(
        "Resize",
        b.reshape(x, [1, -1, *size]),
        "",
        b.constant(np.array([1, 1, *times], np.float32)),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    wide = [n * k for n, k in zip(size, times, strict=True)]
    return b.reshape(found, [-1, *site.sizes(site.shape()[1:2], "the channels"), *wide])


def _padded(site: Site, at: Window, image: str) -> str:
    """Write zeros around the spatial axes of an image in blocks."""
    reach = zip(at.size, at.out, at.strides, at.reach, at.before, strict=True)
    behind = [max(0, (o - 1) * s + r + 1 - n - before) for n, o, s, r, before in reach]
    if not any((*at.before, *behind)):
        return image
    return site.b.op("Pad", image, site.b.ints([0, *at.before, 0, 0, *behind, 0]))

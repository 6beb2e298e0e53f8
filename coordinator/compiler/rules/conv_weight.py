"""The gradient of a convolution's weight, one matrix product per tap of the kernel.

The usual way gathers every window into one matrix, which is as many times larger than the image as
the kernel has taps. Here each tap is a shifted view of the image and one product with the gradient:
faster on wide layers, and the large matrix never exists.
"""

from itertools import product as every

from coordinator.compiler.rules import conv_blocked
from coordinator.compiler.rules.geometry import Window
from coordinator.compiler.site import Site, product

# with fewer channels a product per tap is too thin, and one over gathered windows is faster
_THIN = 8


def gradient(site: Site, at: Window, kernel: tuple[int, ...]) -> str:
    """Write dw in the shape of the kernel."""
    groups = site.op.integer("group", 1)
    channels = kernel[1] * groups
    if groups == 1:
        return _dense(site, at, kernel)
    if groups == channels == kernel[0]:
        quick = conv_blocked.weight_gradient(site, at, kernel)
        return quick or _each_channel(site, at, kernel)
    return _grouped(site, at, kernel, groups)


def _dense(site: Site, at: Window, kernel: tuple[int, ...]) -> str:
    """Write dw of an ungrouped convolution."""
    b, filters, channels = site.b, kernel[0], kernel[1]
    channels_first = [1, 0, *at.axes]
    g = b.reshape(b.transpose(site.g, channels_first), [filters, -1])
    if at.pointwise:
        x = b.reshape(b.transpose(site.x(0), channels_first), [channels, -1])
        matrix = b.op("Gemm", g, x, transB=1)
        b.matrices[matrix] = (filters, channels)
        return b.reshape(matrix, kernel)
    image = b.transpose(padded(site, at, site.x(0), at.axes, 2 + at.rank), channels_first)
    views = [
        b.reshape(shifted(site, at, image, tap, at.axes), [channels, -1])
        for tap in every(*(range(k) for k in at.kernel))
    ]
    if channels >= _THIN:
        taps = [b.reshape(b.op("Gemm", g, v, transB=1), [filters, channels, 1]) for v in views]
        return b.reshape(b.op("Concat", *taps, axis=2) if len(taps) > 1 else taps[0], kernel)
    windows = b.op("Concat", *views, axis=0) if len(views) > 1 else views[0]
    by_tap = b.reshape(b.op("Gemm", g, windows, transB=1), [filters, *at.kernel, channels])
    return b.transpose(by_tap, [0, 1 + at.rank, *range(1, 1 + at.rank)])


def _each_channel(site: Site, at: Window, kernel: tuple[int, ...]) -> str:
    """Write dw of a depthwise convolution: one sum of products per tap and channel."""
    b, channels = site.b, kernel[0]
    image = padded(site, at, site.x(0), at.axes, 2 + at.rank)
    sums = []
    for tap in every(*(range(k) for k in at.kernel)):
        view = b.mul(shifted(site, at, image, tap, at.axes), site.g)
        rows = b.reshape(view, [-1, channels, product(at.out)])
        sums.append(b.reduce("ReduceSum", rows, [2]))
    by_sample = b.op("Concat", *sums, axis=2) if len(sums) > 1 else sums[0]
    return b.reshape(b.reduce("ReduceSum", by_sample, [0], keep=False), kernel)


def _grouped(site: Site, at: Window, kernel: tuple[int, ...], groups: int) -> str:
    """Write dw as a convolution of the image with the gradient, samples and channels exchanged.

    Strides become dilations and dilations strides: that is what the chain rule makes of them.
    """
    b, channels = site.b, kernel[1]
    image = b.reshape(site.x(0), [-1, groups, channels, *at.size])
    image = b.transpose(image, [2, 1, 0, *(axis + 1 for axis in at.axes)])
    image = b.reshape(image, [channels, -1, *at.size])
    g = b.transpose(site.g, [1, 0, *at.axes])
    found = b.op(
        "Conv",
        image,
        g,
        strides=at.dilations,
        dilations=at.strides,
        pads=(*at.before, *at.after),
        group=groups,
    )
    # where the stride left a remainder the result has rows too many
    cut = b.op("Slice", found, b.ints([0] * at.rank), b.ints(at.kernel), b.ints(at.axes))
    return b.transpose(cut, [1, 0, *at.axes])


def padded(site: Site, at: Window, x: str, axes: list[int], rank: int) -> str:
    """Write the image with its padding as zeros; axes says where its spatial axes are."""
    reach = zip(at.size, at.out, at.strides, at.reach, at.before, strict=True)
    behind = [max(0, (o - 1) * s + r + 1 - n - before) for n, o, s, r, before in reach]
    if not any((*at.before, *behind)):
        return x
    front, back = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        front[axis], back[axis] = at.before[i], behind[i]
    return site.b.op("Pad", x, site.b.ints(front + back))


def shifted(site: Site, at: Window, image: str, tap: tuple[int, ...], axes: list[int]) -> str:
    """Write what one tap of the kernel sees: a strided view of the padded image."""
    b = site.b
    first = [i * d for i, d in zip(tap, at.dilations, strict=True)]
    last = [f + (o - 1) * s + 1 for f, o, s in zip(first, at.out, at.strides, strict=True)]
    return b.op("Slice", image, b.ints(first), b.ints(last), b.ints(axes), b.ints(at.strides))

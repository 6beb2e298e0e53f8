"""Convolution over one to three axes, grouped, dilated, strided: the gradient of its input.

Three ways, by what is fastest on ONNX Runtime's kernels: a matrix product where the kernel is a
point; ConvTranspose, which is the gradient by definition, for dense kernels and strides; and a Conv
with the kernel mirrored for the rest, because grouped ConvTranspose is slow.
"""

from coordinator.compiler.rules import conv_blocked, conv_weight
from coordinator.compiler.rules.geometry import Window, window
from coordinator.compiler.site import Gradients, Rule, Site, product

# below this many taps per output a ConvTranspose is slower than a Conv with the kernel mirrored
_FEW_TAPS = 64


def conv(site: Site) -> Gradients:
    """Y = x * w + c: dx = g ⋆ w, dw = x ⋆ g, dc = Σ g."""
    kernel = site.sizes(site.shape(1), "the kernel")
    at = window(site, kernel[2:])
    return [
        input_gradient(site, at, kernel) if site.wants(0) else None,
        conv_weight.gradient(site, at, kernel) if site.wants(1) else None,
        site.b.reduce("ReduceSum", site.g, [0, *at.axes], keep=False) if site.wants(2) else None,
    ]


def input_gradient(site: Site, at: Window, kernel: tuple[int, ...]) -> str:
    """Write dx."""
    b, groups = site.b, site.op.integer("group", 1)
    filters, taps = kernel[0], product(at.kernel)
    channels = kernel[1] * groups
    if at.pointwise and groups == 1:
        across = b.transpose(b.reshape(site.x(1), [filters, channels]), [1, 0])
        product_ = b.op("MatMul", across, b.reshape(site.g, [-1, filters, product(at.out)]))
        return site.like(product_)
    quick = conv_blocked.input_gradient(site, at, kernel)
    if quick is not None:
        return quick
    if at.mirrored is not None and (groups > 1 or channels * taps < _FEW_TAPS or taps == 1):
        before, after = at.mirrored
        return b.op(
            "Conv",
            site.g,
            mirrored(site, at, kernel, groups),
            pads=(*before, *after),
            dilations=at.dilations,
            group=groups,
            kernel_shape=at.kernel,
        )
    return b.op(
        "ConvTranspose",
        site.g,
        site.x(1),
        strides=at.strides,
        pads=(*at.before, *at.after),
        dilations=at.dilations,
        group=groups,
        output_padding=at.left_over,
        kernel_shape=at.kernel,
    )


def mirrored(site: Site, at: Window, kernel: tuple[int, ...], groups: int) -> str:
    """Write the kernel with inputs and outputs exchanged within each group, taps reversed."""
    b, rank, weight = site.b, at.rank, site.x(1)
    filters, channels = kernel[0] // groups, kernel[1]
    if groups == 1:
        weight = b.transpose(weight, [1, 0, *at.axes])
    elif filters > 1 or channels > 1:
        weight = b.reshape(weight, [groups, filters, channels, *at.kernel])
        weight = b.transpose(weight, [0, 2, 1, *range(3, 3 + rank)])
        weight = b.reshape(weight, [groups * channels, filters, *at.kernel])
    return reversed_taps(site, at, weight)


def reversed_taps(site: Site, at: Window, weight: str) -> str:
    """Write a kernel with its taps in reverse order along every spatial axis."""
    axes = [axis for axis, k in zip(at.axes, at.kernel, strict=True) if k > 1]
    if not axes:
        return weight
    b, n = site.b, len(axes)
    return b.op(
        "Slice", weight, b.ints([-1] * n), b.ints([-(2**31)] * n), b.ints(axes), b.ints([-1] * n)
    )


RULES: dict[str, Rule] = {"Conv": conv}

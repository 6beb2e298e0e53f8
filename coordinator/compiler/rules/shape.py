"""Operators that move elements and compute nothing: the gradient is moved back."""

from coordinator.compiler.site import Gradients, Rule, Site


def reshape(site: Site) -> Gradients:
    """Another shape, the same elements: Reshape, Flatten, Squeeze, Unsqueeze."""
    return [site.like(site.g)]


def transpose(site: Site) -> Gradients:
    """Axes in another order."""
    rank = len(site.shape())
    order = site.op.integers("perm", range(rank)[::-1])
    return [site.b.transpose(site.g, [order.index(axis) for axis in range(rank)])]


def concat(site: Site) -> Gradients:
    """Tensors side by side: each gets its part."""
    axis = site.axis(0, len(site.out_shape()))
    sizes = site.sizes(
        tuple(site.shape(i)[axis] for i in range(len(site.op.inputs))), "the joined sizes"
    )
    if len(sizes) == 1:
        return [site.g]
    return site.b.ops("Split", site.g, site.b.ints(sizes), outputs=len(sizes), axis=axis)


def split(site: Site) -> Gradients:
    """Parts of a tensor: their gradients side by side, zeros where nobody learns."""
    parts = [g or site.b.mul(site.y(i), site.b.number(0.0)) for i, g in enumerate(site.upstream)]
    axis = site.axis(0, len(site.shape()))
    return [site.b.op("Concat", *parts, axis=axis)]


def slice_(site: Site) -> Gradients:
    """A range along some axes: the gradient is padded with zeros."""
    starts, ends = (site.must_be_constant(i, what) for i, what in ((1, "starts"), (2, "ends")))
    rank = len(site.shape())
    axes = site.must_be_constant(3, "axes") if site.has(3) else range(len(starts))
    if site.has(4) and (site.must_be_constant(4, "steps") != 1).any():
        raise site.refuses("a step other than 1 is not known here")
    before, after = [0] * rank, [0] * rank
    for axis, start, end in zip(axes, starts, ends, strict=True):
        at = int(axis) % rank
        (size,) = site.sizes((site.shape()[at],), "the sliced size")
        first, last = _within(int(start), size), _within(int(end), size)
        before[at], after[at] = first, size - max(first, last)
    return [site.b.op("Pad", site.g, site.b.ints(before + after))]


def _within(position: int, size: int) -> int:
    """Return a position counted from the front, held inside the axis."""
    return min(max(position + size if position < 0 else position, 0), size)


def pad(site: Site) -> Gradients:
    """Constants around a tensor: the gradient is cut back."""
    if site.op.text("mode", "constant") != "constant":
        raise site.refuses("only constants can be put around", "mode")
    rank = len(site.shape())
    amounts = [int(n) for n in site.must_be_constant(1, "the amounts")]
    axes = [int(a) % rank for a in site.must_be_constant(3, "axes")] if site.has(3) else range(rank)
    if min(amounts, default=0) < 0:
        raise site.refuses("negative amounts cut off; use Slice")
    half, b = len(amounts) // 2, site.b
    sides = [(a, low, high) for a, low, high in zip(axes, amounts, amounts[half:], strict=False)]
    touched = [side for side in sides if side[1] or side[2]]
    if not touched:
        return [site.g]
    return [
        b.op(
            "Slice",
            site.g,
            b.ints([low for _, low, _ in touched]),
            b.ints([-high if high else 2**62 for _, _, high in touched]),
            b.ints([axis for axis, _, _ in touched]),
        )
    ]


def expand(site: Site) -> Gradients:
    """One tensor many times: the sum over its copies."""
    return [site.summed_to(site.g, 0)]


def gather(site: Site) -> Gradients:
    """Rows looked up in a trained table, or one position picked along an axis."""
    b, shape = site.b, site.shape()
    axis = site.axis(0, len(shape))
    picked = site.constant(1)
    if picked is not None and picked.ndim == 0:
        (size,) = site.sizes((shape[axis],), "the size picked from")
        before, after = [0] * len(shape), [0] * len(shape)
        before[axis] = int(picked) % size
        after[axis] = size - 1 - before[axis]
        return [b.op("Pad", b.op("Unsqueeze", site.g, b.ints([axis])), b.ints(before + after))]
    if axis != 0 or not site.around.trained(site.op.inputs[0]):
        raise site.refuses("only rows of a trained table, or one position, are known here")
    table = site.sizes(shape, "the table")
    rows = b.op("Unsqueeze", b.reshape(site.x(1), [-1]), b.ints([1]))
    zeros = b.op("ConstantOfShape", b.ints(table))
    values = b.reshape(site.g, [-1, *table[1:]])
    return [b.op("ScatterND", zeros, rows, values, reduction="add")]


RULES: dict[str, Rule] = {
    "Concat": concat,
    "Expand": expand,
    "Flatten": reshape,
    "Gather": gather,
    "Pad": pad,
    "Reshape": reshape,
    "Slice": slice_,
    "Split": split,
    "Squeeze": reshape,
    "Transpose": transpose,
    "Unsqueeze": reshape,
}

"""ONNX Runtime's blocked image layout, for convolutions whose weight is trained.

ONNX Runtime keeps images as blocks of 8 or 16 channels, but only where the weight is a constant; in
a train step it never is, and every convolution takes the slow path. So the reordering is written
into the graph: ReorderInput, Conv and ReorderOutput of its own domain, which its wheel carries.

That domain promises nothing. The block is the processor's (16 floats with AVX-512), and a graph
with the wrong one loads, runs, and is wrong without a word. So a blocked step never travels alone:
the device compares one step with the standard graph's and keeps the blocked one only if they agree.
"""

from coordinator.compiler.builder import BLOCKED_DOMAIN, Builder
from coordinator.compiler.graph import Operation, Shape


def fits(block: int, filters: int, channels: int, groups: int, rank: int) -> bool:
    """Say whether a convolution has a blocked kernel: whole blocks, dense or depthwise, 2-D."""
    whole = block > 0 and filters % block == 0 and channels % block == 0
    return whole and rank == 2 and (groups == 1 or groups == channels == filters)


def forward(b: Builder, op: Operation, shape: Shape, kernel: Shape, block: int) -> bool:
    """Write a convolution in blocks; say whether it was.

    Args:
        b: Where to write.
        op: The convolution.
        shape: Of its input.
        kernel: Shape of its weight.
        block: Channels in a block; 0 writes nothing.
    """
    groups = op.attributes.get("group", 1)
    sizes = tuple(size for size in kernel if isinstance(size, int))
    if len(sizes) != 4 or not isinstance(groups, int) or not isinstance(shape[1], int):
        return False
    pointwise = sizes[2:] == (1, 1)
    if op.attributes.get("auto_pad", "NOTSET") != "NOTSET" or (groups == 1 and pointwise):
        return False
    if not fits(block, sizes[0], shape[1], groups, len(sizes) - 2):
        return False
    if groups == 1:
        weight = dense_kernel(b, op.inputs[1], sizes, block)
    else:
        weight = depthwise_kernel(b, op.inputs[1], sizes, block)
    made = b.name("Conv")
    b.operations.append(
        Operation(
            kind="Conv",
            inputs=(b.blocked(op.inputs[0]), weight, *op.inputs[2:]),
            outputs=(made,),
            attributes={key: value for key, value in op.attributes.items() if key != "auto_pad"},
            domain=BLOCKED_DOMAIN,
        )
    )
    b.op("ReorderOutput", made, output=op.outputs[0], domain=BLOCKED_DOMAIN, channels=sizes[0])
    return True


def depthwise_kernel(b: Builder, weight: str, kernel: tuple[int, ...], block: int) -> str:
    """Write a depthwise kernel in blocks: taps before channels of a block."""
    taps = kernel[2] * kernel[3]
    parts = b.transpose(b.reshape(weight, [kernel[0] // block, block, taps]), [0, 2, 1])
    return b.reshape(parts, kernel)


def dense_kernel(b: Builder, weight: str, kernel: tuple[int, ...], block: int) -> str:
    """Write a dense kernel in blocks: by block of filters, block of channels, tap, channel, filter.

    In two steps, because ONNX Runtime transposes matrices, and runs of a whole block, ten times
    faster than single elements.
    """
    filters, channels = kernel[0], kernel[1]
    taps = kernel[2] * kernel[3]
    rows = b.reshape(weight, [filters // block, block, channels * taps])
    by_filter = b.transpose(rows, [0, 2, 1])
    parts = b.reshape(by_filter, [filters // block, channels // block, block, taps, block])
    return b.reshape(b.transpose(parts, [0, 1, 3, 2, 4]), kernel)


def mirrored_kernel(b: Builder, weight: str, kernel: tuple[int, ...], block: int) -> str:
    """Write a dense kernel in blocks with filters and channels exchanged and taps reversed."""
    filters, channels = kernel[0], kernel[1]
    taps = kernel[2] * kernel[3]
    by_tap = b.transpose(b.reshape(weight, [filters, channels, taps]), [0, 2, 1])
    back = b.op("Slice", by_tap, b.ints([-1]), b.ints([-(2**31)]), b.ints([1]), b.ints([-1]))
    parts = b.reshape(back, [filters // block, block, taps, channels // block, block])
    return b.reshape(b.transpose(parts, [3, 0, 2, 1, 4]), [channels, filters, *kernel[2:]])

"""Where the window of a convolution or pool lies: strides, dilations and pads as numbers."""

from dataclasses import dataclass

from coordinator.compiler.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The sliding window of one operation; every tuple has an entry for each spatial axis.

    Attributes:
        size: Of the input.
        out: Of the output.
        kernel: Extent of the window, in taps.
        strides: Between windows.
        dilations: Between taps.
        before: Padding in front.
        after: Padding behind.
    """

    size: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.size)

    @property
    def axes(self) -> list[int]:
        """The spatial axes of an image whose first two are sample and channel."""
        return list(range(2, 2 + self.rank))

    @property
    def reach(self) -> tuple[int, ...]:
        """From the first tap to the last."""
        return tuple(d * (k - 1) for d, k in zip(self.dilations, self.kernel, strict=True))

    @property
    def plain(self) -> bool:
        """Whether the window moves by one, without gaps."""
        return all(step == 1 for step in (*self.strides, *self.dilations))

    @property
    def pointwise(self) -> bool:
        """Whether every output sees exactly the input at its own place."""
        ones = (*self.kernel, *self.strides)
        return all(n == 1 for n in ones) and not any((*self.before, *self.after))

    @property
    def left_over(self) -> tuple[int, ...]:
        """How much of the input no window reaches, behind."""
        return tuple(
            size - ((out - 1) * stride - before - after + reach + 1)
            for size, out, stride, before, after, reach in zip(
                self.size, self.out, self.strides, self.before, self.after, self.reach, strict=True
            )
        )

    @property
    def mirrored(self) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Padding under which the mirrored window gives the input's size back; None if negative."""
        before = tuple(r - b for r, b in zip(self.reach, self.before, strict=True))
        after = tuple(
            size - out + reach - b
            for size, out, reach, b in zip(self.size, self.out, self.reach, before, strict=True)
        )
        if any(stride != 1 for stride in self.strides) or min((*before, *after)) < 0:
            return None
        return before, after


def window(site: Site, kernel: tuple[int, ...]) -> Window:
    """Return the window of an operation whose first input and output are images.

    Raises:
        InputError: sizes are only known at run time, or the operation contradicts itself.
    """
    size = site.sizes(site.shape()[2:], "the image size")
    out = site.sizes(site.out_shape()[2:], "the image size")
    rank = len(size)
    if not 1 <= rank <= 3 or len(kernel) != rank:
        raise site.refuses(f"images of {rank} axes under a window of {len(kernel)}")
    strides = site.op.integers("strides", [1] * rank)
    dilations = site.op.integers("dilations", [1] * rank)
    pads = site.op.integers("pads", [0] * 2 * rank)
    match site.op.text("auto_pad", "NOTSET"):
        case "NOTSET":
            pass
        case "VALID":
            pads = (0,) * 2 * rank
        case "SAME_UPPER" | "SAME_LOWER" as rule:
            spans = zip(size, out, strides, dilations, kernel, strict=True)
            total = [max((o - 1) * s + d * (k - 1) + 1 - n, 0) for n, o, s, d, k in spans]
            small, large = [n // 2 for n in total], [n - n // 2 for n in total]
            pads = (*small, *large) if rule == "SAME_UPPER" else (*large, *small)
        case _:
            raise site.refuses("is not known here", "auto_pad")
    return Window(
        size=size,
        out=out,
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        before=pads[:rank],
        after=pads[rank:],
    )

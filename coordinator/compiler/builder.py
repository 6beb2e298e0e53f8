"""Writing operations one after another, with constants that are kept once."""

from collections.abc import Sequence

import numpy as np

from coordinator.compiler.graph import Array, Attribute, Operation

#: ONNX Runtime's own layout of images; see :mod:`coordinator.compiler.blocked`.
BLOCKED_DOMAIN = "com.microsoft.nchwc"
#: Slope of a HardSigmoid that is 1 above zero and 0 below: the 0/1 mask of a Relu in one operator,
#: where comparing, casting and choosing would pass over the data three times.
STEEP = 2.0**100
_PREFIX = "step/"


class Builder:
    """The operations written so far."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.operations: list[Operation] = []
        self.constants: dict[str, Array] = {}
        #: Shapes of products that are reshaped before anybody reads them.
        self.matrices: dict[str, tuple[int, int]] = {}
        self._constant_names: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._blocked: dict[str, str] = {}
        self._count = 0

    def op(
        self,
        kind: str,
        *inputs: str,
        output: str | None = None,
        domain: str = "",
        **attributes: Attribute,
    ) -> str:
        """Write an operation with one output and return the output's name."""
        return self.ops(
            kind, *inputs, outputs=(output or self.name(kind),), domain=domain, **attributes
        )[0]

    def ops(
        self,
        kind: str,
        *inputs: str,
        outputs: Sequence[str] | int,
        domain: str = "",
        **attributes: Attribute,
    ) -> tuple[str, ...]:
        """Write an operation with several outputs, given by name or number; return their names."""
        if isinstance(outputs, int):
            outputs = [self.name(kind) for _ in range(outputs)]
        names = tuple(outputs)
        self.operations.append(
            Operation(kind=kind, inputs=inputs, outputs=names, attributes=attributes, domain=domain)
        )
        return names

    def name(self, hint: str) -> str:
        """Return a name nobody has."""
        self._count += 1
        return f"{_PREFIX}{hint.lower()}_{self._count}"

    def constant(self, array: Array) -> str:
        """Return the name of a constant, the same for the same contents."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constant_names:
            self._constant_names[key] = name = self.name("constant")
            self.constants[name] = array
        return self._constant_names[key]

    def number(self, value: float) -> str:
        """Return a float32 scalar."""
        return self.constant(np.asarray(value, np.float32))

    def ints(self, values: Sequence[int]) -> str:
        """Return a vector of int64."""
        return self.constant(np.asarray(values, np.int64))

    # What rules are made of; each is one operator.

    def add(self, left: str, right: str) -> str:
        """Write left + right."""
        return self.op("Add", left, right)

    def sub(self, left: str, right: str) -> str:
        """Write left - right."""
        return self.op("Sub", left, right)

    def mul(self, left: str, right: str) -> str:
        """Write left * right, element by element."""
        return self.op("Mul", left, right)

    def div(self, left: str, right: str) -> str:
        """Write left / right."""
        return self.op("Div", left, right)

    def total(self, names: Sequence[str]) -> str:
        """Write the sum of tensors of one shape."""
        if len(names) == 1:
            return names[0]
        return self.op("Add" if len(names) == 2 else "Sum", *names)

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Write the same elements in another shape."""
        return self.op("Reshape", x, self.ints(shape))

    def transpose(self, x: str, order: Sequence[int]) -> str:
        """Write x with its axes in another order."""
        return self.op("Transpose", x, perm=tuple(order))

    def reduce(self, kind: str, x: str, axes: Sequence[int], *, keep: bool = True) -> str:
        """Write a reduction over some axes."""
        return self.op(kind, x, self.ints(axes), keepdims=int(keep))

    def positive(self, x: str) -> str:
        """Write 1 where x is above zero and 0 elsewhere, in one pass."""
        return self.op("HardSigmoid", x, alpha=STEEP, beta=0.0)

    def blocked(self, x: str) -> str:
        """Write x in the blocked layout; once, however many read it."""
        if x not in self._blocked:
            self._blocked[x] = self.op("ReorderInput", x, domain=BLOCKED_DOMAIN)
        return self._blocked[x]

    def unblocked(self, x: str, channels: int) -> str:
        """Write x in the usual layout again."""
        return self.op("ReorderOutput", x, domain=BLOCKED_DOMAIN, channels=channels)

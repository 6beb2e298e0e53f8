"""Which rule differentiates which operator."""

from collections.abc import Mapping

from coordinator.compiler.rules import (
    activation,
    conv,
    elementwise,
    matmul,
    norm,
    pool,
    reduce,
    shape,
    softmax,
)
from coordinator.compiler.site import Rule

RULES: Mapping[str, Rule] = {
    **activation.RULES,
    **conv.RULES,
    **elementwise.RULES,
    **matmul.RULES,
    **norm.RULES,
    **pool.RULES,
    **reduce.RULES,
    **shape.RULES,
    **softmax.RULES,
}

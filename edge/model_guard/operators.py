"""The operators a device runs, by family, and which of their inputs decide about a size.

All are of the standard set, and none asks for more than its inputs show: no loops or branches, no
text, no random numbers, no files, and no output whose shape depends on values (`NonZero`, `Unique`,
`Compress`, `NonMaxSuppression`). So once the inputs of :data:`GROWING` and :data:`SHAPING` are seen
to be constants or sizes, what a run costs is decided by how many items there are.

Source: https://onnx.ai/onnx/operators/, sets 13 to 24.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Final

IR_VERSIONS: Final = range(7, 14)
OPSETS: Final = range(13, 25)
DOMAINS: Final = ("", "ai.onnx")  # two names of the standard set

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "arithmetic": (
        "Abs", "Add", "Ceil", "Clip", "CumSum", "Div", "Exp", "Floor", "Log", "Max", "Mean", "Min",
        "Mod", "Mul", "Neg", "Pow", "Reciprocal", "Round", "Sign", "Sqrt", "Sub", "Sum",
    ),
    "trigonometry": (
        "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cos", "Cosh", "Erf", "Sin", "Sinh",
        "Tan", "Tanh",
    ),
    "logic": (
        "And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not",
        "Or", "Where", "Xor",
    ),
    "activations": (
        "Celu", "Elu", "Gelu", "HardSigmoid", "HardSwish", "Hardmax", "LeakyRelu", "LogSoftmax",
        "Mish", "PRelu", "Relu", "Selu", "Shrink", "Sigmoid", "Softmax", "Softplus", "Softsign",
        "Swish", "ThresholdedRelu",
    ),
    "matrices": ("Einsum", "Gemm", "MatMul", "Trilu"),
    "convolution and pooling": (
        "AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "GlobalLpPool",
        "GlobalMaxPool", "LpPool", "MaxPool", "MaxUnpool",
    ),
    "normalisation": (
        "BatchNormalization", "Dropout", "GroupNormalization", "InstanceNormalization", "LRN",
        "LayerNormalization", "LpNormalization", "MeanVarianceNormalization", "RMSNormalization",
    ),
    "attention and recurrence": ("Attention", "GRU", "LSTM", "RNN", "RotaryEmbedding"),
    "reduction": (
        "ArgMax", "ArgMin", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
        "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "TopK",
    ),
    "shape": (
        "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "Expand", "EyeLike", "Flatten",
        "Identity", "OneHot", "Pad", "Range", "Reshape", "Resize", "Shape", "Size", "Slice",
        "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    ),
    "picking": (
        "Gather", "GatherElements", "GatherND", "ReverseSequence", "ScatterElements", "ScatterND",
    ),
    "types and quantisation": (
        "Cast", "CastLike", "ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear",
        "MatMulInteger", "QLinearConv", "QLinearMatMul", "QuantizeLinear",
    ),
    "losses of train steps": ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"),
}  # fmt: skip
OPERATORS: Final = frozenset(chain.from_iterable(FAMILIES.values()))

OF_STEPS: Final = frozenset({"NonZero"})
"""What train steps may use besides. A depth gate takes the samples out that it stops: at most as
many stay as came in, and :mod:`edge.model_guard.sizes` sees to it that nobody counts them."""

GROWING: Final[Mapping[str, tuple[int, ...]]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "MaxUnpool": (2,),
    "OneHot": (1,),
    "Pad": (1,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "Tile": (1,),
}
"""Inputs that say how much larger than the others an output is."""

SHAPING: Final[Mapping[str, tuple[int, ...]]] = {
    "Pad": (3,),
    "ReduceL1": (1,),
    "ReduceL2": (1,),
    "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceProd": (1,),
    "ReduceSum": (1,),
    "ReduceSumSquare": (1,),
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "TopK": (1,),
    "Unsqueeze": (1,),
}
"""Inputs that say which shape an output has, and cannot make it larger than the others."""

"""Soft-target cross-entropy with a weight for each sample, and its gradient at the logits.

    loss = Σᵢ wᵢ · (-Σⱼ tᵢⱼ ln softmax(zᵢ)ⱼ) / Σᵢ wᵢ        dz = w / Σ w · (softmax(z) Σⱼ t - t)

Targets are probabilities of the label model as well as answers of people, so they are soft; their
rows need not sum to one.
"""

from collections.abc import Callable, Mapping

from coordinator.compiler.builder import Builder

TARGET, WEIGHT, LOSS = "target", "weight", "loss"
WEIGHT_SUM = "weight_sum"
# a batch that weighs nothing has loss and gradient 0 instead of 0/0
_LEAST_WEIGHT = 1e-12


#: Writes the loss of some logits and returns the gradient at them; divides by the given total
#: weight, or by the batch's own.
Loss = Callable[[Builder, str, str | None], str]


def soft_cross_entropy(b: Builder, logits: str, total_weight: str | None = None) -> str:
    """Write the loss; return the gradient at the logits.

    Args:
        b: Where to write.
        logits: Shape (n, k).
        total_weight: What to divide by; the batch's own weight if None. A part of a batch is
            divided by the whole batch's weight.
    """
    if total_weight is None:
        total_weight = b.reduce("ReduceSum", WEIGHT, [0], keep=False)
    share = b.div(WEIGHT, b.op("Max", total_weight, b.number(_LEAST_WEIGHT)))
    target = b.mul(TARGET, b.op("Unsqueeze", share, b.ints([1])))
    log_p = b.op("LogSoftmax", logits, axis=-1)
    agreement = b.reduce("ReduceSum", b.mul(target, log_p), [0, 1], keep=False)
    b.op("Neg", agreement, output=LOSS)
    mass = b.reduce("ReduceSum", target, [1])
    return b.sub(b.mul(b.op("Exp", log_p), mass), target)


LOSSES: Mapping[str, Loss] = {"soft_cross_entropy": soft_cross_entropy}

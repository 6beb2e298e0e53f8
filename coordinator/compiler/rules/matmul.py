"""Matrix products. Those with a plain matrix on the right become one Gemm each way.

A Gemm can later take the weight it updates as its addend, so that the step `W - lr g` costs no
pass over the weights; see :mod:`coordinator.compiler.optimizers`.
"""

from coordinator.compiler.graph import Shape
from coordinator.compiler.site import Gradients, Rule, Site


def matmul(site: Site) -> Gradients:
    """Y = a b: da = g bᵀ, db = aᵀ g, summed over what was broadcast."""
    left, right, out = site.shape(0), site.shape(1), site.out_shape()
    if min(len(left), len(right)) < 2:
        raise site.refuses(f"vectors ({left} by {right}) are not known here; reshape them")
    return [
        _left(site, left, right, out) if site.wants(0) else None,
        _right(site, left, right, out) if site.wants(1) else None,
    ]


def _left(site: Site, left: Shape, right: Shape, out: Shape) -> str:
    """Write g bᵀ."""
    b = site.b
    if len(right) > 2:
        product = b.op("MatMul", site.g, _transposed(site, site.x(1), len(right)))
        return site.summed(product, (*out[:-1], left[-1]), left)
    rows = b.op("Gemm", _rows(site, site.g, out), site.x(1), transB=1)
    return site.like(rows, 0) if len(left) > 2 else rows


def _right(site: Site, left: Shape, right: Shape, out: Shape) -> str:
    """Write aᵀ g."""
    b = site.b
    if len(right) > 2:
        product = b.op("MatMul", _transposed(site, site.x(0), len(left)), site.g)
        return site.summed(product, (*out[:-2], left[-1], out[-1]), right)
    return b.op("Gemm", _rows(site, site.x(0), left), _rows(site, site.g, out), transA=1)


def _rows(site: Site, x: str, shape: Shape) -> str:
    """Write a stack of matrices as one matrix of all their rows."""
    if len(shape) == 2:
        return x
    return site.b.reshape(x, [-1, *site.sizes(shape[-1:], "the width of a matrix")])


def _transposed(site: Site, x: str, rank: int) -> str:
    """Write each matrix of a stack transposed."""
    return site.b.transpose(x, [*range(rank - 2), rank - 1, rank - 2])


def gemm(site: Site) -> Gradients:
    """Y = α op(a) op(b) + β c, each op a transposition or none."""
    b, alpha, beta = site.b, site.op.number("alpha", 1.0), site.op.number("beta", 1.0)
    flip_a, flip_b = site.op.integer("transA", 0), site.op.integer("transB", 0)
    da = db = dc = None
    if site.wants(0) and flip_a:
        da = b.op("Gemm", site.x(1), site.g, alpha=alpha, transA=flip_b, transB=1)
    elif site.wants(0):
        da = b.op("Gemm", site.g, site.x(1), alpha=alpha, transB=1 - flip_b)
    if site.wants(1) and flip_b:
        db = b.op("Gemm", site.g, site.x(0), alpha=alpha, transA=1, transB=flip_a)
    elif site.wants(1):
        db = b.op("Gemm", site.x(0), site.g, alpha=alpha, transA=1 - flip_a)
    if site.wants(2):
        dc = site.summed_to(site.g, 2)
        dc = dc if beta == 1.0 else b.mul(dc, b.number(beta))
    return [da, db, dc]


RULES: dict[str, Rule] = {"Gemm": gemm, "MatMul": matmul}

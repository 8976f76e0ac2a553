"""Preconditioners that know how the rows of a weight vary together, and how its columns do."""

# ruff: noqa: D102      a rule is explained by its class
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Unpack

from .optimizer import Optimizer
from .options import COUNT, Flags
from .parameters import Params


class Shampoo(Optimizer):
    """Shampoo (Gupta, Koren & Singer 2018, arXiv:1802.09568, algorithm 2).

        Gᵢ = g with axis i first, as a matrix                 i = 1 … k, all axes
        Lᵢ ← Lᵢ + Gᵢ Gᵢᵀ                                      from ε I
        u = g, multiplied along every axis i by Lᵢ^(−1/2k)
        p ← p − η u

    For a matrix u = L₁^(−¼) g L₂^(−¼): Adagrad with whole matrices, of which the Kronecker product
    stands for the huge one of all numbers. Eigenvalues are clamped to ε. torch-optimizer's takes
    the later Gᵢ from u instead of g.
    """

    state = {"L": "pre_cond_{}"}
    start = {"L": lambda xp, p, *, eps: [eps * xp.eye(n, dtype=p.dtype) for n in p.shape]}
    ignored = ("inv_pre_cond", "momentum_buffer")
    scope = "matrix"
    flags = ("maximize", "foreach")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        eps: float = 1e-6,
        **flags: Unpack[Flags],
    ) -> None:
        super().__init__(params, {"lr": lr, "eps": eps}, flags)

    @staticmethod
    def rule(xp, p, g, L, *, lr, eps):
        L = [old + gram(xp, g, i) for i, old in enumerate(L)]
        u = g
        for i, matrix in enumerate(L):
            values, vectors = eigh(xp, matrix)
            root = vectors * xp.maximum(values, eps) ** (-1 / (2 * g.ndim)) @ vectors.T
            u = along(xp, root, u, i)
        return p - lr * u, L


class SOAP(Optimizer):
    """SOAP (Vyas et al. 2024, arXiv:2409.11321): Adam in the directions that Shampoo finds.

        Lᵢ ← β₂ Lᵢ + (1 − β₂) Gᵢ Gᵢᵀ                 Qᵢ its eigenvectors
        m ← β₁ m + (1 − β₁) g                        m̂ = m / (1 − β₁ᵗ)
        v ← β₂ v + (1 − β₂) (Q g)²                   v̂ = v / (1 − β₂ᵗ)
        u = Qᵀ (Q m̂ / √v̂)
        p ← (p − η u) (1 − η λ)

    Q g is g turned along every axis, Gᵢ as in Shampoo. The first step only finds directions, so t
    is counted from the second. Every `precondition_frequency` steps one step of the power method
    and a QR decomposition improve Qᵢ, and v follows the new order. Vectors, and axes longer than
    `max_precondition_dim`, are not turned. ε is beside √v, before correction.
    """

    state = {"m": "exp_avg", "v": "exp_avg_sq", "L": "GG", "Q": "Q"}
    start = {
        name: lambda xp, p, *, max_precondition_dim: [
            xp.zeros((n, n), p.dtype) if p.ndim > 1 and n <= max_precondition_dim else None
            for n in p.shape
        ]
        for name in "LQ"
    }
    ignored = ("precondition_frequency", "shampoo_beta")
    scope = "matrix"
    flags = ("maximize", "foreach")
    allowed = {"precondition_frequency": COUNT, "max_precondition_dim": COUNT}

    def __init__(
        self,
        params: Params,
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        precondition_frequency: int = 10,
        max_precondition_dim: int = 10000,
        **flags: Unpack[Flags],
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "precondition_frequency": precondition_frequency,
            "max_precondition_dim": max_precondition_dim,
        }
        super().__init__(params, options, flags)

    @staticmethod
    def rule(
        xp, p, g, m, v, L, Q, *, t, first, lr, betas, eps, weight_decay, precondition_frequency
    ):
        beta1, beta2 = betas
        if not first:
            k = t - 1
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * turn(xp, Q, g) ** 2
            u = turn_back(xp, Q, turn(xp, Q, m) / (xp.sqrt(v) + eps))
            p = p - lr * (1 - beta2**k) ** 0.5 / (1 - beta1**k) * u
            p = p * (1 - lr * weight_decay)
        L = [
            None if old is None else beta2 * old + (1 - beta2) * gram(xp, g, i)
            for i, old in enumerate(L)
        ]
        if first:
            Q = [None if matrix is None else eigh(xp, matrix)[1][:, ::-1] for matrix in L]
        elif k % precondition_frequency == 0:
            v, Q = improved(xp, v, L, Q)
        return p, m, v, L, Q


# ---- along the axes of a tensor ---------------------------------------------------------------


def gram(xp, g, i):
    """Gᵢ Gᵢᵀ, for Gᵢ the tensor with axis i first, as a matrix."""
    G = xp.moveaxis(g, i, 0).reshape(g.shape[i], -1)
    return G @ G.T


def along(xp, matrix, x, i):
    """The tensor, multiplied by a matrix along axis i."""
    return xp.moveaxis(xp.tensordot(matrix, x, (1, i)), 0, i)


def turn(xp, Q, x):
    """The tensor in the directions Q; an axis whose Qᵢ is None stays."""
    for i, q in enumerate(Q):
        x = x if q is None else along(xp, q.T, x, i)
    return x


def turn_back(xp, Q, x):
    """The tensor that `turn` makes this of."""
    return turn(xp, [None if q is None else q.T for q in Q], x)


def improved(xp, v, L, Q):
    """Directions nearer to the eigenvectors of L, the largest first, and v in their order."""
    new = list(Q)
    for i, q in enumerate(Q):
        if q is not None:
            product = L[i] @ q
            order = xp.argsort(-xp.sum(q * product, axis=0))
            v = xp.take(v, order, axis=i)
            new[i] = xp.linalg.qr(wide(xp, product[:, order]))[0].astype(q.dtype)
    return v, new


def eigh(xp, matrix):
    """Eigenvalues and eigenvectors of a symmetric matrix, the smallest first, in its dtype."""
    return [part.astype(matrix.dtype) for part in xp.linalg.eigh(wide(xp, matrix))]


def wide(xp, matrix):
    """The matrix in single precision at least: decompositions know no less."""
    return matrix.astype(xp.promote_types(matrix.dtype, xp.float32))

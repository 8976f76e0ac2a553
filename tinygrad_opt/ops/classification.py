"""The loss of classification, softmax included: one pass forward that already holds the gradient.

The composition of Tensors is the definition. On a GPU two kernels do the work: one warp for each
row, then one block for the mean.
"""

from __future__ import annotations

import math

from ..constants import ones, positions
from ..kernels import C_TYPES, Kernel, has_kernels, raw_kernel
from ..operation import fused
from .checks import check_labels
from .elementwise import not_equal, where
from .fused import log_softmax
from .reduce import sum
from .shape import astype, getitem

__all__ = ["cross_entropy"]


def _definition(logits, labels, ignore_index=-100):
    rows = positions(labels.device.xp, logits.shape[0])
    counts = not_equal(labels, ignore_index)
    picked = getitem(log_softmax(logits), (rows, where(counts, labels, 0)))
    return sum(where(counts, -picked, 0.0)) / sum(astype(counts, logits.dtype))


def _scaled(xp, gradient, g, count):
    return gradient * (g / count)


def _scaled_by_a_number(xp, gradient, g, count):
    return gradient * (g.item() / float(count))  # quicker than by an array without axes


_scaled = Kernel(_scaled, numpy=_scaled_by_a_number)


def _back(xp, g, saved, logits, labels, ignore_index=-100):
    """g·(softmax(logits) − one-hot(labels)) / n."""
    return _scaled(xp, saved[0], g, saved[1])


@fused(_definition, _back, None)
def cross_entropy(xp, logits, labels, ignore_index=-100):
    """−mean ln softmax(logits)[label]: logits (N, C), integer labels (N,) -> one number.

    The softmax is part of it: pass raw scores. Labels equal to ``ignore_index`` do not count; of no
    examples the mean is NaN. Other labels outside 0 … C − 1 raise ValueError on the CPU; on a GPU a
    look would wait for it, and they make the loss NaN.
    """
    all_count = check_labels("cross_entropy", logits, labels, ignore_index)
    if has_kernels(xp) and logits.dtype in C_TYPES:
        return _with_kernels(xp, logits, labels, int(ignore_index))
    # Classes by examples: reductions over a short last axis would cost a loop start for every row.
    n, n_classes = logits.shape
    count = n or math.nan
    if not all_count:
        counts = labels != ignore_index
        classes = (labels >= 0) & (labels < n_classes)
        labels, count = labels * (counts & classes), counts.astype(logits.dtype).sum()
        count = xp.where(count == 0, math.nan, count).astype(logits.dtype)
    z = logits.T.copy()
    z -= z.max(axis=0) if n_classes else 0
    p = xp.exp(z)
    total = ones(xp, n_classes, p.dtype).dot(p)
    place = positions(xp, n)
    index = labels.astype(place.dtype, copy=False) * n + place  # in uint8, label · n overflows
    losses = xp.log(total) - z.reshape(-1)[index]
    p /= total
    p.reshape(-1)[index] -= ones(xp, (), p.dtype)
    if not all_count:
        factor = xp.where(classes, counts, math.nan).astype(logits.dtype)
        losses, p = xp.where(counts, losses * factor, 0), xp.where(counts, p * factor, 0)
    return ones(xp, n, p.dtype).dot(losses) / count, (p.T, count)


# ---- on a GPU ---------------------------------------------------------------------------------

_ROWS = r"""
// For one row of logits (n, c) in each warp: the loss, and its gradient.
extern "C" __global__ void cross_entropy_rows(const T* logits, const long long* labels,
                                              long long ignored, T* losses, T* gradient,
                                              long long n, long long c) {
    const unsigned everyone = ~0u;
    const long long row = (long long)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    const int lane = threadIdx.x & 31;
    if (row >= n) return;
    const T* z = logits + row * c;
    T* dz = gradient + row * c;
    T top = T(-1) / T(0);
    for (long long k = lane; k < c; k += 32) top = z[k] > top ? z[k] : top;
    for (int step = 16; step; step >>= 1) {
        const T other = __shfl_xor_sync(everyone, top, step);
        top = other > top ? other : top;
    }
    T total = T(0);
    for (long long k = lane; k < c; k += 32) total += exp(z[k] - top);
    for (int step = 16; step; step >>= 1) total += __shfl_xor_sync(everyone, total, step);
    const long long label = labels[row];
    const bool counts = label != ignored;
    const bool wrong = counts && (label < 0 || label >= c);
    for (long long k = lane; k < c; k += 32)
        dz[k] = wrong ? T(nan("")) : counts ? exp(z[k] - top) / total - T(k == label) : T(0);
    if (lane == 0) losses[row] = wrong ? T(nan("")) : counts ? log(total) - (z[label] - top) : T(0);
}
"""

_MEAN = r"""
// The mean of the losses (n,) whose labels count, and how many those are; for one block of 256.
extern "C" __global__ void cross_entropy_mean(const T* losses, const long long* labels,
                                              long long ignored, T* mean, T* count, long long n) {
    __shared__ T sums[256];
    __shared__ T counts[256];
    const int me = threadIdx.x;
    T sum = T(0), counted = T(0);
    for (long long row = me; row < n; row += 256) {
        sum += losses[row];
        counted += T(labels[row] != ignored);
    }
    sums[me] = sum;
    counts[me] = counted;
    for (int half = 128; half; half >>= 1) {
        __syncthreads();
        if (me < half) {
            sums[me] += sums[me + half];
            counts[me] += counts[me + half];
        }
    }
    if (me == 0) {
        *mean = sums[0] / counts[0];
        *count = counts[0];
    }
}
"""


def _with_kernels(xp, logits, labels, ignored):
    n, c = logits.shape
    dtype = logits.dtype
    logits = xp.ascontiguousarray(logits)
    labels = xp.ascontiguousarray(labels.astype("int64", copy=False))
    losses, gradient = xp.empty(n, dtype), xp.empty((n, c), dtype)
    mean, count = xp.empty((), dtype), xp.empty((), dtype)
    if n:
        rows = raw_kernel(xp, "cross_entropy_rows", _ROWS, dtype)
        rows((-(-n // 4),), (128,), (logits, labels, ignored, losses, gradient, n, c))
    average = raw_kernel(xp, "cross_entropy_mean", _MEAN, dtype)
    average((1,), (256,), (losses, labels, ignored, mean, count, n))
    return mean, (gradient, count)

"""Dropout: noise whose numbers are a function of their place, not of who computes them.

The CPU keeps the mask for the way back. A GPU keeps nothing: the derivative is the same function of
the gradient, and the numbers are computed again.
"""

from __future__ import annotations

import math

import numpy

from ..kernels import C_TYPES, has_kernels, raw_kernel
from ..operation import fused, wrap
from .elementwise import multiply

__all__ = ["dropout"]

_TEXT = r"""
// y = x scale where the number of the element is below a threshold, else 0. Philox4x64-10 gives
// eight numbers for each block, and each thread a block: numbers first * 8, first * 8 + 1, ...
extern "C" __global__ void dropout(const T* x, T* y, unsigned long long key0,
                                   unsigned long long key1, unsigned long long first,
                                   unsigned int threshold, T scale, long long n) {
    const long long stride = (long long)gridDim.x * blockDim.x;
    long long block = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (; block * 8 < n; block += stride) {
        unsigned long long c0 = first + block + 1, c1 = 0, c2 = 0, c3 = 0, k0 = key0, k1 = key1;
        for (int round = 0; round < 10; ++round) {
            const unsigned long long high0 = __umul64hi(0xD2E7470EE14C6C93ull, c0);
            const unsigned long long high1 = __umul64hi(0xCA5A826395121157ull, c2);
            const unsigned long long low0 = 0xD2E7470EE14C6C93ull * c0;
            const unsigned long long low1 = 0xCA5A826395121157ull * c2;
            c0 = high1 ^ c1 ^ k0;
            c1 = low1;
            c2 = high0 ^ c3 ^ k1;
            c3 = low0;
            k0 += 0x9E3779B97F4A7C15ull;
            k1 += 0xBB67AE8584CAA73Bull;
        }
        const unsigned long long words[4] = {c0, c1, c2, c3};
        #pragma unroll
        for (int lane = 0; lane < 8; ++lane) {
            const long long i = block * 8 + lane;
            const unsigned int number = (unsigned int)(words[lane / 2] >> (32 * (lane % 2)));
            if (i < n) y[i] = x[i] * (number < threshold ? scale : T(0));
        }
    }
}
"""


def _threshold(p):
    """A number below this keeps its element."""
    return min(int((1 - p) * 2**32), 2**32 - 1)


def _scale(p):
    return 1 / (1 - p) if p < 1 else 0.0


def _factors(shape, dtype, numbers, first, p):
    """0 or 1/(1 − p) for each element."""
    size = math.prod(shape)
    kept = numbers(first, size) < numpy.uint32(_threshold(p))
    return (kept * dtype.type(_scale(p))).reshape(shape)


def _with_a_kernel(xp, x, stream, first, p):
    kernel = raw_kernel(xp, "dropout", _TEXT, x.dtype)
    x = xp.ascontiguousarray(x)
    y = xp.empty(x.shape, x.dtype)
    words = (numpy.uint64(stream.key[0]), numpy.uint64(stream.key[1]), numpy.uint64(first))
    scale = (numpy.uint32(_threshold(p)), x.dtype.type(_scale(p)), numpy.int64(x.size))
    kernel((min(-(-x.size // 2048), 65536),), (256,), (x, y, *words, *scale))
    return y


def _definition(x, stream, first, p):
    factors = _factors(x.shape, x.dtype, stream.numbers, first, p)
    return multiply(x, wrap(x.device.from_host(factors), x.device))


def _back(xp, g, factors, x, stream, first, p):
    """g, for what was kept, over 1 − p."""
    return _with_a_kernel(xp, g, stream, first, p) if factors is False else g * factors


@fused(_definition, _back)
def dropout(xp, x, stream, first, p):
    """Zeros with probability p, the rest times 1/(1 − p) (Srivastava et al. 2014).

    Decided by the numbers of a `Stream` from the block `first` on, the same on every device.
    """
    if has_kernels(xp) and x.dtype in C_TYPES and x.size:
        return _with_a_kernel(xp, x, stream, first, p), False
    factors = xp.asarray(_factors(x.shape, x.dtype, stream.numbers, first, p))
    return x * factors, factors

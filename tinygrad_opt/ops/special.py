"""The error function, which NumPy lacks: one text for NumPy and CuPy, float64 to 3e-16.

Near 0 it is the Taylor series 2/√π Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)). Elsewhere erfc(x) is
t exp(−x² + P(t)) with t = 2 / (2 + x), P a Chebyshev series in 2t − 1 on 0 < t ≤ 1, whose
coefficients were computed with 60 digits at the Chebyshev nodes.
"""

from __future__ import annotations

import math

_TAYLOR = [
    2 / math.sqrt(math.pi) * (-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(13)
]
_CHEBYSHEV = [
    -0.6513268598908547171,
    0.6419697923564902603,
    0.019476473204185836312,
    -0.0095615147868086316419,
    -0.0009465953444820368663,
    0.00036683949785276145187,
    0.000042523324806907771645,
    -0.000020278578112534243154,
    -1.6242900046470255135e-6,
    1.3036558355805232018e-6,
    1.5626441722066143178e-8,
    -8.5238095914926542525e-8,
    6.5290544390988514964e-9,
    5.0593434955514689418e-9,
    -9.9136415649303308674e-10,
    -2.2736512229318358557e-10,
    9.646791102015526802e-11,
    2.3940380830391147447e-12,
    -6.8860275264975533984e-12,
    8.9448792730907257167e-13,
    3.1309213993429580783e-13,
    -1.1270822361367252366e-13,
    3.8109052551892320552e-16,
    7.1060976136092369878e-15,
    -1.5230282014571043043e-15,
    -9.4574945712912340005e-17,
]


def erf_of(xp, x):
    """erf of a raw array."""
    size = xp.abs(x)
    square = xp.minimum(size, 0.5) ** 2
    near = xp.zeros_like(square)
    for coefficient in reversed(_TAYLOR):
        near = near * square + coefficient

    t = 2 / (2 + size)
    s = 2 * t - 1
    b, before = xp.zeros_like(s), xp.zeros_like(s)
    for coefficient in reversed(_CHEBYSHEV[1:]):  # Clenshaw's recurrence
        b, before = 2 * s * b - before + coefficient, b
    exponent = s * b - before + _CHEBYSHEV[0]
    far = xp.sign(x) * (1 - t * xp.exp(exponent - size * size))
    return xp.where(size < 0.5, x * near, far)

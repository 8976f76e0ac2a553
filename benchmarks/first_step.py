"""A fresh process from its first import to its second training step on the GPU, as one JSON line.

`python -m benchmarks.gpu import` runs it twice. The first step makes the context on the GPU, loads
the libraries, and compiles all kernels that CuPy's cache does not hold; the second does not.
"""

from __future__ import annotations

import json
import time
from itertools import pairwise


def main() -> None:
    """Import, train twice, and print how many seconds each took."""
    marks = [time.perf_counter()]

    import tinygrad_opt as tg
    from tinygrad_opt.device import Device

    from .workloads import NETWORKS, stepper

    marks.append(time.perf_counter())
    device = Device("cuda")
    step = stepper(tg, device, NETWORKS["medium"], 1e-3)
    for _ in range(2):
        step()
        device.synchronize()
        marks.append(time.perf_counter())
    seconds = [after - before for before, after in pairwise(marks)]
    print(json.dumps(dict(zip(("import_s", "first_step_s", "second_step_s"), seconds))))


if __name__ == "__main__":
    main()

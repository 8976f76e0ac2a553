"""Fair races of optimizers: the same start, the same batches, the same budget, and two columns.

Order: `race` · `Race` and `Racer`, its outcome · the two kinds of tasks · the words.
"""

from .course import race
from .outcome import Race, Racer, Standing
from .tasks import NetworkTask, SurfaceTask, get_task

__all__ = ["NetworkTask", "Race", "Racer", "Standing", "SurfaceTask", "get_task", "race"]

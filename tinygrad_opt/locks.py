"""Locks that a forked process finds open."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager


class Lock:
    """``with lock:`` lets one thread in at a time.

    A fork copies a lock as it is, and not the thread that would open it. So a child process gets
    new ones.
    """

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        """An open lock in place of this one."""
        self._lock: AbstractContextManager[object] = threading.Lock()

    def __enter__(self) -> None:
        self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__(None, None, None)

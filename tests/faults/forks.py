"""
Running something in a process that may die: forked, so that it need not load anything.

To be used only where nothing else runs: a thread that holds a lock would hold it for ever in the child.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

__all__ = ["forked"]


def forked(work: Callable[[], None]) -> int:
    """Do *work* in a child. Returns its exit code: 0, 70 if it raised, or less than 0 for the signal that ended it."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it was, the parent hears of it
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)

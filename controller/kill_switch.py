"""The global kill switch: a file that stops every write of replicas while it is there and does not say `false`."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_MOST_READ = 64
"""Bytes: `false` is short, and a longer file says something else."""


@dataclass(frozen=True)
class KillSwitch:
    """Looked at before each write."""

    path: Path

    def on(self) -> bool:
        """Whether it says stop, as it also does where it is there and cannot be read. Never raises, never waits."""
        try:
            # A named pipe without a writer would keep whoever opens it waiting.
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return os.path.lexists(self.path)  # a link to nothing may be one to a file that says stop
        except (OSError, ValueError):
            return True
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return True
            text = os.read(file, _MOST_READ + 1)
            return len(text) > _MOST_READ or text.strip().lower() != b"false"
        except OSError:
            return True
        finally:
            os.close(file)

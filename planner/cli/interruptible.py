"""Compiled work that Ctrl-C can end: compiled loops look at no signal, so they run beside the thread that does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_LOOK_EVERY_S = 0.1


def interruptible(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises. On Ctrl-C KeyboardInterrupt is raised at once; the work ends with the process."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 -- raised again where it belongs
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_EVERY_S)
    if errors:
        raise errors[0]
    return results[0]

"""Work on every core: the same results in the same order as one after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TypeVar

from models.errors import ReplicastError

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK = 8
"""Items that travel together: what they share (a profile) travels once."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(work: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> Generator[Result]:
    """`map`, on `workers` processes. An exception of `work` is raised where its result would stand.

    `work`, items and results must be picklable. Raises ReplicastError where a worker is killed.
    """
    # Fresh processes, not forks: numpy's threads do not survive a fork.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        with _interrupts_only_here():
            results = pool.map(work, items, chunksize=CHUNK)
        yield from results
    except BrokenProcessPool:
        raise ReplicastError(
            "a process that sized a part of the fleet was killed", remedy="is there enough memory? try a smaller file"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_only_here() -> Iterator[None]:
    """Processes started inside never see Ctrl-C, which a terminal sends to all: only this one stops, and ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The tracker, which the first worker would start, unblocks signals on its way.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """In a worker: end when the process that waits for the results is gone, however it went."""
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

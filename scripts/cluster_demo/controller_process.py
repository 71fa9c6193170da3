"""The controller as a process of its own, as a person would start it from a laptop."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.cluster_demo.measured import shown
from scripts.cluster_demo.processes import free_port, planner, tail
from scripts.cluster_demo.served_models import NAMESPACE
from scripts.cluster_demo.timing import SCRAPE_S, Timing

_START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class RunningController:
    """One that runs."""

    url: str
    """Of its pages."""
    process: subprocess.Popen[bytes]
    said: Path

    def require_alive(self) -> None:
        """Raises RuntimeError with what it said last where it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"the controller has ended:\n{tail(self.said)}")


@contextmanager
def running_controller(
    kubeconfig: Path, prometheus: str, timing: Timing, log: Path, said: Path
) -> Iterator[RunningController]:
    """`planner controller run` in Enforce mode. Raises RuntimeError where it does not start."""
    listen = f"127.0.0.1:{free_port()}"
    arguments = [
        "controller", "run", "--kubeconfig", str(kubeconfig), "--prometheus", prometheus,
        "--namespace", NAMESPACE, "--lease-namespace", NAMESPACE, "--listen", listen, "--decision-log", str(log),
        "--scrape-interval", f"{SCRAPE_S:g}s", "--window", f"{timing.window_s}s", "--interval", f"{timing.tick_s}s",
    ]  # fmt: skip
    url = f"http://{listen}"
    with planner(arguments, said) as process:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                shown(url)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the controller did not start:\n{tail(said)}") from None
            time.sleep(0.2)
        yield RunningController(url=url, process=process, said=said)

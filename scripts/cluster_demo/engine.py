"""A simulated engine: `planner simulate --serve` in a process of its own, told by HTTP of its load and its replicas."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.cluster_demo.load_curve import rate_at
from scripts.cluster_demo.processes import planner, tail
from scripts.cluster_demo.served_models import NAMESPACE, ServedModel, profile
from scripts.cluster_demo.timing import Timing

_START_S = 90.0
"""The first start on a machine compiles the simulator."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One that serves."""

    model: ServedModel
    url: str

    def load(self, requests_per_s: float) -> None:
        """From now on so many arrive."""
        self._asked("/load", {"qps": requests_per_s})

    def keep(self, pods: Sequence[str]) -> None:
        """From now on these pods serve."""
        self._asked("/replicas", {"names": list(pods)})

    def targets(self) -> list[dict[str, Any]]:
        """Its replicas as Prometheus reads them from a file, with the namespace that a pod has."""
        found: list[dict[str, Any]] = self._asked("/targets")
        return [{**each, "labels": {**each["labels"], "namespace": NAMESPACE}} for each in found]

    def lost(self) -> int:
        """Requests that came while no pod served."""
        return int(self._asked("/status")["lost"])

    def _asked(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method="GET" if data is None else "PUT")  # noqa: S310 -- our own
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return json.load(answer)
        except OSError as error:
            raise OSError(f"the simulated engine of {self.model.name} does not answer: {error}") from None


@contextmanager
def running_engine(model: ServedModel, timing: Timing, folder: Path) -> Iterator[Engine]:
    """Start one without replicas, and stop it. Raises RuntimeError with what it said where it does not start."""
    file, log = folder / f"{model.name}.yaml", folder / f"{model.name}.log"
    found = profile(model, timing)
    found["metadata"] = {"name": found["metadata"]["name"]}
    file.write_text(yaml.safe_dump(found), encoding="utf-8")
    qps = f"{rate_at(model.curve, 0.0):g}"
    arguments = [
        "simulate",
        "--profile",
        str(file),
        "--qps",
        qps,
        "--replicas",
        "1",
        "--serve",
        "127.0.0.1:0",
        *model.simulated_as,
    ]
    with planner(arguments, log) as process:
        engine = Engine(model=model, url=_address(process, log))
        engine.keep([])
        yield engine


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(
            r"^serving .* at (http://\S+)$", log.read_text(encoding="utf-8", errors="replace"), re.MULTILINE
        )
        if found is not None:
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"a simulated engine did not start:\n{tail(log)}")

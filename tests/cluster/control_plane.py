"""A real control plane of the tests' own: kube-apiserver (mTLS, RBAC), etcd, the controllers, the scheduler, KWOK."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scripts.control_plane import kubernetes_version, program
from tests.cluster.control_plane_keeper import NAME, environment

Component = Literal["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller"]

ROOT = Path(__file__).parents[2]
_START_S = 180.0


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """One that runs."""

    folder: Path
    kubernetes: str
    """Its version, such as `v1.36.1`."""

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in."""
        return self.folder / "kubeconfig"

    @property
    def logs(self) -> Path:
        """What the components said; left behind when it stops."""
        return self.folder / "clusters" / NAME / "logs"

    def pid(self, component: Component) -> int:
        """The number of the component's process."""
        return int((self.folder / "clusters" / NAME / "pids" / f"{component}.pid").read_text(encoding="utf-8"))

    @contextmanager
    def frozen(self, component: Component) -> Iterator[None]:
        """It answers nothing and closes nothing, as a hung process does; afterwards it goes on."""
        pid = self.pid(component)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def without(self, component: Component) -> Iterator[None]:
        """It is killed; afterwards it is started again with its data."""
        pid = self.pid(component)
        os.kill(pid, signal.SIGKILL)
        _until_gone(pid)
        try:
            yield
        finally:
            self._kwokctl("start", "cluster", "--wait", "60s")

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """What kubectl answers; `text` is its standard input."""
        command = [str(program("kubectl")), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def _kwokctl(self, *arguments: str) -> None:
        command = [str(program("kwokctl")), "--name", NAME, *arguments]
        done = subprocess.run(
            command, env=environment(self.folder), capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            raise RuntimeError(f"kwokctl {' '.join(arguments)}: {done.stderr}")


@contextmanager
def running_control_plane(folder: Path) -> Iterator[ControlPlane]:
    """Start one in an empty folder and stop it. Raises RuntimeError with the reason where it does not start."""
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.control_plane_keeper", str(folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        said = _first_line(keeper)
        if "failed" in said:
            raise RuntimeError(f"there is no control plane: {said['failed']}\nits logs: {folder}")
        yield ControlPlane(folder=folder, kubernetes=kubernetes_version())
    finally:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        keeper.stdin.close()
        keeper.wait(timeout=_START_S)
        keeper.stdout.close()


def _first_line(keeper: subprocess.Popen[bytes]) -> dict[str, str]:
    assert keeper.stdout is not None
    if not select.select([keeper.stdout], [], [], _START_S)[0]:
        return {"failed": f"it has not started in {_START_S:.0f} s"}
    line = keeper.stdout.readline()
    answer: dict[str, str] = json.loads(line) if line else {"failed": "its keeper ended"}
    return answer


def _until_gone(pid: int) -> None:
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)

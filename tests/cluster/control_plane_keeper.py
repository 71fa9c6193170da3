"""The process that starts a control plane and stops it, whatever becomes of the tests that asked for it.

It runs beside the tests, in a session of its own, so that Ctrl-C does not reach it; their end, also by SIGKILL, closes
its standard input. It says one line of JSON: `{"started": …}`, or `{"failed": why}`. Of the cluster it leaves the logs.

    python -m tests.cluster.control_plane_keeper FOLDER
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from scripts.control_plane import PINS, ControlPlaneMissing, kubernetes_version, program

NAME = "tests"
STAGES = PINS / "kwok_nodes.yaml", PINS / "kwok_pods.yaml"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller")

_READY_S = 120
_GONE_S = 10.0
_LOOK_EVERY_S = 1.0
_CONTROLLERS = {
    "horizontal-pod-autoscaler-sync-period": "2s",
    "horizontal-pod-autoscaler-downscale-stabilization": "1s",
}
"""Of kube-controller-manager: the HPA acts within seconds, so that tests need not wait long."""
_ALONE = ("kube-controller-manager", "kube-scheduler")
"""They hold no election: one that lost it, while a test froze the API server, would end and not come back."""


def environment(folder: Path) -> dict[str, str]:
    """What kwokctl reads: where its clusters are, and what is in them."""
    chosen = {
        "KWOK_WORKDIR": str(folder),
        "KWOK_KUBE_VERSION": kubernetes_version(),
        "KWOK_KUBECTL_BINARY": str(program("kubectl")),
    }
    return {**os.environ, **chosen}


def creation(folder: Path) -> list[str]:
    """The command that starts all of it."""
    programs = {name: name for name in COMPONENTS[:-1]} | {"kwok-controller": "kwok"}
    return [
        str(program("kwokctl")), "--name", NAME, "--config", str(folder / "stages.yaml"),
        "create", "cluster", "--runtime", "binary", "--kubeconfig", str(folder / "kubeconfig"),
        *(f"--{component}-binary={program(name)}" for component, name in programs.items()),
        *(f"--extra-args=kube-controller-manager={flag}={value}" for flag, value in _CONTROLLERS.items()),
        *(f"--extra-args={component}=leader-elect=false" for component in _ALONE),
        "--disable-qps-limits", "--wait", f"{_READY_S}s",
    ]  # fmt: skip


def start(folder: Path) -> str | None:
    """Start it; what went wrong, else None."""
    try:
        command, variables = creation(folder), environment(folder)
    except ControlPlaneMissing as missing:
        return str(missing)
    (folder / "stages.yaml").write_text("---\n".join(path.read_text("utf-8") for path in STAGES), "utf-8")
    log = folder / "kwokctl.log"
    # kwokctl chooses free ports before the programs take them: one cluster after the other.
    with (Path(tempfile.gettempdir()) / "replicast-control-plane.lock").open("w") as lock, log.open("wb") as out:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        return f"kwokctl could not start it:\n{log.read_text('utf-8', 'replace')[-2000:]}"
    return None


def processes(folder: Path) -> list[int]:
    """The process ids of the components that run."""
    files = sorted((folder / "clusters" / NAME / "pids").glob("*.pid"))
    return [pid for pid in (int(file.read_text("utf-8")) for file in files) if _is_ours(pid, folder)]


def _is_ours(pid: int, folder: Path) -> bool:
    """A process that has ended may have left its number to another one."""
    try:
        os.kill(pid, 0)
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:  # no /proc
        return not Path("/proc/self").exists()
    except OSError:
        return False


def stop(folder: Path) -> None:
    """Nothing of its state is worth a graceful end. SIGKILL ends what is frozen too."""
    deadline = time.monotonic() + _GONE_S
    while (left := processes(folder)) and time.monotonic() < deadline:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for state in ("etcd", "bin", "pki"):
        shutil.rmtree(folder / "clusters" / NAME / state, ignore_errors=True)


def _say(what: dict[str, str]) -> None:
    with suppress(BrokenPipeError):  # the tests have ended meanwhile
        os.write(sys.stdout.fileno(), json.dumps(what).encode() + b"\n")


def _until_the_tests_end(parent: int) -> None:
    while os.getppid() == parent:
        if select.select([sys.stdin], [], [], _LOOK_EVERY_S)[0] and not sys.stdin.read(1):
            return


def main(folder: Path) -> None:
    """Start, tell, wait for the end of the tests, stop."""
    parent = os.getppid()
    for signals in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signals, lambda *_: sys.exit(1))
    try:
        failed = start(folder)
        _say({"failed": failed} if failed else {"started": str(folder)})
        if not failed:
            _until_the_tests_end(parent)
    finally:
        stop(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Build what the tests start for real (Kubernetes, KWOK, Prometheus) from Go modules, once, into the user's cache.

The versions stand in `tests/cluster/go.mod`; those of the oldest Kubernetes, which `K8S=1.28` asks for, in
`tests/cluster/kubernetes-1.28/go.mod`. A folder that `REPLICAST_CONTROL_PLANE` names is used as it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.go_toolchain import GoMissing, go

PINS = Path(__file__).parents[1] / "tests" / "cluster"
OLDEST = "1.28"
CHOICE = "K8S"
"""The environment variable that chooses the version of Kubernetes: 1.28, or nothing for the newest."""
OWN_FOLDER = "REPLICAST_CONTROL_PLANE"
TAGS = "remove_all_sd,slicelabels"
"""No service discovery of the clouds, which is most of Prometheus's code; files and static targets stay."""

_KUBERNETES = {
    name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
}
_SHARED = {
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "kwokctl": "sigs.k8s.io/kwok/cmd/kwokctl",
    "prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
}
PROGRAMS = (*_KUBERNETES, *_SHARED)

_TELL_EVERY_S = 60.0


class ControlPlaneMissing(Exception):
    """The programs are not here and cannot be built; says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Module:
    """A Go module that pins programs: its folder, and the package of each program."""

    pins: Path
    packages: dict[str, str]

    @property
    def kubernetes(self) -> str:
        """Its version of Kubernetes, such as `v1.36.1`."""
        pins = (self.pins / "go.mod").read_text("utf-8")
        found = re.search(r"^(?:require)?\s+k8s\.io/kubernetes (v[\d.]+)", pins, re.MULTILINE)
        assert found is not None
        return found[1]

    @property
    def folder(self) -> Path:
        """Where its programs are, or will be: another one for other pins."""
        digest = hashlib.sha256(TAGS.encode())
        for pin in ("go.mod", "go.sum"):
            digest.update((self.pins / pin).read_bytes())
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "replicast" / "control-plane" / digest.hexdigest()[:16]


def modules() -> list[Module]:
    """The modules that the chosen version of Kubernetes is built from. Raises ControlPlaneMissing for another one."""
    newest = Module(pins=PINS, packages={**_KUBERNETES, **_SHARED})
    newest_minor = newest.kubernetes.removeprefix("v").rpartition(".")[0]
    chosen = os.environ.get(CHOICE) or newest_minor
    if chosen == newest_minor:
        return [newest]
    if chosen == OLDEST:
        oldest = Module(pins=PINS / f"kubernetes-{OLDEST}", packages=_KUBERNETES)
        return [oldest, Module(pins=PINS, packages=_SHARED)]
    raise ControlPlaneMissing(f"{CHOICE}={chosen} is not built here; give {newest_minor} or {OLDEST}")


def kubernetes_version() -> str:
    """The chosen version of Kubernetes, such as `v1.36.1`."""
    return modules()[0].kubernetes


def program(name: str) -> Path:
    """The path of a program that is there. Raises ControlPlaneMissing with what to do."""
    path = _folder_of(name) / name
    if not os.access(path, os.X_OK):
        choice = os.environ.get(CHOICE)
        target = f"make control-plane {CHOICE}={choice}" if choice else "make control-plane"
        raise ControlPlaneMissing(
            f"{name} is not in {path.parent}; `{target}` builds it there, or let {OWN_FOLDER} name a folder that has it"
        )
    return path


def build(wanted: Sequence[str] = PROGRAMS) -> list[Path]:
    """Build whatever of `wanted` is missing; the folders that hold them."""
    own = os.environ.get(OWN_FOLDER)
    if own:
        missing = _missing(Path(own), wanted)
        if missing:
            raise ControlPlaneMissing(
                f"{OWN_FOLDER} names {own}, which lacks {', '.join(missing)}; put them there, or unset it to build them"
            )
        return [Path(own)]
    for module in modules():
        names = [name for name in wanted if name in module.packages]
        if _missing(module.folder, names):
            with _alone(module.folder):
                _build(module, _missing(module.folder, names))
    return [module.folder for module in modules()]


def _folder_of(name: str) -> Path:
    own = os.environ.get(OWN_FOLDER)
    return Path(own) if own else next(module.folder for module in modules() if name in module.packages)


def _missing(place: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if not os.access(place / name, os.X_OK)]


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Two builds of the same would each take as long: the second waits, and then finds all there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / f".{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(module: Module, missing: Sequence[str]) -> None:
    if not missing:
        return
    place = module.folder
    _tell(
        f"building {', '.join(missing)} (Kubernetes {module.kubernetes}) from source into {place}: once, "
        f"{_minutes(missing)} on two cores, for Kubernetes compiles from some two thousand packages; the Go modules "
        "are downloaded first"
    )
    with tempfile.TemporaryDirectory(dir=place.parent) as unfinished:
        try:
            _compile(go(place.parent), module, missing, Path(unfinished))
        except GoMissing as problem:
            raise ControlPlaneMissing(str(problem)) from None
        place.mkdir(exist_ok=True)
        for name in missing:  # each appears whole or not at all
            (Path(unfinished) / _built_as(module.packages[name])).replace(place / name)


def _built_as(package: str) -> str:
    """The name that Go gives a program: the last part of its package's path that is no version."""
    return re.sub(r"/v\d+$", "", package).rpartition("/")[2]


def _minutes(missing: Sequence[str]) -> str:
    return "6 to 15 minutes" if set(missing) & set(_KUBERNETES) else "3 to 5 minutes"


def _compile(go: str, module: Module, missing: Sequence[str], into: Path) -> None:
    command = [
        go, "build", "-v", "-trimpath", "-tags", TAGS, "-ldflags", _stamp(module.kubernetes), "-o", f"{into}{os.sep}",
        *(module.packages[name] for name in missing),
    ]  # fmt: skip
    began = time.monotonic()
    log = into / "log"
    with log.open("wb") as out, subprocess.Popen(command, cwd=module.pins, stdout=out, stderr=out) as process:
        while process.returncode is None:
            try:
                process.wait(_TELL_EVERY_S)
            except subprocess.TimeoutExpired:
                done = log.read_bytes().count(b"\n")
                _tell(f"{(time.monotonic() - began) / 60:.0f} min: {done:,} packages compiled")
    if process.returncode != 0:
        said = log.read_text("utf-8", "replace")[-2000:].rstrip()
        raise ControlPlaneMissing(
            f"`{' '.join(command)}` in {module.pins} failed:\n{said}\n"
            f"a network that reaches the Go modules is needed once; or let {OWN_FOLDER} name a folder with "
            f"{', '.join(missing)}"
        )


def _stamp(kubernetes: str) -> str:
    """Linker flags: no debugging tables, and the version that the programs say they are."""
    major, minor, _ = kubernetes.removeprefix("v").split(".")
    said = {"gitVersion": kubernetes, "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in said.items())


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(*build(sys.argv[1:] or PROGRAMS), sep="\n")
    except ControlPlaneMissing as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)

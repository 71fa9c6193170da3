"""The whole product at work without a GPU: a real control plane and Prometheus, simulated engines, the controller.

    python -m scripts.demo_cluster [--speed 4 | --seconds 150] [--folder FOLDER]

Real are kube-apiserver, etcd, the Deployment and HPA controllers, the scheduler, Prometheus and
`planner controller run` in Enforce mode. KWOK plays the nodes and the pods' starts; `planner simulate --serve` plays
vLLM and Triton.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from models.errors import InvalidInput
from scripts.cluster_demo.playing import played
from scripts.cluster_demo.stage import started
from scripts.cluster_demo.summary import summary
from scripts.cluster_demo.timing import CURVE_S, LONGEST_S, SHORTEST_S, SPEED, Timing
from scripts.control_plane import ControlPlaneMissing

_ENDS = signal.SIGTERM, signal.SIGHUP


def main() -> int:
    """Exit code 0 where all parts did their work."""
    options = _options()
    for number in _ENDS:
        signal.signal(number, _interrupted)
    timing = Timing(seconds=options.seconds)
    try:
        with _folder(options.folder) as folder, ExitStack() as parts:
            try:
                stage = started(parts, timing, folder)
                records, lost = played(stage)
                print("\n" + "\n".join(summary(records, stage.decisions, lost)), flush=True)
            finally:
                _say("stopping all parts")
                for number in (signal.SIGINT, *_ENDS):  # nothing interrupts the cleaning up
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        _say("stopped")
        return 130
    except (ControlPlaneMissing, RuntimeError, InvalidInput, OSError) as failed:
        _say(f"error: {failed}" + ("" if options.folder else "\n--folder FOLDER keeps the logs of all parts"))
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo-cluster", description=(__doc__ or "").partition("\n")[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--speed", type=float, default=SPEED, help="how much faster the load's ten minutes pass")
    length.add_argument("--seconds", type=float, help="how long the load's ten minutes take")
    parser.add_argument("--folder", type=Path, help="keep logs and decisions in this new folder")
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = CURVE_S / options.speed if options.speed > 0.0 else 0.0
    if not SHORTEST_S <= options.seconds <= LONGEST_S:
        slowest, fastest = CURVE_S / LONGEST_S, CURVE_S / SHORTEST_S
        parser.error(f"give {SHORTEST_S:g} to {LONGEST_S:g} seconds, or a speed of {slowest:g} to {fastest:g}")
    if options.folder is not None and options.folder.exists():
        parser.error(f"{options.folder} is there already; name a new folder")
    return options


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """That of all files: one that is kept, or one that is gone afterwards."""
    if kept is not None:
        kept.mkdir(parents=True)
        yield kept.resolve()
        return
    # Programs that were just killed may still finish writing.
    with tempfile.TemporaryDirectory(prefix="replicast-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

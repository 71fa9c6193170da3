"""The whole product at work without a GPU: a real control plane and Prometheus, simulated engines, the controller.

    python -m scripts.demo_cluster [--speed 4 | --seconds 150] [--decision-log FILE]

Real are kube-apiserver, etcd, the Deployment and HPA controllers, the scheduler, Prometheus and
`planner controller run` in Enforce mode. KWOK plays the nodes and the pods' starts; `planner simulate --serve` plays
vLLM and Triton.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from models.errors import InvalidInput
from scripts.cluster_demo.playing import played
from scripts.cluster_demo.stage import started
from scripts.cluster_demo.summary import summary
from scripts.cluster_demo.timing import CURVE_S, SHORTEST_S, SPEED, Timing
from scripts.control_plane import ControlPlaneMissing


def main() -> int:
    """Exit code 0 where all parts did their work."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    timing = Timing(seconds=options.seconds or CURVE_S / options.speed)
    try:
        with tempfile.TemporaryDirectory(prefix="replicast-demo-") as folder, ExitStack() as parts:
            parts.callback(lambda: _say("stopping all parts"))
            stage = started(parts, timing, Path(folder), options.decision_log)
            records, lost = played(stage)
            print("\n" + "\n".join(summary(records, stage.decisions, lost)), flush=True)
            # From here on nothing interrupts the cleaning up.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        _say("stopped")
        return 130
    except (ControlPlaneMissing, RuntimeError, InvalidInput) as failed:
        _say(f"error: {failed}")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo-cluster", description=(__doc__ or "").partition("\n")[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--speed", type=float, default=SPEED, help="how much faster the load's ten minutes pass")
    length.add_argument("--seconds", type=float, help="how long the load's ten minutes take")
    parser.add_argument("--decision-log", type=Path, help="keep the controller's decisions in this new file")
    options = parser.parse_args()
    longest, seconds = CURVE_S * 2.0, options.seconds or CURVE_S / max(options.speed, 1e-9)
    if not SHORTEST_S <= seconds <= longest:
        parser.error(f"the load takes {SHORTEST_S:.0f} to {longest:.0f} seconds, not {seconds:.0f}")
    if options.decision_log is not None and options.decision_log.exists():
        parser.error(f"{options.decision_log} is there already; name a new file")
    return options


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

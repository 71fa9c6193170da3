"""How long `planner report` takes, and how much memory: a year of 200 models hour by hour; and the example's month.

    python -m benchmarks.report_speed [--write docs/report-speed.md] [--services N]

The fleet is drawn with a fixed seed: five shipped profiles, demand with a daily cycle and noise, stated replicas.
Goals: 60 s and 500 MB for the year with a spreadsheet and a page, 30 s for the example.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import yaml

from benchmarks.machine import machine

ROOT = Path(__file__).resolve().parent.parent
PROFILES = (
    "llama-3.1-8b-a100-vllm",
    "qwen3-32b-h100-vllm-tp4",
    "llama-3.1-70b-fp8-h100-vllm-tp2",
    "llama-3.1-8b-h100-trtllm-tp1",
    "gpt-oss-120b-fp4-b200-vllm-tp1",
)
HOURS = 8760


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--services", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_fleet(folder, options.services)
        year = measured(["--period", "2025", "--fleet", str(folder / "fleet.yaml")], folder)
        example = ROOT / "examples" / "capacity-report"
        month = measured(
            ["--period", "2026-10", "--time-zone", "Europe/Berlin", "--fleet", str(example / "fleet.yaml"),
             "--prices", str(example / "prices.yaml"), "--as-of", "2026-11-02"], folder,
        )  # fmt: skip
    text = f"""# Speed of `planner report`

Written by `make bench-report` on {datetime.now(UTC).date().isoformat()}: {machine()}. Load of the machine at the start: {load()}.

| report | wall, s | CPU, s | memory, MB | goal |
| --- | --: | --: | --: | --- |
| {options.services} models, a year of hours ({options.services * HOURS:,} rows of CSV), XLSX and HTML | {year} | 60 s, 500 MB |
| the example: six workloads, a month, XLSX and HTML | {month} | 30 s |
"""  # noqa: E501
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def load() -> str:
    """One minute's average before the run."""
    return f"{os.getloadavg()[0]:.1f}"


def measured(arguments: list[str], folder: Path) -> str:
    """Wall, CPU and peak memory of one process."""
    command = [
        sys.executable, "-c", "from planner.cli.main import main; main()", "report", *arguments,
        "-o", str(folder / "out.xlsx"), "-o", str(folder / "out.html"),
    ]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit("planner report failed")
    return f"{wall:.1f} | {usage.ru_utime + usage.ru_stime:.1f} | {usage.ru_maxrss / 1024:.0f}"


def make_fleet(folder: Path, services: int) -> None:
    """The fleet file and one table of history."""
    rng = np.random.default_rng(1)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    times = [(start + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%MZ") for hour in range(HOURS)]
    day = 0.65 - 0.35 * np.cos(2.0 * np.pi * np.arange(HOURS) / 24.0)
    workloads = []
    with (folder / "year.csv").open("w", encoding="utf-8") as out:
        out.write("time,service,requests,input_tokens,output_tokens,replicas\n")
        for at in range(services):
            name, prompt, answer = f"m{at:03}", int(rng.integers(200, 2000)), int(rng.integers(50, 600))
            requests = np.rint(3600.0 * rng.uniform(1, 150) * day * rng.lognormal(0.0, 0.2, HOURS)).astype(int)
            replicas = rng.integers(2, 10)
            out.writelines(
                f"{moment},{name},{count},{count * prompt},{count * answer},{replicas}\n"
                for moment, count in zip(times, requests, strict=True)
            )
            workloads.append(
                {
                    "name": name, "team": f"team-{at % 12}", "environment": "prod" if at % 3 else "dev",
                    "cluster": f"c{at % 4}", "profile": PROFILES[at % len(PROFILES)], "inputTokens": prompt,
                    "outputTokens": answer, "outputCv": 1.0, "minReplicas": 1, "history": [{"table": "year.csv"}],
                    "routing": ("random", "least-outstanding")[at % 2],
                }
            )  # fmt: skip
    fleet = {
        "objectives": ["ttft:p99<=2s"],
        "growth": {"low": 0.1, "base": 0.3, "high": 0.6},
        "clusters": {f"c{at}": {} for at in range(4)},
        "workloads": workloads,
    }
    (folder / "fleet.yaml").write_text(yaml.safe_dump(fleet), encoding="utf-8")


if __name__ == "__main__":
    main()

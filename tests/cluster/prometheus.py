"""A real Prometheus of the tests' own."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scripts.control_plane import program

START_S = 30.0


@contextmanager
def running_prometheus(folder: Path, configuration: dict[str, Any], web: dict[str, Any] | None = None) -> Iterator[str]:
    """Start one with this configuration (and web configuration), wait until it is ready, and stop it; its URL."""
    binary = program("prometheus")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    (folder / "web.yml").write_text(yaml.safe_dump(web or {}), encoding="utf-8")
    url = f"http://127.0.0.1:{_free_port()}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--web.config.file={folder / 'web.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={url.removeprefix('http://')}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _until_ready(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def value_of(url: str, query: str) -> float | None:
    """An instant query's single value; None where it has none."""
    with urllib.request.urlopen(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}", timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else None


def until_scraped(url: str, jobs: set[str]) -> None:
    """Wait until every job has been scraped whole."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if value_of(url, "count(scrape_samples_post_metric_relabeling > 0)") == len(jobs):
            return
        time.sleep(0.2)
    raise TimeoutError(f"Prometheus at {url} has not scraped {sorted(jobs)} in {START_S} s")


def _until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
                return
        except urllib.error.HTTPError as refused:
            if refused.code in (400, 401):  # it asks for TLS or a password, so it is there
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"Prometheus did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

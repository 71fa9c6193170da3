"""The report's history out of a real Prometheus: what was scraped of two pods of vLLM in two days of October 2026."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from controller.prometheus import Prometheus
from planner.capacity_report.period import parse_period
from planner.capacity_report.sources.prometheus import Scraped, prometheus_history
from planner.objective import parse_objectives
from scripts.control_plane import program
from tests.cluster.prometheus import running_prometheus

OCTOBER = parse_period("2026-10")
HOURS = 48
LABELS = {"namespace": "serving", "model_name": "llama"}
SECOND_POD_FROM, RESTART_AT, SLOW_HOUR, QUEUE_HOUR, GAP = 24, 30, 20, 5, (10 * 60, 10 * 60 + 30)


def pages() -> dict[str, list[str]]:
    """Samples of each metric, a minute apart, as text."""
    found: dict[str, list[str]] = {}

    def sample(name: str, pod: str, minute: int, value: float, more: str = "") -> None:
        at = OCTOBER.start_s + 60 * minute
        labels = f'namespace="serving",model_name="llama",pod="{pod}",instance="{pod}:8000"{more}'
        found.setdefault(name, []).append(f"{name}{{{labels}}} {value:g} {at:.0f}")

    for pod, first in (("p0", 0), ("p1", SECOND_POD_FROM * 60)):
        done = fast = slow = 0.0
        for minute in range(first, HOURS * 60 + 1):
            hour = minute // 60
            if pod == "p1" and minute == RESTART_AT * 60:
                done = fast = slow = 0.0
            queued = 600.0 * min(max(minute - QUEUE_HOUR * 60, 0), 60) / 60 if hour <= QUEUE_HOUR else 0.0
            if minute == (QUEUE_HOUR + 1) * 60:
                queued = 600.0  # all of it is served in the hour that follows
            if not GAP[0] <= minute < GAP[1]:
                sample("vllm:num_requests_running", pod, minute, 1.0)
                sample("vllm:num_requests_waiting", pod, minute, queued if pod == "p0" else 0.0)
                sample("vllm:request_success_total", pod, minute, done)
                sample("vllm:prompt_tokens_total", pod, minute, 100.0 * done)
                sample("vllm:generation_tokens_total", pod, minute, 10.0 * done)
                for bound, value in (("0.25", fast), ("0.5", fast), ("1.0", fast + slow), ("+Inf", fast + slow)):
                    sample("vllm:time_to_first_token_seconds_bucket", pod, minute, value, f',le="{bound}"')
                at = OCTOBER.start_s + 60 * minute
                for resource, amount in (("nvidia_com_gpu", 2.0), ("cpu", 8.0)):
                    found.setdefault("kube_pod_container_resource_requests", []).append(
                        f'kube_pod_container_resource_requests{{namespace="serving",pod="{pod}",node="n",'
                        f'resource="{resource}"}} {amount:g} {at:.0f}'
                    )
            served = 60.0 * (1.0 + (10.0 / 60.0 if hour == QUEUE_HOUR + 1 and pod == "p0" else 0.0))
            done += served
            fast, slow = (fast, slow + served) if hour == SLOW_HOUR else (fast + served, slow)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("history")
    text = "".join(f"# TYPE {name} unknown\n" + "\n".join(lines) + "\n" for name, lines in pages().items())
    (folder / "pages.om").write_text(f"{text}# EOF\n", encoding="utf-8")
    subprocess.run(
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", folder / "pages.om", folder / "data"],
        check=True,
        capture_output=True,
    )
    with running_prometheus(folder, {"global": {"scrape_interval": "1m"}}) as url:
        yield Prometheus(url)


def scraped(**more) -> Scraped:
    fields = {
        "engine": "vllm",
        "labels": LABELS,
        "gpu_labels": None,
        "gpus_per_replica": 2,
        "objectives": tuple(parse_objectives(("ttft:p99<=500ms",))),
    }
    return Scraped(**{**fields, **more})


@pytest.fixture(scope="module")
def found(server):
    return prometheus_history(server, scraped(), OCTOBER, covered=OCTOBER.slots)


def test_arrivals_are_those_that_ended_and_the_growth_of_the_queue(found):
    assert found.requests[2] == pytest.approx(3600, rel=0.01)
    assert found.requests[QUEUE_HOUR] == pytest.approx(3600 + 600, rel=0.01)
    assert found.requests[QUEUE_HOUR + 1] == pytest.approx(3600, rel=0.01)
    assert found.requests[40] == pytest.approx(2 * 3600, rel=0.01)
    assert found.input_tokens[2] == pytest.approx(360_000, rel=0.01)
    assert found.output_tokens[2] == pytest.approx(36_000, rel=0.01)


def test_a_restart_loses_nothing_and_what_was_not_scraped_is_not_known(found):
    assert found.requests[RESTART_AT] == pytest.approx(2 * 3600, rel=0.02)
    assert np.isnan(found.requests[GAP[0] // 60])
    assert np.isnan(found.replicas[GAP[0] // 60])
    assert np.isnan(found.requests[HOURS:]).all()
    assert np.count_nonzero(np.isnan(found.requests[:HOURS])) == 1


def test_replicas_are_the_pods_that_report_or_those_that_hold_gpus(server, found):
    known = [0, 3, 30, 47]
    assert list(found.replicas[known]) == pytest.approx([1, 1, 2, 2], rel=0.02)
    by_gpus = prometheus_history(server, scraped(gpu_labels={"namespace": "serving"}), OCTOBER, covered=OCTOBER.slots)
    assert list(by_gpus.replicas[known]) == pytest.approx([1, 1, 2, 2], rel=0.02)


def test_whether_objectives_held_is_measured_and_told_where_it_is_not(server, found):
    assert (found.met[2], found.met[SLOW_HOUR], found.met[SLOW_HOUR + 1]) == (1.0, 0.0, 1.0)
    assert np.isnan(found.met[HOURS:]).all()
    unmeasured = scraped(objectives=tuple(parse_objectives(("queue:p99<=1s",))), engine="triton")
    judged = prometheus_history(server, unmeasured, OCTOBER, covered=HOURS)
    assert np.isnan(judged.met).all()
    assert "no metric" in judged.notes[0]


def test_labels_that_choose_nothing_leave_all_unknown(server):
    nothing = prometheus_history(server, scraped(labels={"namespace": 'x"} or up{a="'}), OCTOBER, covered=HOURS)
    assert np.isnan(nothing.requests).all()
    assert np.isnan(nothing.replicas).all()


def test_the_command_reads_it(server, tmp_path: Path, capsys):
    from planner.cli.main import run

    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(
        "profile: llama-3.1-8b-a100-vllm\nobjectives: ['ttft:p99<=500ms']\nworkloads:\n"
        "- {name: chat, history: [{prometheus: {namespace: serving, model_name: llama}}]}\n",
        encoding="utf-8",
    )
    out = tmp_path / "report.md"
    options = ["report", "--period", "2026-10", "--fleet", str(fleet), "-o", str(out), "--as-of", "2026-10-02"]
    assert run([*options, "--prometheus", server.address]) == 0
    assert "Prometheus http://127.0.0.1" in out.read_text(encoding="utf-8")
    assert run(options) == 2
    assert "name the server with --prometheus URL" in capsys.readouterr().err

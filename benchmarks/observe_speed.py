"""How long the metrics of a thousand policies take: the questions, the answers over HTTP, and what is believed of each.

The server says the same bytes to everyone, so that none of its time is in it; its answers are those of healthy engines.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from benchmarks.machine import machine
from controller.asking import ask
from controller.capacity_policy import MetricsSource
from controller.meanings import Meaning
from controller.observe import observe_all
from controller.prometheus import PrometheusSettings
from controller.queries import MEANING, Plan, SeriesOf, plan_queries
from controller.snapshot import Evidence, Observation, Pods, Target

PODS = 10
GOAL_S = 1.0


def policies(count: int) -> list[SeriesOf]:
    """Half of vLLM, half of Triton, in fifty namespaces, each tenth behind a gateway."""
    return [
        SeriesOf(
            policy=f"team-{index % 50}/model-{index}",
            engine="vllm" if index % 2 else "triton",
            source=MetricsSource.model_validate(
                {
                    "matchLabels": {
                        "namespace": f"team-{index % 50}",
                        "model_name" if index % 2 else "model": f"m-{index}",
                    },
                    "arrivals": {"metric": "gateway_requests_total", "matchLabels": {"route": f"m-{index}"}}
                    if index % 10 == 0
                    else None,
                }
            ),
        )
        for index in range(count)
    ]


def bodies(plan: Plan, now_s: float) -> dict[str, bytes]:
    """What a server would say to each query."""
    present = {Meaning.NEWEST: now_s - 2.0, Meaning.OLDEST: now_s - 12.0, Meaning.PODS: float(PODS)}
    values = dict.fromkeys(Meaning, 1.0) | present | {Meaning.RESETS: 0.0, Meaning.SCRAPES: 4.0}
    answers = {}
    for index, query in enumerate(plan.queries):
        rows = [_row({}, f"0/{Meaning.NOW}", now_s, now_s)]
        for places in (plan.engines, plan.arrivals):
            for place in places.values():
                if place.query == index:
                    labels = dict(zip(query.labels[place.group], place.values, strict=True))
                    rows += [
                        _row(labels, f"{place.group}/{meaning}", values[meaning], now_s)
                        for meaning in Meaning
                        if meaning is not Meaning.NOW and f'"{place.group}/{meaning}"' in query.text
                    ]
        answers[query.text] = json.dumps({"status": "success", "data": {"result": rows}}).encode()
    return answers


def _row(labels: Mapping[str, str], meaning: str, value: float, now_s: float) -> dict[str, object]:
    return {"metric": {**labels, MEANING: meaning}, "value": [now_s, f"{value:.17g}"]}


@contextmanager
def serving(answers: Mapping[str, bytes]) -> Iterator[str]:
    """A server that has these answers; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._say(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _say(self, question: str) -> None:
            body = answers[parse_qs(question)["query"][0]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def tick(url: str, asked: list[SeriesOf], targets: Mapping[str, Target]) -> dict[str, Observation]:
    """All that a tick does with metrics."""
    plan = plan_queries(asked)
    answers = ask(PrometheusSettings(url=url).connect(), plan, clock=time.time)
    return observe_all(plan, answers, targets)


def main() -> None:
    """Print what it takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    asked = policies(options.policies)
    targets = {each.policy: Target(uid="u", replicas=PODS, pods=Pods(ready=PODS)) for each in asked}
    plan = plan_queries(asked)
    answers = bodies(plan, time.time())
    with serving(answers) as url:
        times, of_process = [], []
        for _ in range(options.runs):
            began_s, process_s = time.perf_counter(), time.process_time()
            found = tick(url, asked, targets)
            times.append(time.perf_counter() - began_s)
            of_process.append(time.process_time() - process_s)
        tracemalloc.start()
        tick(url, asked, targets)
        peak = tracemalloc.get_traced_memory()[1]
    fresh = sum(each.evidence is Evidence.FRESH for each in found.values())
    size = sum(map(len, answers.values()))
    met = "met" if statistics.median(of_process) <= GOAL_S else "not met"
    print(f"{machine()}")
    print(
        f"{options.policies:,} policies, {fresh:,} fresh: {len(plan.queries)} queries, {size / 1e6:.1f} MB of answers"
    )
    print(
        f"a tick: {statistics.median(times):.2f} s, {statistics.median(of_process):.2f} s of processor "
        f"(goal ≤ {GOAL_S:g} s: {met}), peak {peak / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()

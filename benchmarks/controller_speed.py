"""The controller against its goals: a thousand policies over ten thousand pods in a real API server, a real Prometheus.

`make bench-controller` prints the figures and writes docs/controller-speed.md. The objects are made directly and the
other controllers stand still meanwhile: what is measured is the controller, in a process of its own, not how Kubernetes
makes pods. One page shows Prometheus the metrics of every pod.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import machine

if TYPE_CHECKING:
    from controller.capacity_model import CapacityModel
    from controller.memory import Memory

ROOT = Path(__file__).parents[1]
PROFILE = "llama-3.1-8b-a100-vllm"
TEAMS, PODS = 10, 10
FEW = "few"
"""A namespace of ten policies, beside those of the teams."""
INTERVAL_S = 4.0
WAIT_S = 130.0
"""Until rates over a minute are known."""
MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class Model:
    """One policy's target and its load."""

    namespace: str
    name: str
    rate_per_s: float
    """Of one pod."""
    prompt: float
    output: float


def models(count: int) -> list[Model]:
    """Loads from light to what ten replicas just carry, each with lengths of its own."""
    found = []
    for index in range(count):
        share = (index * 0.618) % 1.0
        prompt, output = 200.0 + 800.0 * ((index * 0.414) % 1.0), 60.0 + 140.0 * ((index * 0.732) % 1.0)
        namespace = FEW if index < 10 else f"team-{index % TEAMS}"
        rate = (0.5 + 9.5 * share) * 150.0 / output / (1.0 + prompt / 1000.0)
        found.append(Model(namespace=namespace, name=f"m-{index}", rate_per_s=rate, prompt=prompt, output=output))
    return found


# What is in the cluster


def deployment(model: Model) -> dict[str, Any]:
    container = {
        "name": "engine", "image": "vllm/vllm-openai:v0.11.0", "args": ["--model", "llama", "--port", "8000"],
        "env": [{"name": f"SETTING_{number}", "value": "some value"} for number in range(8)],
        "ports": [{"containerPort": 8000, "name": "http"}],
        "resources": {"limits": {"nvidia.com/gpu": "1", "cpu": "8", "memory": "64Gi"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}},
    }  # fmt: skip
    labels = {"app": model.name, "app.kubernetes.io/part-of": "bench"}
    template = {
        "metadata": {"labels": {**labels, "pod-template-hash": "5d4f8c7b9"}},
        "spec": {"containers": [container]},
    }
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": model.name, "labels": labels},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": model.name}}, "template": template},
    }  # fmt: skip


def policy(model: Model) -> dict[str, Any]:
    return {
        "apiVersion": "replicast.dev/v1alpha1", "kind": "CapacityPolicy", "metadata": {"name": model.name},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": model.name},
            "profileRef": {"name": PROFILE},
            "metrics": {"matchLabels": {"namespace": model.namespace, "model_name": model.name}},
            "objectives": ["ttft:p99<=2s", "itl:p95<=100ms"],
            "bounds": {"min": PODS, "max": 4 * PODS},
            "mode": "Enforce",
        },
    }  # fmt: skip


class Filling:
    """Makes the objects, several at once."""

    def __init__(self, kubeconfig: Path) -> None:
        from controller.kubernetes_api import Kubernetes

        self._api = Kubernetes.connect(kubeconfig)

    def namespaces(self) -> None:
        from planner.profile import load_profile

        content = load_profile(PROFILE).model_dump(mode="json", by_alias=True, exclude_defaults=True)
        profile = {
            **content,
            "apiVersion": "replicast.dev/v1alpha1",
            "kind": "EngineProfile",
            "metadata": {"name": PROFILE},
        }
        for name in (FEW, *(f"team-{team}" for team in range(TEAMS))):
            self._api.create("/api/v1/namespaces", {"metadata": {"name": name}})
            self._api.create(f"/apis/replicast.dev/v1alpha1/namespaces/{name}/engineprofiles", profile)

    def models(self, made: Sequence[Model]) -> None:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(self._model, made))

    def _model(self, model: Model) -> None:
        apps = f"/apis/apps/v1/namespaces/{model.namespace}/deployments"
        made = deployment(model)
        self._api.create(apps, made)
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), PODS)
        self._api.patch(f"{apps}/{model.name}/status", {"status": {**counts, "observedGeneration": 1}})
        for number in range(PODS):
            self._pod(model, made["spec"]["template"], f"{model.name}-5d4f8c7b9-{number:05d}")
        policies = f"/apis/replicast.dev/v1alpha1/namespaces/{model.namespace}/capacitypolicies"
        self._api.create(policies, policy(model))

    def _pod(self, model: Model, template: dict[str, Any], name: str) -> None:
        pods = f"/api/v1/namespaces/{model.namespace}/pods"
        self._api.create(pods, {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **template["metadata"]},
            "spec": {**template["spec"], "nodeName": "somewhere", "automountServiceAccountToken": False},
        })  # fmt: skip
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds]
        running = {
            "name": "engine",
            "ready": True,
            "restartCount": 0,
            "image": "vllm/vllm-openai:v0.11.0",
            "imageID": "x",
        }
        running["state"] = {"running": {"startedAt": now}}
        status = {"phase": "Running", "conditions": conditions, "containerStatuses": [running], "podIP": "10.0.0.1"}
        self._api.patch(f"{pods}/{name}/status", {"status": status})


# What Prometheus scrapes


PROMPT_ENDS = ("100.0", "200.0", "500.0", "1000.0", "2000.0", "5000.0", "+Inf")
OUTPUT_ENDS = ("20.0", "50.0", "100.0", "200.0", "500.0", "1000.0", "+Inf")
"""A few of the buckets that an engine has."""
SERIES = 14 + len(PROMPT_ENDS) + len(OUTPUT_ENDS)
"""Of a pod."""


class Counters:
    """Of one model's pods together: arrivals by chance (Poisson), lengths that vary, times as the profile has them."""

    def __init__(self, model: Model, times_s: tuple[float, float]) -> None:
        self._model, self._ttft_s, self._itl_s = model, *times_s
        self._chance = random.Random(model.name)  # noqa: S311 -- the same noise on every run
        self._ended = self._prompt = self._output = 0.0
        self.grow(1000.0)

    def grow(self, seconds: float) -> None:
        """By what ends in a time; a count of many is nearly normal."""
        model, mean = self._model, PODS * self._model.rate_per_s * seconds
        ended = max(0.0, self._chance.gauss(mean, mean**0.5))
        error = 1.0 / max(ended, 1.0) ** 0.5
        self._ended += ended / PODS
        self._prompt += ended / PODS * model.prompt * max(0.0, self._chance.gauss(1.0, error))
        self._output += ended / PODS * model.output * max(0.0, self._chance.gauss(1.0, error))

    def values(self) -> dict[str, float]:
        """Of one pod: all have the same."""
        model, ended, output = self._model, self._ended, self._output
        e2e_s = self._ttft_s + self._itl_s * model.output
        found = {
            "ended": ended, "prompt": self._prompt, "output": output, "ttft": self._ttft_s * ended,
            "itl": self._itl_s * output, "e2e": e2e_s * ended, "tokens": output, "running": model.rate_per_s * e2e_s,
        }  # fmt: skip
        for name, mean, ends in (("p", model.prompt, PROMPT_ENDS), ("o", model.output, OUTPUT_ENDS)):
            found |= {f"{name}{end}": ended * (1.0 - math.exp(-float(end) / mean)) for end in ends}
        return found


class Page:
    """The metrics of every pod of some models under steady loads, which vary by chance."""

    def __init__(self, shown: Sequence[Model], began_s: float) -> None:
        self._at_s = began_s
        self._lock = threading.Lock()
        self._parts = [(Counters(model, times_s(model)), self._template(model)) for model in shown]

    def text(self) -> bytes:
        with self._lock:
            now_s = time.time()
            for counters, _ in self._parts:
                counters.grow(now_s - self._at_s)
            self._at_s = now_s
            return "".join(part % counters.values() for counters, part in self._parts).encode()

    @staticmethod
    def _template(model: Model) -> str:
        lines = []
        for number in range(PODS):
            pod = f"{model.name}-5d4f8c7b9-{number:05d}"
            labels = f'namespace="{model.namespace}",pod="{pod}",model_name="{model.name}",engine="0"'
            for name, value in (
                ("num_requests_running", "running"), ("num_requests_waiting", None), ("kv_cache_usage_perc", None),
                ("request_success_total", "ended"),
                ("request_prompt_tokens_sum", "prompt"), ("request_prompt_tokens_count", "ended"),
                ("request_generation_tokens_sum", "output"), ("request_generation_tokens_count", "ended"),
                ("time_to_first_token_seconds_sum", "ttft"), ("time_to_first_token_seconds_count", "ended"),
                ("inter_token_latency_seconds_sum", "itl"), ("inter_token_latency_seconds_count", "tokens"),
                ("e2e_request_latency_seconds_sum", "e2e"), ("e2e_request_latency_seconds_count", "ended"),
            ):  # fmt: skip
                reason = ',finished_reason="stop"' if name == "request_success_total" else ""
                number_text = "0" if value is None else f"%({value}).3f"
                lines.append(f"vllm:{name}{{{labels}{reason}}} {number_text}\n")
            for name, value, ends in (("prompt", "p", PROMPT_ENDS), ("generation", "o", OUTPUT_ENDS)):
                lines += [
                    f'vllm:request_{name}_tokens_bucket{{{labels},le="{end}"}} %({value}{end}).3f\n' for end in ends
                ]
        return "".join(lines)


def times_s(model: Model) -> tuple[float, float]:
    """Mean TTFT and ITL as the profile predicts them, so that no profile is stale."""
    from controller.capacity_model import Load

    rate = PODS * model.rate_per_s
    load = Load(rate_per_s=rate, prompt_tokens=model.prompt, output_tokens=model.output, input_cv=1.0)
    means = _profile().means(load, PODS)
    return means.ttft_s or 0.15, means.itl_s or 0.012


@lru_cache(maxsize=1)
def _profile() -> CapacityModel:
    from controller.capacity_model import CapacityModel
    from planner.profile import load_profile

    return CapacityModel(load_profile(PROFILE))


@contextmanager
def shown(pages: Sequence[Page]) -> Iterator[list[str]]:
    """Served over HTTP; the addresses with their paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages[int(self.path.rpartition("/")[2])].text()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield [f"127.0.0.1:{server.server_port}/{index}" for index in range(len(pages))]
    finally:
        server.shutdown()
        server.server_close()


def configuration(addresses: Sequence[str]) -> dict[str, Any]:
    """Of Prometheus: each page is a target whose labels are the pods' own."""
    jobs = [
        {
            "job_name": f"page-{number}", "honor_labels": True, "metrics_path": f"/{address.partition('/')[2]}",
            "static_configs": [{"targets": [address.partition("/")[0]]}],
        }
        for number, address in enumerate(addresses)
    ]  # fmt: skip
    return {"global": {"scrape_interval": "15s", "scrape_timeout": "14s"}, "scrape_configs": jobs}


# The controller, in a process of its own


def controlled(kubeconfig: str, url: str, namespace: str, ticks: int) -> None:
    """Sync, tick, and say in JSON what it took."""
    from controller.caches import Caches
    from controller.controller import Controller
    from controller.kubernetes_api import Kubernetes
    from controller.leader import Alone
    from controller.prometheus import Prometheus, PrometheusSettings
    from controller.prometheus_observer import PrometheusObserver
    from controller.telemetry import Telemetry

    api = Kubernetes.connect(Path(kubeconfig))
    began_s = time.monotonic()
    caches = Caches(api, namespace)
    late = caches.start(120.0)
    synced_s = time.monotonic() - began_s
    observer, queries, asked_s = PrometheusObserver(PrometheusSettings(url=url), window_s=60.0), [0], [0.0]
    instant = Prometheus.instant

    def counted(server: Prometheus, query: str) -> Any:
        queries[0] += 1
        start_s = time.monotonic()
        try:
            return instant(server, query)
        finally:
            asked_s[0] += time.monotonic() - start_s

    setattr(Prometheus, "instant", counted)  # noqa: B010 -- to count
    controller = Controller(api=api, caches=caches, observe=observer, leader=Alone(), telemetry=Telemetry())
    rows: list[dict[str, Any]] = []
    filled = False
    for _ in range(ticks):
        if not filled and rows and all(memory.demand for memory in controller.memories.values()):
            filled = True
            for key, memory in controller.memories.items():
                controller.memories[key] = _as_after_an_hour(memory)
        queries[0], asked_s[0], process_s = 0, 0.0, time.process_time()
        ticked = controller.tick()
        rows.append({
            "seconds": ticked.seconds, "processor": time.process_time() - process_s, "writes": ticked.writes,
            "queries": queries[0], "asked": asked_s[0], "policies": len(ticked.decisions), "rss": _memory("VmRSS"),
            "undecided": len(ticked.undecided),
            "fresh": sum(each.conditions[2].status == "True" for each in ticked.decisions.values()),
        })  # fmt: skip
        why = next(iter(ticked.undecided.values()), "")
        print(f"{namespace or 'all'}: {rows[-1]} {why}", file=sys.stderr, flush=True)
        time.sleep(max(0.0, INTERVAL_S - ticked.seconds))
    undecided = list(ticked.undecided.items())[:2]
    found = {"late": late, "synced": synced_s, "rows": rows, "peak": _memory("VmHWM"), "undecided": undecided}
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(0)


@lru_cache(maxsize=1)
def _ticks_before(at_s: float) -> list[float]:
    """The same for all policies, as they are where one tick looks at all."""
    return [at_s - 15.0 * step for step in range(239, 0, -1)]


def _as_after_an_hour(memory: Memory) -> Memory:
    """What is remembered of an hour under the present load, with the noise that a minute's counts have."""
    from controller.memory import Sample

    last, needed = memory.demand[-1], memory.recommended[-1].value
    times = _ticks_before(last.at_s)
    noise = random.Random(1)  # noqa: S311 -- the same noise on every run
    loads = [max(0.0, noise.gauss(last.value, (last.value / 60.0) ** 0.5)) for _ in times[-119:]]
    demand = [Sample(at_s=at_s, value=value) for at_s, value in zip(times[-119:], loads, strict=True)]
    recommended = [Sample(at_s=at_s, value=needed) for at_s in times]
    return replace(
        memory,
        since_s=times[0],
        demand=(*demand, *memory.demand),
        recommended=(*recommended, *memory.recommended),
    )


def _memory(name: str) -> int:
    """Bytes; `VmHWM` is the highest since the program began, whatever its parent had."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])


def measured(kubeconfig: Path, url: str, namespace: str, ticks: int) -> dict[str, Any]:
    """What the controller's process says."""
    call = [sys.executable, "-m", "benchmarks.controller_speed", "--child", str(kubeconfig), url, namespace, str(ticks)]
    done = subprocess.run(call, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=900)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# One decision


def decisions(count: int) -> tuple[list[float], list[float]]:
    """Seconds of processor for loads that are new, and for the same again."""
    from controller.capacity_model import CapacityModel
    from controller.decide import decide
    from controller.snapshot import Evidence, Observation
    from planner.profile import load_profile
    from tests.controller.world import World, readings

    world = World(load=lambda _: 60.0, replicas=4)
    world.run(1800.0)
    seen, capacity = world.snapshot(), CapacityModel(load_profile(PROFILE))
    new: list[float] = []
    again: list[float] = []
    for index in range(count):
        rate, prompt = 5.0 + 295.0 * ((index * 0.618) % 1.0), 200.0 + 800.0 * ((index * 0.414) % 1.0)
        found = readings(seen.now_s, rate, 4, prompt_tokens=prompt, itl_s=0.015)
        snapshot = replace(seen, observation=Observation(evidence=Evidence.FRESH, readings=found))
        for times in (new, again):
            start_s = time.process_time()
            decide(snapshot, world.memory, capacity)
            times.append(time.process_time() - start_s)
    return new, again


# The page


@dataclass(frozen=True, kw_only=True)
class Row:
    """A figure and its goal."""

    what: str
    value: float
    unit: str
    goal: float | None = None

    def line(self) -> str:
        """Of the table."""
        goal = "" if self.goal is None else f"≤ {self.goal:g} {self.unit}".rstrip()
        met = "" if self.goal is None else "met" if self.value <= self.goal else "**not met**"
        return f"| {self.what} | {self.value:.3g} {self.unit} | {goal} | {met} |".replace("  ", " ")


def rows(many: dict[str, Any], few: dict[str, Any], new: list[float], again: list[float]) -> Iterable[Row]:
    first, *_ = many["rows"]
    steady, of_few = (found["rows"][-len(found["rows"]) // 4 :] for found in (many, few))

    def median(found: Sequence[dict[str, Any]], name: str) -> float:
        return float(statistics.median(each[name] for each in found))

    policies = first["policies"]
    yield Row(
        what=f"all caches filled, {policies:,} policies, {policies * PODS:,} pods", value=many["synced"], unit="s"
    )
    yield Row(what="first tick: every load new, every status written", value=first["seconds"], unit="s")
    yield Row(what="one tick, steady (median)", value=median(steady, "seconds"), unit="s", goal=5.0)
    yield Row(what="… of it waiting for Prometheus", value=median(steady, "asked"), unit="s")
    yield Row(what="… processor time of the controller", value=median(steady, "processor"), unit="s")
    yield Row(what="memory (RSS), steady", value=max(each["rss"] for each in steady) / MEBIBYTE, unit="MiB", goal=200.0)
    yield Row(what="memory (RSS), highest ever", value=many["peak"] / MEBIBYTE, unit="MiB", goal=200.0)
    yield Row(what="Prometheus queries a tick", value=max(each["queries"] for each in many["rows"]), unit="", goal=10.0)
    yield Row(what="writes a tick, steady", value=max(each["writes"] for each in steady), unit="", goal=0.0)
    yield Row(
        what="one tick of 10 policies, steady (median)", value=1e3 * median(of_few, "seconds"), unit="ms", goal=200.0
    )
    yield Row(what="… of it waiting for Prometheus", value=1e3 * median(of_few, "asked"), unit="ms")
    for text, times in (("a load that is new", new), ("a load that was asked for before", again)):
        ordered = sorted(times)
        yield Row(what=f"`decide`, {text}: median", value=1e3 * statistics.median(ordered), unit="ms", goal=10.0)
        yield Row(what=f"`decide`, {text}: p95", value=1e3 * ordered[int(0.95 * len(ordered))], unit="ms")


def page(found: Sequence[Row], fresh: str, load: float, many_rows: Sequence[Any]) -> str:
    """docs/controller-speed.md."""
    table = "\n".join(row.line() for row in found)
    return f"""# How fast the controller is

Measured by `make bench-controller` on {datetime.now(UTC):%Y-%m-%d}: {machine()}.
The load average of the machine was {load:.1f} when it ended: API server, etcd, Prometheus and the page that it scrapes
share the cores with the controller, and so does whoever else works there.

| what | measured | goal | |
| --- | --- | --- | --- |
{table}

{fresh}

The API server and etcd are real, and hold a Deployment with ten pods for each policy; the pods were made directly, and
Kubernetes' own controllers stand still, so that no write of ours moves anything. Prometheus is real as well: every 15 s
it scrapes {SERIES} series of each vLLM ({SERIES * PODS:,} for each policy): those that the controller looks at, with
seven buckets of each length, of which an engine has some more. Loads are steady, with the noise of a Poisson stream and
of lengths that vary; every pod of a model has the same part of it. Times are those that the profile predicts.
`decide` is timed in processor time; everything else by the clock. The controller is a process of its own, whose memory
is that of this process alone. After the first tick each policy's memory is filled with an hour of its load, with the
noise of counting, which is as much as is ever remembered. *Steady* is the last quarter of {len(many_rows)} ticks, one
every {INTERVAL_S:g} s. A tick whose loads are new sizes every policy anew; what is planned for stays while it differs
by no more than chance, so that a steady load is answered from memory.
"""


def main(call: Callable[[dict[str, Any]], str] = json.dumps) -> None:
    """Make the cluster, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policies", type=int, default=1000)
    parser.add_argument("--ticks", type=int, default=36)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--child", nargs=4)
    options = parser.parse_args()
    if options.child:
        kubeconfig, url, namespace, ticks = options.child
        controlled(kubeconfig, url, namespace, int(ticks))
        return
    from tests.cluster.control_plane import running_control_plane
    from tests.cluster.prometheus import running_prometheus
    from tests.cluster.serving import apply_ours

    new, again = decisions(200)
    made = models(options.policies)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "prometheus").mkdir()
        (folder / "cluster").mkdir()
        began_s = time.time()
        pages = [Page(made[number::4], began_s) for number in range(4)]
        addresses = stack.enter_context(shown(pages))
        url = stack.enter_context(running_prometheus(folder / "prometheus", configuration(addresses)))
        plane = stack.enter_context(running_control_plane(folder / "cluster"))
        apply_ours(plane)
        filling = Filling(plane.kubeconfig)
        filling.namespaces()
        time.sleep(5.0)  # until each has its service account
        for component in ("kwok-controller", "kube-scheduler", "kube-controller-manager"):
            stack.enter_context(plane.frozen(component))
        filling.models(made)
        print(f"{len(made):,} models made in {time.time() - began_s:.0f} s", file=sys.stderr, flush=True)
        time.sleep(max(0.0, began_s + WAIT_S - time.time()))
        few = measured(plane.kubeconfig, url, FEW, options.ticks)
        print(call(few), file=sys.stderr, flush=True)
        many = measured(plane.kubeconfig, url, "", options.ticks)
        print(call(many), file=sys.stderr, flush=True)
    last = many["rows"][-1]
    fresh = f"At the last tick {last['fresh']:,} of {last['policies']:,} policies had fresh metrics, "
    fresh += f"{last['undecided']} were undecided."
    text = page(list(rows(many, few, new, again)), fresh, os.getloadavg()[0], many["rows"])
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

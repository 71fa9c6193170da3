"""What engines call their metrics: one table of names by meaning, the newest first, across versions.

vLLM: seconds; labels `model_name` and, from its V1 engine on, `engine`. Checked against the text of vLLM 0.32; older
names are those of 0.6 to 0.31. Triton: `nv_inference_*`, cumulative microseconds summed over *requests* (each adds its
whole batch's time), labels `model` and `version`; checked against 2.51, which has summaries but no histograms. Its
TensorRT-LLM backend adds gauges of the engine's last step (`nv_trt_llm_*`, one name for several meanings, told apart by
a label) and the lengths of requests, under the engine's own model, `tensorrt_llm`, not under an ensemble; from the
backend's documentation and source (github.com/triton-inference-server/tensorrtllm_backend, custom_metrics_reporter).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import Enum

Names = tuple[str, ...]


class Kind(Enum):
    """How a metric counts."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"
    """A constant 1 whose labels are what it says."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One meaning, and every name that it has had."""

    kind: Kind
    names: Names
    to_si: float = 1.0
    """What one unit of it is in seconds, requests, tokens or fractions."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Labels that choose this meaning among others of the same name."""

    def series(self) -> Names:
        """The names of its time series."""
        if self.kind is not Kind.HISTOGRAM:
            return self.names
        return tuple(f"{name}_{part}" for name in self.names for part in ("bucket", "sum"))


@dataclass(frozen=True, kw_only=True)
class EngineMetrics:
    """The metrics of one kind of engine; None where it has no such metric."""

    model_label: str
    """The label that names the model."""
    running: Metric | None = None
    waiting: Metric
    succeeded: Metric
    failed: Metric | None = None
    rejected: Metric | None = None
    prompt_tokens: Metric | None = None
    output_tokens: Metric | None = None
    preemptions: Metric | None = None
    prefix_queries: Metric | None = None
    prefix_hits: Metric | None = None
    external_prefix_hits: Metric | None = None
    """Tokens beyond those of `prefix_hits` that other caches held."""
    inferences: Metric | None = None
    """Items of requests: as many as requests where each brings one."""
    executions: Metric | None = None
    """Batches."""
    compute_input_sum: Metric | None = None
    compute_infer_sum: Metric | None = None
    compute_output_sum: Metric | None = None
    """Time of each request's batch on an instance, in three parts."""
    e2e_sum: Metric | None = None
    queue_sum: Metric | None = None
    ttft: Metric | None = None
    itl: Metric | None = None
    tpot: Metric | None = None
    e2e: Metric | None = None
    queue: Metric | None = None
    prompt_length: Metric | None = None
    output_length: Metric | None = None
    kv_usage: Metric | None = None
    kv_used_blocks: Metric | None = None
    kv_blocks: Metric | None = None
    kv_block_tokens: Metric | None = None
    generating: Metric | None = None
    """Running requests that generate."""
    prefilling: Metric | None = None
    """Running requests whose prompt is computed."""
    max_running: Metric | None = None
    """The most that may run, as the engine was started."""
    cache_config: Metric | None = None

    def of(self, *kinds: Kind) -> Iterator[tuple[str, Metric]]:
        """Meaning and metric, of these kinds."""
        for entry in fields(self):
            metric = getattr(self, entry.name)
            if isinstance(metric, Metric) and metric.kind in kinds:
                yield entry.name, metric


def _gauge(*names: str, **where: str) -> Metric:
    return Metric(kind=Kind.GAUGE, names=names, where=where)


def _counter(*names: str, to_si: float = 1.0) -> Metric:
    return Metric(kind=Kind.COUNTER, names=names, to_si=to_si)


def _histogram(*names: str, to_si: float = 1.0) -> Metric:
    return Metric(kind=Kind.HISTOGRAM, names=names, to_si=to_si)


VLLM = EngineMetrics(
    model_label="model_name",
    running=_gauge("vllm:num_requests_running"),
    waiting=_gauge("vllm:num_requests_waiting"),
    succeeded=_counter("vllm:request_success_total"),
    rejected=_counter("vllm:admission_rejections_total"),
    prompt_tokens=_counter("vllm:prompt_tokens_total"),
    output_tokens=_counter("vllm:generation_tokens_total"),
    preemptions=_counter("vllm:num_preemptions_total"),
    prefix_queries=_counter("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    prefix_hits=_counter("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    external_prefix_hits=_counter("vllm:external_prefix_cache_hits_total"),
    ttft=_histogram("vllm:time_to_first_token_seconds"),
    # The old name says "per output token" and counted gaps between tokens, each once: ITL, not TPOT.
    itl=_histogram("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
    tpot=_histogram("vllm:request_time_per_output_token_seconds"),
    e2e=_histogram("vllm:e2e_request_latency_seconds"),
    queue=_histogram("vllm:request_queue_time_seconds"),
    prompt_length=_histogram("vllm:request_prompt_tokens"),
    output_length=_histogram("vllm:request_generation_tokens"),
    kv_usage=_gauge("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    cache_config=Metric(kind=Kind.INFO, names=("vllm:cache_config_info",)),
)

TRITON = EngineMetrics(
    model_label="model",
    waiting=_gauge("nv_inference_pending_request_count"),
    succeeded=_counter("nv_inference_request_success"),
    failed=_counter("nv_inference_request_failure"),
    inferences=_counter("nv_inference_count"),
    executions=_counter("nv_inference_exec_count"),
    compute_input_sum=_counter("nv_inference_compute_input_duration_us", to_si=1e-6),
    compute_infer_sum=_counter("nv_inference_compute_infer_duration_us", to_si=1e-6),
    compute_output_sum=_counter("nv_inference_compute_output_duration_us", to_si=1e-6),
    e2e_sum=_counter("nv_inference_request_duration_us", to_si=1e-6),
    queue_sum=_counter("nv_inference_queue_duration_us", to_si=1e-6),
)

_REQUESTS, _BLOCKS = "nv_trt_llm_request_metrics", "nv_trt_llm_kv_cache_block_metrics"
TRITON_TRTLLM = replace(
    TRITON,
    # Every request is a batch of its own there.
    inferences=None,
    executions=None,
    compute_input_sum=None,
    compute_infer_sum=None,
    compute_output_sum=None,
    # Not `scheduled`: that and the kinds of request stay as the last step left them when nothing runs; this falls to 0.
    running=_gauge(_REQUESTS, request_type="active"),
    max_running=_gauge(_REQUESTS, request_type="max"),
    prefilling=_gauge(_REQUESTS, request_type="context"),
    generating=_gauge("nv_trt_llm_inflight_batcher_metrics", inflight_batcher_specific_metric="generation_requests"),
    kv_used_blocks=_gauge(_BLOCKS, kv_cache_block_type="used"),
    kv_blocks=_gauge(_BLOCKS, kv_cache_block_type="max"),
    kv_block_tokens=_gauge(_BLOCKS, kv_cache_block_type="tokens_per"),
    prompt_length=_histogram("nv_llm_input_token_len"),
    output_length=_histogram("nv_llm_output_token_len"),
    # Of streaming (decoupled) models, where the server is started with `--metrics-config histogram_latencies=true`.
    ttft=_histogram("nv_inference_first_response_histogram_ms", to_si=1e-3),
)

BY_ENGINE = {"vllm": VLLM, "triton-trtllm": TRITON_TRTLLM, "triton": TRITON}
"""The table of each `spec.engine`."""

"""What Triton with TensorRT-LLM shows under steady loads of a known step: names and labels as its backend has them.

No page of a real one is at hand. The format is the README of github.com/triton-inference-server/tensorrtllm_backend;
the numbers are those of the queueing model, so that what is learned can be compared with what is known.
"""

from __future__ import annotations

from models.continuous_batching import predict
from models.engine import Engine, EngineLimits
from models.step_time import LinearStepTime
from models.token_lengths import TokenLengths
from models.workload import OpenArrivals, Workload
from tests.cluster.exposition import Page

KNOWN = LinearStepTime(base_s=9e-3, per_prefill_token_s=6e-5, per_decode_s=8e-5, per_kv_token_s=3e-8)
RATES_PER_S = (1.0, 3.0, 6.0, 9.0)
PROMPT, OUTPUT = 700.0, 150.0
SEATS, BLOCKS, BLOCK_TOKENS = 128, 6239, 64
STAY_S, EVERY_S = 60, 2
_LENGTHS = (10.0, 50.0, 100.0, 500.0, 1000.0)
_FIRST_MS = (100.0, 500.0, 2000.0, 5000.0)
_LABELS = 'model="tensorrt_llm",version="1"'


def trtllm_pages(*, first_response: bool) -> list[Page]:
    """A minute at each rate; `first_response`: the histogram of streaming models that a server shows if asked to."""
    limits = EngineLimits(max_num_seqs=SEATS, max_num_batched_tokens=8192, kv_cache_tokens=BLOCKS * BLOCK_TOKENS)
    requests = inside_s = first_s = 0.0
    pages = []
    for index, rate in enumerate(RATES_PER_S):
        workload = Workload(arrivals=OpenArrivals(rate_per_s=rate), lengths=TokenLengths.of(PROMPT, OUTPUT))
        laws = predict(Engine(step_time=KNOWN, limits=limits), workload, replicas=1).laws
        generating, prefilling = rate * (OUTPUT - 1.0) * laws["tpot"].mean_s, rate * laws["ttft"].mean_s
        for second in range(0, STAY_S, EVERY_S):
            requests += rate * EVERY_S
            inside_s += (generating + prefilling) * EVERY_S
            first_s += prefilling * EVERY_S
            lines = [
                *_core(requests, inside_s),
                *_gauges(generating, prefilling),
                *_histogram(
                    "nv_llm_input_token_len", _LENGTHS, requests, PROMPT, 'response_metric_type="total_input_tokens"'
                ),
                *_histogram(
                    "nv_llm_output_token_len", _LENGTHS, requests, OUTPUT, 'response_metric_type="total_output_tokens"'
                ),
            ]
            if first_response:
                mean_ms = 1000.0 * first_s / requests
                lines += _histogram("nv_inference_first_response_histogram_ms", _FIRST_MS, requests, mean_ms)
            pages.append((float(index * STAY_S + second), "\n".join(lines)))
    return pages


def _core(requests: float, inside_s: float) -> list[str]:
    counts = {
        "request_success": requests,
        "exec_count": requests,
        "request_duration_us": 1e6 * inside_s,
        "queue_duration_us": 1.0 * requests,
        "pending_request_count": 0.0,
    }
    failures = [f'nv_inference_request_failure{{{_LABELS},reason="{reason}"}} 0' for reason in ("OTHER", "CANCELED")]
    return [*(f"nv_inference_{name}{{{_LABELS}}} {value}" for name, value in counts.items()), *failures]


def _gauges(generating: float, prefilling: float) -> list[str]:
    running = generating + prefilling
    used = running * (PROMPT + 0.5 * OUTPUT) / BLOCK_TOKENS
    return [
        f'nv_trt_llm_{family}{{{label}="{value}",{_LABELS}}} {number}'
        for family, label, numbers in (
            (
                "request_metrics",
                "request_type",
                {"context": prefilling, "scheduled": running, "max": SEATS, "active": running},
            ),
            (
                "kv_cache_block_metrics",
                "kv_cache_block_type",
                {"tokens_per": BLOCK_TOKENS, "used": used, "free": BLOCKS - used, "max": BLOCKS},
            ),
            (
                "inflight_batcher_metrics",
                "inflight_batcher_specific_metric",
                {
                    "micro_batch_id": 0,
                    "generation_requests": generating,
                    "total_context_tokens": 0,
                    "paused_requests": 0,
                },
            ),
        )
        for value, number in numbers.items()
    ]


def _histogram(name: str, ends: tuple[float, ...], count: float, mean: float, label: str = "") -> list[str]:
    """All observations alike."""
    labels = f"{label},{_LABELS}" if label else _LABELS
    buckets = [(f"{end:g}", count if mean <= end else 0.0) for end in ends]
    lines = [f'{name}_bucket{{{labels},le="{end}"}} {value}' for end, value in [*buckets, ("+Inf", count)]]
    return [*lines, f"{name}_sum{{{labels}}} {count * mean}", f"{name}_count{{{labels}}} {count}"]

"""What Triton shows at /metrics of a model that it batches whole, as Triton 2.51 has it (without its summaries).

A test holds every line against the page of a real one (tests/data/engines).
"""

from __future__ import annotations

from models.simulation.live.live_batcher import LiveBatcher
from planner.simulated_service.exposition_text import family, page, sample

_ABOUT = {
    "request_success": "Number of successful inference requests, all batch sizes",
    "count": "Number of inferences performed (does not include cached requests)",
    "exec_count": "Number of model executions performed (does not include cached requests)",
    "request_duration_us": "Cumulative inference request duration in microseconds (includes cached requests)",
    "queue_duration_us": "Cumulative inference queuing duration in microseconds (includes cached requests)",
    "compute_input_duration_us": "Cumulative compute input duration in microseconds (does not include cached requests)",
    "compute_infer_duration_us": "Cumulative compute inference duration in microseconds (does not include cached "
    "requests)",
    "compute_output_duration_us": "Cumulative inference compute output duration in microseconds (does not include "
    "cached requests)",
    "pending_request_count": "Instantaneous number of pending requests awaiting execution per-model.",
}
_FAILURES = ("OTHER", "CANCELED", "BACKEND", "REJECTED")


def triton_page(replica: LiveBatcher, model_name: str) -> str:
    """The page of one replica. All of a batch's time is shown as inference: input and output take none."""
    queue_us, service_us = round(1e6 * replica.queue_sum_s), round(1e6 * replica.service_sum_s)
    return page(
        *core(
            {
                "request_success": replica.succeeded,
                "count": replica.succeeded,
                "exec_count": replica.executions,
                "request_duration_us": queue_us + service_us,
                "queue_duration_us": queue_us,
                "compute_input_duration_us": 0,
                "compute_infer_duration_us": service_us,
                "compute_output_duration_us": 0,
                "pending_request_count": replica.waiting,
            },
            rejected=replica.rejected,
            model_name=model_name,
        )
    )


def core(values: dict[str, int], *, rejected: int, model_name: str) -> list[list[str]]:
    """Triton's own metrics of one model."""
    labels = {"model": model_name, "version": "1"}
    families = [
        family(
            f"nv_inference_{name}",
            "gauge" if name == "pending_request_count" else "counter",
            _ABOUT[name],
            [sample(f"nv_inference_{name}", labels, value)],
        )
        for name, value in values.items()
    ]
    failures = [
        sample(
            "nv_inference_request_failure",
            {"model": model_name, "reason": reason, "version": "1"},
            rejected if reason == "REJECTED" else 0,
        )
        for reason in _FAILURES
    ]
    about = "Number of failed inference requests, all batch sizes"
    return [*families, family("nv_inference_request_failure", "counter", about, failures)]

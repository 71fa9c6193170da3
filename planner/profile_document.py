"""Writing a profile: an `EngineProfile` as plain data and as YAML, in the order people read it."""

from __future__ import annotations

from typing import Any

from models.cached_prompts import cached_share
from models.engine import EngineLimits
from models.errors import InvalidInput
from models.measurement import Measurement
from models.step_terms import TermUncertainty
from models.step_time import ExpertsStepTime, LinearStepTime, SqrtStepTime, StepTime


def profile_document(
    name: str,
    *,
    engine: str,
    version: str,
    model: str,
    quantization: str,
    gpu: dict[str, Any],
    limits: EngineLimits,
    step_time: StepTime,
    uncertainty: TermUncertainty | None = None,
    noise: float = 0.0,
    overhead_s: float = 0.0,
    measurements: list[dict[str, Any]],
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """An `EngineProfile` as plain data, in the order people read it."""
    bounds: dict[str, Any] = {
        "maxNumSeqs": limits.max_num_seqs,
        "maxNumBatchedTokens": limits.max_num_batched_tokens,
    }
    if limits.kv_cache_tokens is not None:
        bounds["kvCacheTokens"] = limits.kv_cache_tokens
    bounds |= {"kvBlockSize": limits.kv_block_size, "chunkedPrefill": limits.chunked_prefill}
    return {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "EngineProfile",
        "metadata": {"name": name},
        "spec": {
            "engine": engine,
            **({"engineVersion": version} if version else {}),
            "model": model,
            "quantization": quantization,
            "gpu": gpu,
            "limits": bounds,
            "stepTime": _step_time(step_time),
            **({} if uncertainty is None else {"stepTimeUncertainty": _uncertainty(uncertainty, noise)}),
            **({"firstTokenOverhead": _short(overhead_s)} if overhead_s > 0.0 else {}),
            "provenance": [provenance],
            "measurements": measurements,
        },
    }


def _step_time(step_time: StepTime) -> dict[str, Any]:
    if isinstance(step_time, SqrtStepTime):
        return {**_step_time(step_time.linear), "perSqrtDecode": _short(step_time.per_sqrt_decode_s)}
    if isinstance(step_time, ExpertsStepTime):
        return {
            **_step_time(step_time.linear),
            "experts": step_time.experts,
            "expertsPerToken": step_time.experts_per_token,
            "perExpert": _short(step_time.per_expert_s),
        }
    if not isinstance(step_time, LinearStepTime):
        raise InvalidInput(f"no written form for {type(step_time).__name__}")
    return {
        "base": _short(step_time.base_s),
        "perPrefillToken": _short(step_time.per_prefill_token_s),
        "perDecodeSequence": _short(step_time.per_decode_s),
        "perKvToken": _short(step_time.per_kv_token_s),
    }


def _uncertainty(uncertainty: TermUncertainty, noise: float) -> dict[str, Any]:
    return {
        "deviations": [float(f"{value:.3g}") for value in uncertainty.deviations_s],
        "correlations": [[round(value, 3) for value in row] for row in uncertainty.correlations],
        "noise": round(noise, 4),
    }


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def measurement_row(point: Measurement) -> dict[str, Any]:
    """A measurement as the fields of `spec.measurements`, with everything that it knows."""
    plain = {
        "concurrency": point.concurrency,
        "arrivalRate": point.arrival_rate_per_s,
        "inputTokens": point.prompt_tokens,
        "outputTokens": point.output_tokens,
        "inputTokensCv": _rounded(point.input_tokens_cv),
        "outputTokensCv": _rounded(point.output_tokens_cv),
        "prefixHitRate": cached_share(point) or None,
        "requestsPerSecond": point.requests_per_s,
        "outputTokensPerSecond": point.output_tokens_per_s,
    }
    row: dict[str, Any] = {name: _whole(value) for name, value in plain.items() if value is not None}
    for metric in ("ttft", "tpot", "itl", "e2e", "queue"):
        summary = getattr(point, metric)
        if summary is not None:
            row[metric] = dict(summary.items())
    return row


def _rounded(value: float | None) -> float | None:
    """A coefficient of variation with as many digits as requests can tell."""
    return None if value is None else round(value, 4)


def _whole(value: float) -> float | int:
    """A whole number without its decimal point."""
    return int(value) if float(value).is_integer() else value


def text_of(document: dict[str, Any], comment: str = "") -> str:
    """YAML with a row a measurement, after a comment (whole lines)."""
    import yaml

    spec = dict(document["spec"])
    rows = spec.pop("measurements", [])

    class Dumper(yaml.SafeDumper):
        """Rows of numbers in one line each; all else as people write it."""

    def row_of(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
        numbers = all(isinstance(item, int | float) for item in items)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=numbers)

    Dumper.add_representer(list, row_of)
    head = yaml.dump({**document, "spec": spec}, Dumper=Dumper, sort_keys=False, width=110, allow_unicode=True)
    lines = [yaml.safe_dump(row, sort_keys=False, default_flow_style=True, width=1000).strip() for row in rows]
    if not lines:
        return comment + head
    return f"{comment}{head}  measurements:\n" + "".join(f"  - {line}\n" for line in lines)

"""Builds `planner/catalogue/profiles/` and the table of `docs/catalogue.md` from measurements kept in the project.

    python scripts/build_catalogue.py            # writes the profiles and the table
    python scripts/build_catalogue.py --check    # says what would change; exit code 1 where anything would

One profile for each engine, version, model, GPU, precision and parallelism with at least four distinct loads.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from models.engine import EngineLimits  # noqa: E402 -- found through the line above
from models.measurement import LatencySummary, Measurement  # noqa: E402
from models.step_fit import StepFit, fit, leave_one_out  # noqa: E402
from planner.hardware import find_gpu, find_model, gpu_name, known_of, kv_cache_tokens, step_prior  # noqa: E402
from planner.profile_document import measurement_row, profile_document, text_of  # noqa: E402
from scripts.silicon_source import SetUp, measurement_of, not_one_replica, source_groups  # noqa: E402

CATALOGUE = ROOT / "planner" / "catalogue"
PROFILES = CATALOGUE / "profiles"
PAGE = ROOT / "docs" / "catalogue.md"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"

MIN_LOADS = 4
WORST_ERROR = 0.15
"""A curve whose left-out points are missed by more than this in the median is not shipped."""
HEADING = "# Built by scripts/build_catalogue.py; do not edit.\n"
LICENCE = "Apache-2.0"
PACKAGE = "aiconfigurator-core 0.12.0 (NVIDIA), systems/silicon_sample.csv"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One profile to ship: its name, its document and its fit."""

    name: str
    document: dict[str, Any]
    fit: StepFit
    left_out: tuple[float, ...] = ()
    """|Relative error of TPOT| at each point, predicted by a fit to the other loads."""


def main() -> int:
    entries, refused = build()
    texts = {f"{entry.name}.yaml": text_of(entry.document, HEADING) for entry in entries}
    page = page_text(entries, refused)
    if "--check" in sys.argv[1:]:
        return _report_differences(texts, page)
    PROFILES.mkdir(parents=True, exist_ok=True)
    for stale in PROFILES.glob("*.yaml"):
        if stale.name not in texts:
            stale.unlink()
    for name, text in texts.items():
        (PROFILES / name).write_text(text, encoding="utf-8")
    PAGE.write_text(page, encoding="utf-8")
    print(f"{len(texts)} profiles; {sum(refused.values())} set-ups not shipped")
    return 0


def build() -> tuple[list[Entry], dict[str, int]]:
    """Every profile, and how many set-ups were not shipped by reason."""
    groups: dict[SetUp, dict[Measurement, str]] = defaultdict(dict)
    refused: dict[str, int] = defaultdict(int)
    for (setup, _), rows in source_groups().items():
        reason = not_one_replica(rows[0])
        if reason:
            refused[reason] += 1
            continue
        for row in rows:
            groups[setup].setdefault(measurement_of(row), row["measured"])
    entries = [published(*row) for row in PUBLISHED]
    kept: dict[SetUp, dict[Measurement, str]] = {}
    for setup in sorted(groups, key=lambda s: (s.base_name, s.version)):
        dated = groups[setup]
        if any(dated.keys() == other.keys() for other in kept.values()):
            refused["the very points of another profile under another model's name"] += 1
        elif len({(m.concurrency, m.input_tokens, m.output_tokens) for m in dated}) < MIN_LOADS:
            refused[f"fewer than {MIN_LOADS} loads"] += 1
        else:
            kept[setup] = dated
    for setup, name in sorted(_names(kept).items(), key=lambda item: item[1]):
        dated = kept[setup]
        entry = _measured(name, setup, list(dated), max(dated.values()))
        if (entry.fit.cross_validated_error or 0.0) > WORST_ERROR:
            refused[f"left-out points missed by more than {WORST_ERROR:.0%} in the median"] += 1
            continue
        entries.append(entry)
    return entries, dict(refused)


# --- measured curves -------------------------------------------------------------------------------------------------


def _names(setups: Iterable[SetUp]) -> dict[SetUp, str]:
    """Names by set-up: plain where one version was measured, else with the version."""
    taken: dict[str, list[SetUp]] = defaultdict(list)
    for setup in setups:
        taken[setup.base_name].append(setup)
    names = {}
    for base, rivals in taken.items():
        for setup in rivals:
            version = re.sub(r"^(nightly-.{7}).*", r"\1", setup.version)
            names[setup] = base if len(rivals) == 1 or not version else f"{base}-v{version}".replace("-vn", "-n")
    return names


def _measured(name: str, setup: SetUp, points: list[Measurement], date: str) -> Entry:
    points.sort(key=lambda m: (m.input_tokens, m.output_tokens, m.concurrency or 0.0, m.tpot_s or 0.0))
    limits, notes = _limits(setup, points)
    gpu, shape = find_gpu(gpu_name(setup.gpu)), find_model(setup.model)
    prior, experts = known_of(gpu, shape, precision=setup.weights, gpus_per_replica=setup.gpus)
    result = fit(points, limits=limits, prior=prior, experts=experts)
    if not setup.precision:
        notes.append("precision: not stated by the source; the model's own 16 bits assumed")
    left_out = leave_one_out(points, form=result.form, limits=limits, prior=prior, experts=experts)
    return Entry(
        name=name,
        fit=result,
        document=_document(name, setup, limits, points, result, [*notes, *result.notes], date),
        left_out=tuple(map(abs, left_out)),
    )


def _limits(setup: SetUp, points: list[Measurement]) -> tuple[EngineLimits, list[str]]:
    """The engine's defaults, KV memory estimated from data sheets, and words on which is which."""
    most, longest = max(p.concurrency or 1.0 for p in points), max(p.input_tokens for p in points)
    if setup.engine == "vllm":
        seqs, budget, block, chunked = 1024, 8192, 16, True
        where = "vLLM V1's defaults for serving on GPUs of 70 GiB and more"
    else:
        seqs, budget, block, chunked = 2048, 8192, 32, False
        where = "TensorRT-LLM's defaults"
    notes = [f"limits: {where} assumed (the source states none)"]
    if most > seqs or longest > budget:
        seqs, budget = max(seqs, int(most)), max(budget, int(longest))
        notes[0] += ", raised to what was measured"
    kv_cache, note = _kv_cache(setup, points)
    notes.append(note)
    return (
        EngineLimits(
            max_num_seqs=seqs,
            max_num_batched_tokens=budget,
            kv_cache_tokens=kv_cache,
            kv_block_size=block,
            chunked_prefill=chunked,
        ),
        notes,
    )


def _kv_cache(setup: SetUp, points: list[Measurement]) -> tuple[int | None, str]:
    gpu, shape = find_gpu(gpu_name(setup.gpu)), find_model(setup.model)
    held = int(max(_running(point) * (point.input_tokens + 0.5 * point.output_tokens) for point in points))
    width = 1.0 if setup.engine == "trtllm" and setup.weights != "bf16" else 2.0
    estimate = None
    if gpu is not None and shape is not None:
        estimate = kv_cache_tokens(
            gpu,
            shape,
            precision=setup.weights,
            tensor_parallel=setup.tensor_parallel,
            pipeline_parallel=setup.pipeline_parallel,
            kv_bytes_per_value=width,
        )
    if estimate is None:
        return None, "kvCacheTokens: unknown (no shape of this model at this precision); ample memory assumed"
    kind = "8-bit" if width == 1.0 else "16-bit"
    if estimate >= held:
        return estimate, f"kvCacheTokens: estimated from data sheets with {kind} KV, not reported by the engine"
    return held, f"kvCacheTokens: what the points held; the data sheets' estimate with {kind} KV is {estimate:,}"


def _running(point: Measurement) -> float:
    """Decoding sequences in the mean, by Little's law from measured latencies."""
    decoding = point.decode_steps * (point.tpot_s or 0.0)
    return (point.concurrency or 0.0) * decoding / ((point.ttft_s or 0.0) + decoding)


def _document(
    name: str,
    setup: SetUp,
    limits: EngineLimits,
    points: list[Measurement],
    result: StepFit,
    notes: list[str],
    date: str,
) -> dict[str, Any]:
    engine = "vllm" if setup.engine == "vllm" else "triton-trtllm"
    provenance: dict[str, Any] = {
        "source": f"{PACKAGE}: InferenceX dumps and NVIDIA's runs",
        "licence": LICENCE,
        **({"date": date} if date else {}),
        "points": result.points,
        "medianError": round(result.median_error, 4),
    }
    if result.cross_validated_error is not None:
        provenance["crossValidatedError"] = round(result.cross_validated_error, 4)
    provenance["notes"] = notes
    return profile_document(
        name,
        engine=engine,
        version=setup.version,
        model=setup.model,
        quantization="none" if setup.weights == "bf16" else setup.weights,
        gpu={
            "type": gpu_name(setup.gpu),
            "perReplica": setup.gpus,
            "tensorParallel": setup.tensor_parallel,
            "pipelineParallel": setup.pipeline_parallel,
            "nodesPerReplica": 1,
        },
        limits=limits,
        step_time=result.step_time,
        uncertainty=result.uncertainty,
        noise=result.noise,
        measurements=[measurement_row(point) for point in points],
        provenance=provenance,
    )


# --- published single rows -------------------------------------------------------------------------------------------

PUBLISHED = (
    ("llama-3.1-8b-a100-vllm", "vllm", 3500.0, 0.025, EngineLimits(max_num_seqs=256, max_num_batched_tokens=2048)),
    (
        "llama-3.1-8b-a100-triton",
        "triton-trtllm",
        4200.0,
        0.020,
        EngineLimits(max_num_seqs=2048, max_num_batched_tokens=8192, kv_block_size=32, chunked_prefill=False),
    ),
)
_PUBLISHED_E2E = {"p50": 0.045, "p99": 0.12}


def published(name: str, engine: str, tokens_per_s: float, ttft_s: float, assumed: EngineLimits) -> Entry:
    """A published row of Llama-3.1-8B on an A100: 32 users, 512 prompt and 128 output tokens."""
    gpu, shape = find_gpu("A100-SXM4-80GB"), find_model("meta-llama/Llama-3.1-8B-Instruct")
    assert gpu is not None
    assert shape is not None
    limits = EngineLimits(
        max_num_seqs=assumed.max_num_seqs,
        max_num_batched_tokens=assumed.max_num_batched_tokens,
        kv_cache_tokens=kv_cache_tokens(gpu, shape, precision="bf16"),
        kv_block_size=assumed.kv_block_size,
        chunked_prefill=assumed.chunked_prefill,
    )
    point = Measurement(
        concurrency=32.0,
        input_tokens=512.0,
        output_tokens=128.0,
        ttft=LatencySummary(mean_s=ttft_s),
        output_tokens_per_s=tokens_per_s,
    )
    result = fit([point], limits=limits, prior=step_prior(gpu, shape, precision="bf16"))
    row = {**measurement_row(point), "e2e": _PUBLISHED_E2E}
    provenance = {
        "source": "published comparison of vLLM and Triton with TensorRT-LLM on one A100 80 GB; not measured by us",
        "licence": "facts",
        "points": 1,
        "medianError": round(result.median_error, 4),
        "notes": [
            "limits: the engine's defaults assumed (the source states none)",
            "kvCacheTokens: estimated from data sheets with 16-bit KV, not reported by the engine",
            "e2e: as published; contradicts the throughput (see `planner profile check`) and was not used in the fit",
            *result.notes,
        ],
    }
    document = profile_document(
        name,
        engine=engine,
        version="",
        model="meta-llama/Llama-3.1-8B-Instruct",
        quantization="none",
        gpu={
            "type": gpu.name,
            "perReplica": 1,
            "tensorParallel": 1,
            "pipelineParallel": 1,
            "nodesPerReplica": 1,
        },
        limits=limits,
        step_time=result.step_time,
        uncertainty=result.uncertainty,
        noise=result.noise,
        measurements=[row],
        provenance=provenance,
    )
    return Entry(name=name, document=document, fit=result)


# --- the page ---------------------------------------------------------------------------------------------------


def page_text(entries: list[Entry], refused: dict[str, int]) -> str:
    """`docs/catalogue.md` with its generated part renewed."""
    old = PAGE.read_text(encoding="utf-8")
    head, _, rest = old.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{''.join(_table(entries, refused))}{END}{tail}"


def _table(entries: list[Entry], refused: dict[str, int]) -> Iterator[str]:
    errors = [entry.fit.cross_validated_error for entry in entries if entry.fit.cross_validated_error is not None]
    middle = sorted(errors)[len(errors) // 2]
    apart = sorted(error for entry in entries for error in entry.left_out)
    yield (
        f"\n{len(entries)} profiles. Over their {len(apart):,} left-out points: median error "
        f"{apart[len(apart) // 2]:.1%}, 90th percentile {apart[int(0.9 * len(apart))]:.1%}; "
        f"the median over profiles of each one's median is {middle:.1%}.\n\n"
    )
    yield "| profile | points | form | error at its points, median | worst | at left-out loads, median |\n"
    yield "| --- | ---: | --- | ---: | ---: | ---: |\n"
    for entry in entries:
        left_out = entry.fit.cross_validated_error
        yield (
            f"| `{entry.name}` | {entry.fit.points} | {entry.fit.form} | {entry.fit.median_error:.1%} "
            f"| {entry.fit.worst_error:.1%} | {'–' if left_out is None else f'{left_out:.1%}'} |\n"
        )
    yield "\nNot shipped:\n\n"
    for reason, count in sorted(refused.items(), key=lambda item: -item[1]):
        yield f"- {count} × {reason}\n"
    yield "\n"


def _report_differences(texts: dict[str, str], page: str) -> int:
    there = {path.name: path.read_text(encoding="utf-8") for path in PROFILES.glob("*.yaml")}
    different = sorted(name for name in there.keys() | texts.keys() if there.get(name) != texts.get(name))
    if PAGE.read_text(encoding="utf-8") != page:
        different.append(PAGE.name)
    for name in different:
        print(f"differs: {name}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

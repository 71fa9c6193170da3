"""GPUs and models by name, and what physics says of a step before anything is measured.

Data sheets: `catalogue/hardware/gpus.csv` and `models.csv` (see SOURCE.md there). What is computed from them is an
estimate and is always labelled as one: a measurement replaces it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.collectives import Link
from models.step_prior import StepPrior
from planner.architecture import ModelShape

_TABLES = Path(__file__).parent / "catalogue" / "hardware"
GIB = 2.0**30

MEMORY_SHARE = 0.9
"""Share of GPU memory that vLLM (`gpu_memory_utilization`) and TensorRT-LLM take by default."""

BANDWIDTH_EFFICIENCY = 0.7
"""Assumed share of the data sheet's memory bandwidth that a decode step reaches."""
COMPUTE_EFFICIENCY = 0.5
"""Assumed share of the data sheet's peak FLOP/s that prefill reaches."""
LAUNCH_S = 2e-3
"""Assumed for scheduling, launches and sampling, each step."""

LINK_EFFICIENCY = 0.8
"""Assumed share of a link's data-sheet bandwidth that collectives reach."""
NVLINK_LATENCY_S, PCIE_LATENCY_S, NETWORK_LATENCY_S = 1.5e-6, 3e-6, 10e-6
"""Assumed for each message of a collective: between NCCL's own constants for its quick and its simple protocol
(`src/graph/tuning.cc`: NVLink 0.6 to 3.4 µs, PCIe 1.0 to 5.7 µs, network 2.7 to 14 µs a step of a ring)."""
_SLOWEST_NVLINK = 2e11
"""Bytes a second and direction; below it GPUs of a node talk over PCIe."""

_NAMES = {
    "a100_pcie": "A100-PCIE-80GB",
    "a100_sxm": "A100-SXM4-80GB",
    "a30": "A30-24GB",
    "b200_sxm": "B200-SXM-180GB",
    "b300_sxm": "B300-SXM-268GB",
    "b60": "B60-24GB",
    "gb200": "GB200-185GB",
    "gb300": "GB300-277GB",
    "h100_pcie": "H100-PCIE-80GB",
    "h100_sxm": "H100-SXM5-80GB",
    "h200_sxm": "H200-SXM5-141GB",
    "l4": "L4-24GB",
    "l40s": "L40S-48GB",
    "rtx_pro_6000_server": "RTX-PRO-6000-96GB",
}

_PRECISIONS = {
    "none": "bf16",
    "": "bf16",
    "bfloat16": "bf16",
    "float16": "fp16",
    "w8a8": "int8",
    "mxfp4": "fp4",
    "nvfp4": "fp4",
    "awq": "int4",
    "gptq": "int4",
    "w4a16": "int4",
    "gguf": "q4_k_m",
}
_NAMED = ("fp8", "nvfp4", "mxfp4", "awq", "gptq", "int8", "int4", "w8a8", "w4a16", "gguf")


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU's data sheet. Peak FLOP/s are dense (no sparsity); 0 where the GPU has no such units."""

    name: str
    memory_bytes: float
    bandwidth_bytes_per_s: float
    bf16_flops: float
    fp8_flops: float
    fp4_flops: float
    gpus_per_node: int
    inside_bytes_per_s: float
    """From one GPU to others of its node, one direction."""
    between_bytes_per_s: float
    """From one GPU to those of other nodes, one direction; its own share of the network."""

    @property
    def inside(self) -> Link:
        """The link between GPUs of a node, as the data sheet and the constants above have it."""
        nvlink = self.inside_bytes_per_s >= _SLOWEST_NVLINK
        return Link(
            bytes_per_s=self.inside_bytes_per_s * LINK_EFFICIENCY,
            latency_s=NVLINK_LATENCY_S if nvlink else PCIE_LATENCY_S,
        )

    @property
    def between(self) -> Link:
        """The link between GPUs of two nodes."""
        return Link(bytes_per_s=self.between_bytes_per_s * LINK_EFFICIENCY, latency_s=NETWORK_LATENCY_S)

    def peak_flops(self, precision: str) -> float:
        """Peak FLOP/s at a weight precision: the widest units that the GPU has for it."""
        if precision == "fp4" and self.fp4_flops:
            return self.fp4_flops
        if precision in ("fp4", "fp8", "int8") and self.fp8_flops:
            return self.fp8_flops
        if precision == "int8":
            # Ampere: twice the 16-bit rate (NVIDIA A100 data sheet: 624 TOPS beside 312 TFLOPS; A30: 330 beside 165).
            return 2.0 * self.bf16_flops
        return self.bf16_flops


@cache
def gpus() -> dict[str, Gpu]:
    """Every GPU of the table by its name."""
    return {gpu.name: gpu for gpu in map(_gpu, _rows("gpus.csv"))}


@cache
def models() -> dict[str, ModelShape]:
    """Every model of the table by its name, in lower case."""
    return {row["model"].lower(): _shape(row) for row in _rows("models.csv")}


def find_gpu(name: str) -> Gpu | None:
    """A GPU by its type name (`H100-SXM5-80GB`), whatever the case; None where the table has none such."""
    wanted = name.strip().lower()
    return next((gpu for known, gpu in gpus().items() if known.lower() == wanted), None)


def find_model(name: str) -> ModelShape | None:
    """A model by its published name; also without publisher, `Meta-`, `-Instruct` or a suffix of its precision."""
    table = models()
    exact = table.get(name.strip().lower())
    if exact is not None:
        return exact
    wanted = _plain(name)
    return next((shape for known, shape in table.items() if _plain(known) == wanted), None)


def step_prior(gpu: Gpu, shape: ModelShape, *, precision: str, gpus_per_replica: int = 1) -> StepPrior | None:
    """The step time that data sheets suggest: weights over bandwidth, FLOPs a token over peak, KV over bandwidth.

    base = weights that one token touches / bandwidth + a launch; a prompt token and a decode cost 2 FLOPs a parameter
    (Kaplan et al. 2020, §2.1); a KV token its bytes (Pope et al. 2022, §2). Efficiencies are the constants above.
    """
    count, per_token = shape.parameters, shape.kv_bytes_per_token(tensor_parallel=gpus_per_replica)
    weights = shape.weight_bytes(precision)
    if count is None or per_token is None or weights is None:
        return None
    touched = weights * (count.active + count.head) / (count.linear + count.head)
    bandwidth = gpu.bandwidth_bytes_per_s * BANDWIDTH_EFFICIENCY
    flops = gpu.peak_flops(precision) * COMPUTE_EFFICIENCY * gpus_per_replica
    per_expert = weights * count.per_expert / count.linear / (bandwidth * gpus_per_replica)
    return StepPrior(
        base_s=LAUNCH_S + touched / gpus_per_replica / bandwidth,
        per_prefill_token_s=2.0 * count.active / flops,
        per_decode_s=2.0 * (count.active + count.head) / flops,
        per_kv_token_s=per_token / bandwidth,
        per_expert_s=per_expert,
        source=(
            f"data sheets of {gpu.name} and {shape.name} at {precision}: {COMPUTE_EFFICIENCY:.0%} of peak FLOP/s, "
            f"{BANDWIDTH_EFFICIENCY:.0%} of bandwidth, {LAUNCH_S * 1e3:g} ms a step for launches"
        ),
    )


def precision_of(quantization: str) -> str:
    """The weight precision that a profile's `quantization` names; itself where it is not a name we know."""
    name = quantization.strip().lower()
    return _PRECISIONS.get(name, name)


def named_quantization(model: str) -> str:
    """The quantisation that a published model's name ends with, such as `…-FP8`; `none` where it names none."""
    last = model.strip().lower().replace("_", "-").rpartition("-")[2]
    return last if last in _NAMED else "none"


def known_of(
    gpu: Gpu | None, shape: ModelShape | None, *, precision: str, gpus_per_replica: int
) -> tuple[StepPrior | None, tuple[int, int] | None]:
    """What is known of a step before anything is measured: a prior, and experts with experts a token of a mixture.

    None for what is not in the tables; no experts for a dense model.
    """
    if shape is None:
        return None, None
    experts = (shape.experts, shape.experts_per_token) if shape.experts and shape.experts_per_token else None
    if gpu is None:
        return None, experts
    return step_prior(gpu, shape, precision=precision, gpus_per_replica=gpus_per_replica), experts


def _rows(file: str) -> list[dict[str, str]]:
    with (_TABLES / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _gpu(row: dict[str, str]) -> Gpu:
    return Gpu(
        name=_NAMES.get(row["gpu"], row["gpu"]),
        memory_bytes=float(row["hbm_gib"]) * GIB,
        bandwidth_bytes_per_s=float(row["mem_bw_tb_s"]) * 1e12,
        bf16_flops=float(row["bf16_tflops"]) * 1e12,
        fp8_flops=float(row["fp8_tflops"]) * 1e12,
        fp4_flops=float(row["fp4_tflops"]) * 1e12,
        gpus_per_node=int(row["gpus_per_node"]),
        inside_bytes_per_s=float(row["intra_node_gb_s"]) * 1e9,
        between_bytes_per_s=float(row["inter_node_gb_s"]) * 1e9,
    )


def _shape(row: dict[str, str]) -> ModelShape:
    def count(column: str) -> int | None:
        return int(row[column]) if row[column] else None

    return ModelShape(
        name=row["model"],
        architecture=row["arch"],
        hidden=int(row["hidden"]),
        layers=count("layers"),
        heads=int(row["heads"]),
        kv_heads=count("kv_heads"),
        head_dim=count("head_dim"),
        intermediate=count("intermediate"),
        experts=count("experts"),
        experts_per_token=count("experts_per_tok"),
        expert_intermediate=count("moe_intermediate"),
        kv_lora_rank=count("kv_lora_rank"),
        vocabulary=int(row["vocab"]),
        max_positions=int(row["max_pos"]),
    )


def gpu_name(code: str) -> str:
    """The type name of a row of the table (`h100_sxm` is `H100-SXM5-80GB`)."""
    return _NAMES[code]


def _plain(name: str) -> str:
    plain = name.strip().lower().rpartition("/")[2].removeprefix("meta-")
    for suffix in ("-fp8", "-nvfp4", "-instruct"):
        plain = plain.removesuffix(suffix)
    return plain

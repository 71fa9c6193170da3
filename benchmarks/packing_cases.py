"""Random fleets of models to pack: dynamic batchers of many sizes and a few language models, on two types of GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

LARGE, SMALL = "A100-SXM4-80GB", "L4-24GB"
SLOWER = 3.2
"""How much longer a batch takes on the small GPU."""


def write_case(folder: Path, *, seed: int, models: int = 50, gpus: int = 200, mig: bool = False) -> Path:
    """A file for `planner pack` with its profiles beside it."""
    rng = np.random.default_rng(seed)
    entries = [_model(folder, f"m{index:02d}", rng) for index in range(models)]
    large = gpus * 2 // 5
    document: dict[str, Any] = {
        "models": entries,
        "gpus": [
            {
                "type": LARGE,
                "count": large,
                "pricePerHour": 2.5,
                "timeSharing": {"division": "mps"},
                **({"mig": ["all"]} if mig else {}),
            },
            {"type": SMALL, "count": gpus - large, "pricePerHour": 0.8, "timeSharing": {"division": "mps"}},
        ],
    }
    path = folder / f"pack-{seed}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def _model(folder: Path, name: str, rng: np.random.Generator) -> dict[str, Any]:
    if rng.random() < 0.08:
        return {
            "name": name,
            "profile": "llama-3.1-8b-a100-vllm",
            "qps": float(round(rng.uniform(5.0, 60.0), 1)),
            "inputTokens": 512,
            "outputTokens": 128,
            "objectives": ["ttft:p99<=1s", "itl:p95<=80ms"],
        }
    first = float(np.exp(rng.uniform(np.log(0.004), np.log(0.06))))
    batch = int(rng.choice([4, 8, 16, 32]))
    full = first * (1.0 + rng.uniform(0.1, 0.5) * (batch - 1))
    for gpu, slower in ((LARGE, 1.0), (SMALL, SLOWER)):
        _profile(folder / f"{name}-{gpu}.yaml", name, gpu, batch, (slower * first, slower * full))
    busy = float(np.exp(rng.normal(0.0, 1.1))) * 0.8  # large GPUs that full batches alone would fill
    entry: dict[str, Any] = {
        "name": name,
        "profile": f"{name}-{LARGE}.yaml",
        "otherProfiles": [f"{name}-{SMALL}.yaml"],
        "qps": round(busy * batch / full, 2),
        "objectives": [f"e2e:p99<={round(1e3 * full * rng.uniform(5.0, 14.0))}ms"],
        "memory": {"weights": f"{rng.uniform(0.5, 9.0):.1f}Gi", "workspace": f"{rng.uniform(0.3, 3.0):.1f}Gi"},
    }
    if rng.random() < 0.2:
        entry |= {"minReplicas": 2, "antiAffinity": {"spread": "gpu"}}
    return entry


def _profile(path: Path, name: str, gpu: str, batch: int, times: tuple[float, float]) -> None:
    document = {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "EngineProfile",
        "metadata": {"name": f"{name}-{gpu.lower()}"},
        "spec": {
            "engine": "triton",
            "model": name,
            "gpu": {"type": gpu},
            "limits": {"maxBatchSize": batch},
            "serviceTime": [
                {"batch": 1, "mean": round(times[0], 6), "cv": 0.02},
                {"batch": batch, "mean": round(times[1], 6), "cv": 0.02},
            ],
        },
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

"""Files for `planner pack`: three dynamic batchers on A100, and what a test says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

GPU = "A100-SXM4-80GB"
TIMES = {"reranker": (0.010, 0.030), "embedder": (0.006, 0.020), "vision": (0.040, 0.150)}
LOADS = {"reranker": (60.0, "e2e:p99<=150ms"), "embedder": (150.0, "e2e:p95<=80ms"), "vision": (12.0, "e2e:p99<=400ms")}


def profile(name: str, gpu: str = GPU) -> dict[str, Any]:
    one, eight = TIMES[name]
    return {
        "apiVersion": "replicast.dev/v1alpha1",
        "kind": "EngineProfile",
        "metadata": {"name": name},
        "spec": {
            "engine": "triton",
            "model": name,
            "gpu": {"type": gpu},
            "limits": {"maxBatchSize": 8},
            "serviceTime": [{"batch": 1, "mean": one, "cv": 0.02}, {"batch": 8, "mean": eight, "cv": 0.02}],
        },
    }


def model(name: str, **fields: Any) -> dict[str, Any]:
    qps, objective = LOADS[name]
    plain = {"name": name, "profile": f"{name}.yaml", "qps": qps, "objectives": [objective]}
    return {**plain, "memory": {"weights": "2Gi", "workspace": "1Gi"}, **fields}


def write(folder: Path, *models: dict[str, Any], gpu: dict[str, Any] | None = None, **whole: Any) -> str:
    for name in TIMES:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(profile(name)), encoding="utf-8")
    document = {
        "models": list(models),
        "gpus": [{"type": GPU, "count": 8, "timeSharing": {"division": "mps"}, **(gpu or {})}],
        **whole,
    }
    path = folder / "models.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return str(path)

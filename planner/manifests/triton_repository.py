"""Pieces of a Triton model repository: the config.pbtxt of each model, as a ConfigMap.

Only what the plan decides on is written: batches, queue delay and instances. Inputs, outputs and backend Triton
completes from the model's file (ONNX, TensorRT, OpenVINO); other models need them added.
"""

from __future__ import annotations

import json
from typing import Any

from planner.manifests.pod import metadata
from planner.manifests.server import RenderOptions, ServedModel, Server
from planner.manifests.triton import configuration_name

_MICRO = 1e6


def repository(server: Server, options: RenderOptions) -> dict[str, Any]:
    """The ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(configuration_name(server), server, options),
        "data": {f"{model.name}.pbtxt": configuration(model) for model in server.models},
    }


def configuration(model: ServedModel) -> str:
    """`config.pbtxt`: protobuf text, names quoted as JSON quotes (a subset of what protobuf text knows)."""
    lines = [f"name: {json.dumps(model.name)}", f"max_batch_size: {model.max_batch_size or 0}"]
    if model.max_batch_size:
        lines.append("dynamic_batching {")
        if model.preferred_batch_sizes:
            lines.append(f"  preferred_batch_size: [ {', '.join(map(str, model.preferred_batch_sizes))} ]")
        lines += [f"  max_queue_delay_microseconds: {round(model.max_queue_delay_s * _MICRO)}", "}"]
    lines += ["instance_group [", "  {", f"    count: {model.instances}", "    kind: KIND_GPU", "  }", "]"]
    return "\n".join(lines) + "\n"

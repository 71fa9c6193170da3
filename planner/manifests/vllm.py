"""The container of vLLM: `vllm serve MODEL` with the flags that the profile was measured with."""

from __future__ import annotations

from typing import Any

from planner.hardware import named_quantization
from planner.manifests.server import RenderOptions, ServedModel, Server

IMAGE, TAG = "vllm/vllm-openai", "v0.10.2"
"""The tag is the engine version that a profile was measured with, where it says a release; else this one."""
HEALTH = {"ready": "/health", "live": "/health"}
PORT = 8000
_RAY_PORT = 6379
WEIGHTS_CLAIM = "hugging-face-cache"
"""A claim that many nodes may mount (ReadWriteMany), for groups of pods."""
_JOIN_S = 300
"""So long a worker tries to join the leader, which may start later than it does."""
_FLAGS = {"fp8": "fp8", "awq": "awq", "gptq": "gptq", "gguf": "gguf", "bitsandbytes": "bitsandbytes"}
"""Values of --quantization by a profile's; others come with the checkpoint."""


def container(server: Server, options: RenderOptions, *, role: str | None) -> tuple[dict[str, Any], list[Any]]:
    """The container, and the volumes it needs."""
    fields: dict[str, Any] = {"name": "vllm", "image": options.vllm_image or image(server.engine_version)}
    model = server.models[0]
    serve = ["vllm", "serve", model.checkpoint or model.model, *flags(server)]
    if role is None:
        fields |= {"command": serve[:3], "args": serve[3:]}
    else:
        fields["command"] = ["bash", "-c", *_in_group(serve, role, server.start_s)]
    if role != "worker":
        fields["ports"] = [{"name": "http", "containerPort": PORT}]
    fields["env"] = _environment(server)
    if role == "worker":
        fields["lifecycle"] = {"preStop": {"exec": {"command": ["bash", "-c", _UNTIL_THE_LEADER_IS_DONE]}}}
    fields["volumeMounts"] = [{"name": "cache", "mountPath": "/root/.cache"}]
    volumes: list[Any] = [{"name": "cache", "emptyDir": {}}]
    if role is not None:  # every pod of a group reads the same weights
        fields["volumeMounts"].append({"name": "weights", "mountPath": "/root/.cache/huggingface"})
        volumes.append({"name": "weights", "persistentVolumeClaim": {"claimName": WEIGHTS_CLAIM}})
    return fields, volumes


def flags(server: Server) -> list[str]:
    """Of `vllm serve`, after the model."""
    model = server.models[0]
    found = ["--port", str(PORT)]
    if model.tensor > 1:
        found += ["--tensor-parallel-size", str(model.tensor)]
    if model.pipeline > 1:
        found += ["--pipeline-parallel-size", str(model.pipeline)]
    if server.nodes > 1:
        found += ["--distributed-executor-backend", "ray"]
    found += _limits(model)
    method = _FLAGS.get(model.quantization.lower())
    if method and model.checkpoint is None and named_quantization(model.model) == "none":
        # A quantised checkpoint says so itself.
        found += ["--quantization", method]
    if server.memory_share is not None:
        found += ["--gpu-memory-utilization", f"{server.memory_share:g}"]
    return found


def _limits(model: ServedModel) -> list[str]:
    found = []
    if model.max_num_seqs is not None:
        found += ["--max-num-seqs", str(model.max_num_seqs)]
    if model.max_num_batched_tokens is not None:
        found += ["--max-num-batched-tokens", str(model.max_num_batched_tokens)]
    if model.kv_block_size not in (None, 16):
        found += ["--block-size", str(model.kv_block_size)]
    if model.max_model_len is not None:
        found += ["--max-model-len", str(model.max_model_len)]
    if model.chunked_prefill is not None:
        found.append("--enable-chunked-prefill" if model.chunked_prefill else "--no-enable-chunked-prefill")
    return found


def image(version: str | None) -> str:
    """The image of the version that was measured, where it is a release's number."""
    import re

    plain = (version or "").removeprefix("v")
    return f"{IMAGE}:v{plain}" if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+(\.post[0-9]+)?", plain) else f"{IMAGE}:{TAG}"


def _in_group(serve: list[str], role: str, start_s: int) -> list[str]:
    """A script and its arguments, so that no name is ever read as shell.

    As vLLM's examples/online_serving/multi-node-serving.sh does: workers try to join until the leader is there; the
    leader starts Ray, waits for all of the group, and then starts the engine.
    """
    if role == "worker":
        return [
            (
                "trap 'exit 0' TERM\n"
                f'until ray start --block --address="$LWS_LEADER_ADDRESS:{_RAY_PORT}" & wait $!; do\n'
                f"  (( SECONDS < {_JOIN_S} )) || exit 1\n"
                "  sleep 5\n"
                "done\n"
            )
        ]
    return [
        (
            f"ray start --head --port={_RAY_PORT} || exit 1\n"
            f'until [ "$(python3 -c \'{_ALIVE}\')" = "$LWS_GROUP_SIZE" ]; do\n'
            f"  (( SECONDS < {start_s} )) || exit 1\n"
            "  sleep 5\n"
            "done\n"
            'exec "$0" "$@"\n'
        ),
        *serve,
    ]


_ALIVE = 'import ray; ray.init(address="auto"); print(sum(node["Alive"] for node in ray.nodes()))'
_UNTIL_THE_LEADER_IS_DONE = f'while (exec 3<>"/dev/tcp/$LWS_LEADER_ADDRESS/{PORT}") 2>/dev/null; do sleep 2; done'
"""A group ends together: a worker waits until the leader, whose answers need it, has closed its port."""


def _environment(server: Server) -> list[dict[str, Any]]:
    token = {"secretKeyRef": {"name": "hugging-face", "key": "token", "optional": True}}
    found: list[dict[str, Any]] = [{"name": "HF_TOKEN", "valueFrom": token}]
    if server.thread_percentage is not None:
        found.append({"name": "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "value": f"{server.thread_percentage:.0f}"})
    return found

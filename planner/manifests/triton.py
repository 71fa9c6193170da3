"""The container of Triton, with the configuration of each of its models from a ConfigMap and the rest from a volume."""

from __future__ import annotations

from typing import Any

from models.errors import InvalidInput
from planner.manifests.server import RenderOptions, Server

IMAGE = "nvidia/tritonserver:24.12-py3"
TRTLLM_IMAGE = "nvidia/tritonserver:24.12-trtllm-python-py3"
HEALTH = {"ready": "/v2/health/ready", "live": "/v2/health/live"}
PORT = 8000
REPOSITORY = "/models"


def container(server: Server, options: RenderOptions, *, role: str | None) -> tuple[dict[str, Any], list[Any]]:  # noqa: ARG001
    """The container, and the volumes it needs. A claim `models` holds the versions' folders of every model."""
    trtllm = server.engine == "triton-trtllm"
    if server.nodes > 1:
        raise InvalidInput(
            f"{server.name} is served by {server.engine} on {server.nodes} nodes a replica, which is not rendered: "
            "its ranks would have to be started over MPI between pods",
            remedy="plan it on one node (--nodes-per-replica 1), or with vllm",
        )
    fields: dict[str, Any] = {
        "name": "triton",
        "image": options.triton_image or (TRTLLM_IMAGE if trtllm else IMAGE),
        "command": _trtllm_command(server) if trtllm else _command(server),
        "ports": [
            {"name": "http", "containerPort": PORT},
            {"name": "grpc", "containerPort": 8001},
            {"name": "metrics", "containerPort": 8002},
        ],
    }
    if server.thread_percentage is not None:
        percentage = f"{server.thread_percentage:.0f}"
        fields["env"] = [{"name": "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "value": percentage}]
    volumes: list[Any] = [{"name": "models", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}}]
    if trtllm:  # its repository is built with its engines: it is taken whole
        fields["volumeMounts"] = [
            {"name": "models", "mountPath": REPOSITORY, "subPath": server.models[0].name, "readOnly": True}
        ]
        return fields, volumes
    mounts = []
    for model in server.models:
        at = f"{REPOSITORY}/{model.name}"
        mounts += [
            {"name": "models", "mountPath": f"{at}/1", "subPath": f"{model.name}/1", "readOnly": True},
            {
                "name": "configuration",
                "mountPath": f"{at}/config.pbtxt",
                "subPath": f"{model.name}.pbtxt",
                "readOnly": True,
            },
        ]
    fields["volumeMounts"] = mounts
    return fields, [*volumes, {"name": "configuration", "configMap": {"name": configuration_name(server)}}]


def configuration_name(server: Server) -> str:
    """Of the ConfigMap with the models' configurations."""
    return f"{server.name}-repository"


def _command(server: Server) -> list[str]:
    loaded = [f"--load-model={model.name}" for model in server.models]
    return ["tritonserver", f"--model-repository={REPOSITORY}", "--model-control-mode=explicit", *loaded]


def _trtllm_command(server: Server) -> list[str]:
    """What tensorrtllm_backend's scripts/launch_triton_server.py starts, in the foreground.

    The script itself starts it and ends, and with it a container whose first process it is.
    """
    ranks = server.models[0].tensor * server.models[0].pipeline
    command = ["mpirun", "--allow-run-as-root"]
    for rank in range(ranks):
        command += [":"] * (rank > 0) + ["-n", "1", "tritonserver", f"--model-repository={REPOSITORY}"]
        if rank:
            command += ["--model-control-mode=explicit", "--load-model=tensorrt_llm"]
        command += ["--disable-auto-complete-config", f"--backend-config=python,shm-region-prefix-name=prefix{rank}_"]
    return command

"""One control plane for all cluster tests of a session; a namespace, and GPU nodes, for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from kubernetes import client, config

from scripts.control_plane import ControlPlaneMissing, program
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.installation import install
from tests.cluster.manifests import gpu_node


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory) -> Iterator[ControlPlane]:
    """The real parts, started when the first test wants them. Where they are missing the test fails and says so."""
    try:
        program("kube-apiserver")
    except ControlPlaneMissing as missing:
        raise pytest.fail.Exception(f"there is no control plane: {missing}", pytrace=False) from None
    try:
        with running_control_plane(tmp_path_factory.mktemp("control-plane")) as started:
            yield started
    except RuntimeError as failed:
        raise pytest.fail.Exception(str(failed), pytrace=False) from None


@pytest.fixture(scope="session")
def administrator(control_plane) -> Iterator[client.ApiClient]:
    """A client that may do everything."""
    with config.new_client_from_config(config_file=str(control_plane.kubeconfig)) as connected:
        yield connected


@pytest.fixture(scope="session")
def installed(control_plane) -> None:
    """Replicast's custom resources, roles and Deployment."""
    install(control_plane)


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A test's own: its name is also that of its pool of nodes."""

    name: str
    core: client.CoreV1Api
    apps: client.AppsV1Api
    autoscaling: client.AutoscalingV2Api

    def pods(self) -> list[Any]:
        """All pods in it."""
        return list(self.core.list_namespaced_pod(self.name).items)


@pytest.fixture
def namespace(administrator) -> Iterator[Namespace]:
    core = client.CoreV1Api(administrator)
    name = f"test-{uuid4().hex[:8]}"
    core.create_namespace({"metadata": {"name": name}})
    yield Namespace(
        name=name, core=core, apps=client.AppsV1Api(administrator), autoscaling=client.AutoscalingV2Api(administrator)
    )
    core.delete_namespace(name)


@pytest.fixture
def gpu_nodes(namespace) -> Iterator[Callable[[int, int], None]]:
    """Add nodes with GPUs that only this test's pods may use: `gpu_nodes(2, 4)` for two of four."""
    names: list[str] = []

    def add(count: int, gpus: int) -> None:
        for _ in range(count):
            node = gpu_node(f"{namespace.name}-{len(names)}", pool=namespace.name, gpus=gpus)
            namespace.core.create_node(node)
            names.append(node["metadata"]["name"])

    yield add
    for name in names:
        namespace.core.delete_node(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A failed test tells where the logs are."""
    report = yield
    started = item.funcargs.get("control_plane") if hasattr(item, "funcargs") else None
    if report.failed and started is not None:
        report.sections.append(("control plane", f"the logs of its components are in {started.logs}"))
    return report

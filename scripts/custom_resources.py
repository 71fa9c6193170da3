"""Keep `deploy/crds`, `deploy/rbac.yaml` and the reference in docs equal to the code that they are made from.

`python -m scripts.custom_resources` fails when they differ; `--write` (that is `make crds`) brings them together.
"""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from controller.admission_rules import POLICY_RULES, PROFILE_RULES
from controller.capacity_policy import PolicySpec
from controller.policy_status import PolicyStatus
from planner.profile import Spec
from scripts.access_rules import access_yaml, namespaced_access_yaml
from scripts.custom_resource_reference import reference
from scripts.structural_schema import Rules, Schema, structural_schema

ROOT = Path(__file__).parent.parent
GROUP, VERSION = "replicast.dev", "v1alpha1"
_HEAD = "# Made from the code by `make crds` (scripts/custom_resources.py); do not edit.\n"


@dataclass(frozen=True, kw_only=True)
class Column:
    """What `kubectl get` shows; wide ones with `-o wide` only."""

    name: str
    type: str
    path: str
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class CustomResource:
    """A kind, and the types of its fields."""

    kind: str
    plural: str
    short: str
    says: str
    spec: type[BaseModel]
    rules: Rules
    columns: tuple[Column, ...]
    status: type[BaseModel] | None = None


_AGE = Column(name="Age", type="date", path=".metadata.creationTimestamp")

POLICY = CustomResource(
    kind="CapacityPolicy",
    plural="capacitypolicies",
    short="cpol",
    says="What a team asks for one target: objectives, bounds, and how fast it may move.",
    spec=PolicySpec,
    rules=POLICY_RULES,
    status=PolicyStatus,
    columns=(
        Column(name="Target", type="string", path=".spec.targetRef.name"),
        Column(name="Mode", type="string", path=".spec.mode"),
        Column(name="Current", type="integer", path=".status.currentReplicas"),
        Column(name="Desired", type="integer", path=".status.desiredReplicas"),
        Column(name="Demand", type="number", path=".status.demand.plannedPerSecond"),
        Column(name="Binding", type="string", path=".status.binding"),
        Column(name="State", type="string", path='.status.conditions[?(@.type=="Ready")].reason'),
        _AGE,
        Column(name="Ready", type="string", path='.status.conditions[?(@.type=="Ready")].status', wide=True),
        Column(name="Profile", type="string", path=".spec.profileRef.name", wide=True),
        Column(name="Reason", type="string", path=".status.reasons[0].message", wide=True),
    ),
)
PROFILE = CustomResource(
    kind="EngineProfile",
    plural="engineprofiles",
    short="eprof",
    says="What was measured of one engine, model, GPU and parallelism: the same document as a profile file.",
    spec=Spec,
    rules=PROFILE_RULES,
    columns=(
        Column(name="Engine", type="string", path=".spec.engine"),
        Column(name="Model", type="string", path=".spec.model"),
        Column(name="GPU", type="string", path=".spec.gpu.type"),
        Column(name="GPUs", type="integer", path=".spec.gpu.perReplica"),
        Column(name="Cold start", type="number", path=".spec.coldStart.p95"),
        _AGE,
    ),
)


def definition(resource: CustomResource) -> Schema:
    """The CustomResourceDefinition."""
    names = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.kind.lower(),
        "shortNames": [resource.short],
        "categories": ["replicast"],
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        **({} if resource.status is None else {"subresources": {"status": {}}}),
        "additionalPrinterColumns": [_column(each) for each in resource.columns],
        "schema": {"openAPIV3Schema": _whole_object(resource)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{resource.plural}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "replicast", "app.kubernetes.io/part-of": "replicast"},
        },
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _whole_object(resource: CustomResource) -> Schema:
    text = {"type": "string"}
    properties: Schema = {"apiVersion": text, "kind": text, "metadata": {"type": "object"}}
    properties["spec"] = structural_schema(resource.spec, resource.rules)
    if resource.status is not None:
        properties["status"] = structural_schema(resource.status, {})
    return {"type": "object", "description": resource.says, "required": ["spec"], "properties": properties}


def _column(column: Column) -> dict[str, Any]:
    made = {"name": column.name, "type": column.type, "jsonPath": column.path}
    return {**made, "priority": 1} if column.wide else made


def definition_text(resource: CustomResource) -> str:
    """The definition as YAML."""

    class Plain(yaml.SafeDumper):
        """Without anchors."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- as PyYAML calls it
            return True

    return _HEAD + yaml.dump(definition(resource), Dumper=Plain, sort_keys=False, width=120, allow_unicode=True)


def made_files() -> dict[Path, str]:
    """Every file that is made from the code, by its place in the project."""
    resources = (POLICY, PROFILE)
    return {
        **{Path("deploy/crds") / f"{each.plural}.yaml": definition_text(each) for each in resources},
        Path("deploy/rbac.yaml"): _HEAD + access_yaml(),
        Path("deploy/namespaced/rbac.yaml"): _HEAD + namespaced_access_yaml(),
        Path("docs/custom-resources.md"): reference([definition(each) for each in resources]),
    }


def main(arguments: list[str]) -> int:
    """Compare, or write."""
    differs = False
    for place, text in made_files().items():
        file = ROOT / place
        if "--write" in arguments:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            continue
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        differs |= old != text
        print(
            "\n".join(
                difflib.unified_diff(old.splitlines(), text.splitlines(), str(place), "from the code", lineterm="")
            )
        )
    return int(differs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`planner render`: Kubernetes manifests of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from planner.cli.command import Command

if TYPE_CHECKING:
    from planner.plan_server import ServingOf

_EPILOG = """\b
Examples:
  planner render plan.json
  planner size --profile llama-3.1-8b-a100-vllm --qps 20 --input-tokens 512 --output-tokens 128 \\
      --slo 'ttft:p99<=500ms' -o json | planner render - --hpa --namespace serving
  planner render plan.json -O manifests --vllm-image vllm/vllm-openai:v0.10.2"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("-O", "--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder to write one file a server to, all or none.  [default: standard output]")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--profile", "profiles", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
              help="Profile that the plan names and does not contain. Repeat for several.")  # fmt: skip
@click.option("--checkpoint", "checkpoints", multiple=True, metavar="NAME=MODEL",
              help="Weights that a model of the plan loads, where it is quantised. Repeat for several.")  # fmt: skip
@click.option("--namespace", metavar="NAME", help="Of every object.  [default: that of who applies them]")
@click.option("--hpa", is_flag=True, help="Add a HorizontalPodAutoscaler, on requests in a replica.")
@click.option(
    "--vllm-image", metavar="IMAGE", help="[default: vllm/vllm-openai of the profile's version, else v0.10.2]"
)
@click.option("--triton-image", metavar="IMAGE", help="[default: nvidia/tritonserver:24.12-py3, or -trtllm-…]")
@click.option("--gateway-class", metavar="CLASS", help="Add the Gateway itself to a topology, of this class.")
@click.option("--node-selector/--no-node-selector", default=True, show_default=True,
              help="Select nodes by nvidia.com/gpu.product where the GPU's label is known.")  # fmt: skip
def render(
    plan: Path,
    out: Path | None,
    force: bool,
    profiles: tuple[Path, ...],
    checkpoints: tuple[str, ...],
    namespace: str | None,
    hpa: bool,
    vllm_image: str | None,
    triton_image: str | None,
    gateway_class: str | None,
    node_selector: bool,
) -> None:
    """Kubernetes manifests of a plan.

    PLAN is what `planner size`, `size --topology`, `pack` or `pipeline` print with -o json or -o yaml; `-` reads
    standard input. Deployment (LeaderWorkerSet where a replica spans nodes), Service, PodDisruptionBudget, Triton's
    model configurations, and the routes of a gateway.
    """
    from dataclasses import replace

    from models.errors import InvalidInput
    from planner.checkpoints import with_checkpoints
    from planner.files import parse_document, read_text
    from planner.manifests.server import RenderOptions
    from planner.plan_reader import read_plan
    from planner.render import manifests, notes, to_yaml

    name = "standard input" if str(plan) == "-" else str(plan)
    text = read_text(Path("/dev/stdin"), what="plan") if str(plan) == "-" else read_text(plan, what="plan")
    if not text.strip():
        raise InvalidInput(f"plan {name} is empty", remedy="did the command that should have written it fail?")
    document = parse_document(text, name=name, what="plan")
    options = RenderOptions(
        vllm_image=_image(vllm_image, "--vllm-image"),
        triton_image=_image(triton_image, "--triton-image"),
        namespace=_label(namespace, "--namespace"),
        autoscaler=hpa,
        gateway_class=_label(gateway_class, "--gateway-class"),
        select_nodes=node_selector,
    )
    read = read_plan(document, text, name, _serving_of(profiles))
    read = replace(read, servers=with_checkpoints(read.servers, _checkpoints(checkpoints)))
    files = manifests(read, options)
    texts = {file: to_yaml(documents) for file, documents in files.items()}
    if triton_image is None and any("nvidia/tritonserver:" in each for each in texts.values()):
        click.echo(
            "note: NVIDIA's images are in NVIDIA's NGC catalogue; --triton-image names where you pull from", err=True
        )
    for note in notes(read):
        click.echo(f"note: {note}", err=True)
    if out is None or str(out) == "-":
        click.echo("---\n".join(texts.values()), nl=False)
        return
    from planner.manifest_folder import write_folder

    click.echo("\n".join(map(str, write_folder(out, texts, force=force))))


def _serving_of(files: tuple[Path, ...]) -> ServingOf:
    """Profiles by name: of the files given, else those that ship."""
    from planner.plan_fields import Serving
    from planner.profile import catalogue_names, load_profile
    from planner.serving import serving_fields

    given = {profile.name: profile for profile in (load_profile(str(path)) for path in files)}

    def find(name: str) -> Serving | None:
        profile = given.get(name) or (load_profile(name) if name in catalogue_names() else None)
        return None if profile is None else Serving.model_validate(serving_fields(profile))

    return find


def _checkpoints(given: tuple[str, ...]) -> dict[str, str]:
    """By the name of the model."""
    from models.errors import InvalidInput

    found: dict[str, str] = {}
    for each in given:
        name, equals, checkpoint = each.partition("=")
        if not (name and equals and checkpoint) or checkpoint.startswith("-") or name in found:
            raise InvalidInput(
                f"--checkpoint {each[:120]!r} is not NAME=MODEL, once for each name",
                remedy="write for example chat=hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4",
            )
        found[name] = checkpoint
    return found


def _image(image: str | None, option: str) -> str | None:
    import re

    from models.errors import InvalidInput

    if image is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,300}", image):
        raise InvalidInput(f"{option} {image[:80]!r} is no image", remedy="write for example vllm/vllm-openai:v0.10.2")
    return image


def _label(name: str | None, option: str) -> str | None:
    import re

    from models.errors import InvalidInput

    if name is not None and not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", name):
        raise InvalidInput(f"{option} {name[:80]!r} is no name in Kubernetes", remedy="use a-z, 0-9 and -")
    return name

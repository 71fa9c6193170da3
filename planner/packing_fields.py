"""The file of `planner pack`: models with rate, objectives and memory; GPUs with memory, number, price and slices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationError

from models.errors import InvalidInput
from planner.file_model import FORM, FileModel, first_problem
from planner.files import parse_document, read_text
from planner.service_fields import Burstiness, Name, Price, Rate, ServiceFields
from planner.units import parse_bytes

MOST_MODELS, MOST_KINDS, MOST_GPUS = 300, 20, 20_000


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _amount(text: str) -> str:
    if not 0.0 <= parse_bytes(text, what="memory") <= 1e15:
        raise InvalidInput(f"{text!r} is more memory than any GPU has")
    return text


Size = Annotated[str, BeforeValidator(_as_text), Field(max_length=40), AfterValidator(_amount)]
"""An amount of memory, such as 15Gi."""


class MemoryFields(FileModel):
    """What one replica, with all its instances, takes on each of its GPUs."""

    weights: Size | None = None
    workspace: Size | None = None
    """Activations, execution contexts and buffers at the largest batch."""
    kv_reserve: Size | None = None
    """KV memory of an engine that makes tokens: with it the engine takes a part of a GPU only."""


class AntiAffinity(FileModel):
    """What a model's replicas may not stand beside."""

    spread: Literal["gpu", "node"] | None = None
    """Every replica on a GPU, or on a node, of its own kind of failure."""
    not_with: Annotated[tuple[Name, ...], Field(max_length=MOST_MODELS)] = ()


class ModelFields(ServiceFields):
    """A model to place."""

    name: Name
    qps: Rate
    burstiness: Burstiness = 1.0
    objectives: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    min_replicas: Annotated[int, Field(ge=1, le=10_000)] = 1
    max_replicas: Annotated[int, Field(ge=1, le=10_000)] | None = None
    anti_affinity: AntiAffinity = AntiAffinity()
    memory: MemoryFields = MemoryFields()
    sharing: Literal["none", "mig", "time", "any"] | None = None
    """What of a GPU a replica may get; left out: any for dynamic batchers, mig for token engines with a kvReserve."""
    share: Annotated[float, Field(ge=0.02, le=1.0)] | None = None
    """Share of a GPU's time for each replica, where it is not to be chosen."""
    other_profiles: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    """The same model measured on other types of GPU."""


class Neighbours(FileModel):
    """Measured: how much slower everything is where so many replicas share a GPU."""

    replicas: Annotated[int, Field(ge=2, le=64)]
    slowdown: Annotated[float, Field(ge=1.0, le=100.0)]


def _form(value: Any) -> str:
    return f"{FORM}list" if isinstance(value, list | tuple) else f"{FORM}number"


InterferenceFields = Annotated[
    Annotated[float, Field(ge=1.0, le=100.0), Tag(f"{FORM}number")]
    | Annotated[tuple[Neighbours, ...], Field(min_length=1, max_length=63), Tag(f"{FORM}list")],
    Discriminator(_form),
]
"""One slowdown for all numbers of neighbours, or one for each number that was measured."""


class TimeSharing(FileModel):
    """Whether several replicas may share a GPU's time, how it is divided, and what that costs."""

    allowed: bool = True
    division: Literal["turns", "mps"] = "turns"
    """turns: whoever is busy takes equal turns (plain time slicing, one Triton server); mps: each gets its share, by
    CUDA MPS with an active thread percentage."""
    interference: InterferenceFields | None = None
    most_replicas: Annotated[int, Field(ge=2, le=48)] = 16
    """48: the most clients of CUDA MPS."""


class GpuFields(FileModel):
    """GPUs of one type."""

    type: Annotated[str, Field(min_length=1, max_length=100)]
    count: Annotated[int, Field(ge=1, le=MOST_GPUS)]
    memory: Size | None = None
    usable_memory: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    """Share of the memory that is handed out; the rest is the driver's, and fragments."""
    price_per_hour: Price | None = None
    gpus_per_node: Annotated[int, Field(ge=1, le=64)] | None = None
    mig: Annotated[tuple[Annotated[str, Field(max_length=40)], ...], Field(max_length=20)] = ()
    """Profiles of slices that may be made, such as 3g.40gb; `all` for every one that is known."""
    time_sharing: TimeSharing = TimeSharing()


class PackFile(FileModel):
    """The whole file."""

    models: Annotated[tuple[ModelFields, ...], Field(min_length=1, max_length=MOST_MODELS)]
    gpus: Annotated[tuple[GpuFields, ...], Field(min_length=1, max_length=MOST_KINDS)]


def read_pack(path: Path) -> PackFile:
    """The file, validated. Raises InvalidInput with the line of the first mistake."""
    text = read_text(path, what="file")
    document = parse_document(text, name=str(path), what="file")
    try:
        found = PackFile.model_validate(document)
    except ValidationError as error:
        raise first_problem(error, PackFile, text, f"file {path}") from None
    _require_consistent(found, path)
    return found


def _require_consistent(file: PackFile, path: Path) -> None:
    names = [model.name for model in file.models]
    types = [gpu.type.lower() for gpu in file.gpus]
    for what, found in (("model", names), ("GPU type", types)):
        twice = next((each for each in found if found.count(each) > 1), None)
        if twice is not None:
            raise InvalidInput(f"file {path}: {what} {twice!r} is there twice", remedy="give each of them once")
    priced = [gpu.type for gpu in file.gpus if gpu.price_per_hour is not None]
    if priced and len(priced) < len(file.gpus):
        bare = next(gpu.type for gpu in file.gpus if gpu.price_per_hour is None)
        raise InvalidInput(
            f"file {path}: GPU {bare} has no pricePerHour and {priced[0]} has one",
            remedy="give every type a price, or none: then the number of GPUs is what is least",
        )
    for model in file.models:
        _require_model(model, names, f"file {path}, model {model.name!r}")


def _require_model(model: ModelFields, names: list[str], place: str) -> None:
    unknown = [other for other in model.anti_affinity.not_with if other not in names]
    if unknown:
        raise InvalidInput(
            f"{place}: antiAffinity.notWith names {unknown[0]!r}, which is no model here",
            remedy=f"models here: {', '.join(names[:10])}",
        )
    if model.name in model.anti_affinity.not_with:
        raise InvalidInput(
            f"{place}: antiAffinity.notWith names the model itself",
            remedy="`spread: gpu` keeps its replicas apart from one another",
        )
    if model.max_replicas is not None and model.max_replicas < model.min_replicas:
        raise InvalidInput(f"{place}: maxReplicas is less than minReplicas", remedy="mend one of them")

"""What is to be compared: profiles by name, glob or model, and their variants."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from models.errors import InvalidInput
from planner.comparison_row import Candidate
from planner.hardware import find_model
from planner.profile import EngineProfile, catalogue_names, load_profile
from planner.variants import parse_variants, variants_of

MOST_PROFILES = 100


def chosen_profiles(names: Sequence[str], models: Sequence[str]) -> list[EngineProfile]:
    """Profiles by name, file or glob over the shipped names (`llama-3.1-70b-*`), and all shipped ones of models."""
    found: dict[str, EngineProfile] = {}
    shipped = catalogue_names()
    for name in names:
        matched = [each for each in shipped if fnmatchcase(each, name)] if _is_glob(name) else [name]
        if not matched:
            raise InvalidInput(f"--profile {name[:120]!r} matches no shipped profile", remedy="`planner profile list`")
        for each in matched:
            _add(found, load_profile(each))
    for model in models:
        for profile in _of_model(model):
            _add(found, profile)
    if len(found) > MOST_PROFILES:
        raise InvalidInput(f"{len(found)} profiles are too many to compare", remedy=f"name at most {MOST_PROFILES}")
    return list(found.values())


def _is_glob(name: str) -> bool:
    return any(sign in name for sign in "*?[") and "/" not in name


def _add(found: dict[str, EngineProfile], profile: EngineProfile) -> None:
    if profile.name in found and found[profile.name] != profile:
        raise InvalidInput(f"two profiles are called {profile.name}", remedy="give one another metadata.name")
    found[profile.name] = profile


def _of_model(model: str) -> list[EngineProfile]:
    """Every shipped profile of a model, by its published name or the start of the profiles' names."""
    shape, wanted = find_model(model), model.strip().lower()
    profiles = [load_profile(name) for name in catalogue_names()]
    found = [
        profile
        for profile in profiles
        if profile.name.startswith(f"{wanted}-")
        or profile.spec.model.lower() == wanted
        or (shape is not None and find_model(profile.spec.model) == shape)
    ]
    if not found:
        known = sorted({profile.spec.model.rpartition("/")[2] for profile in profiles})
        close = difflib.get_close_matches(model, known, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InvalidInput(
            f"--model {model[:100]!r}: no shipped profile of it", remedy=f"{hint}there are {', '.join(known)}"
        )
    return found


def candidates_of(profiles: Sequence[EngineProfile], variants: Sequence[str], *, least_tokens: int) -> list[Candidate]:
    """The profiles, and the variants of each; what two of them have in common stands once."""
    asked = parse_variants(variants)
    found: dict[str, Candidate] = {}
    for profile in profiles:
        found[profile.name] = Candidate(name=profile.name, profile=profile, gpu=profile.spec.gpu.type)
    for profile in profiles:
        for variant in variants_of(profile, asked, least_tokens=least_tokens):
            found.setdefault(
                variant.name,
                Candidate(
                    name=variant.name,
                    profile=variant.profile,
                    estimated=variant.estimated,
                    error=variant.error,
                    basis=variant.basis,
                    base=profile,
                    gpu=variant.target.gpu,
                    reason=variant.reason,
                    remedy=variant.remedy,
                ),
            )
    return list(found.values())

"""A profile that nobody measured: the step time that data sheets suggest, labelled as such."""

from __future__ import annotations

import difflib
import re

from models.errors import InvalidInput
from planner.hardware import find_gpu, find_model, gpus, models, named_quantization, precision_of, step_prior
from planner.profile import EngineProfile


def estimated_profile(model: str, gpu: str, quantization: str | None = None) -> EngineProfile:
    """Of a model of the catalogue on one GPU of the catalogue, whether or not it fits there; vLLM's default limits.

    `planner.parallelism` carries it to the layout that is meant. Raises InvalidInput for names that are not known.
    """
    shape, sheet = find_model(model), find_gpu(gpu)
    if shape is None:
        raise _unknown("model", model, [each.name for each in models().values()])
    if sheet is None:
        raise _unknown("GPU", gpu, list(gpus()))
    stated = quantization or named_quantization(model)
    prior = step_prior(sheet, shape, precision=precision_of(stated))
    if prior is None:
        raise InvalidInput(
            f"what {shape.name} at {stated} costs does not follow from its shape",
            remedy="measure a profile (`planner profile sweep`), or name another quantization: none, fp8, int4",
        )
    terms = {
        "base": prior.base_s,
        "perPrefillToken": prior.per_prefill_token_s,
        "perDecodeSequence": prior.per_decode_s,
        "perKvToken": prior.per_kv_token_s,
    }
    if shape.experts and shape.experts_per_token and prior.per_expert_s:
        terms |= {"experts": shape.experts, "expertsPerToken": shape.experts_per_token, "perExpert": prior.per_expert_s}
        # The base holds the experts of one token, and the experts' term those of all tokens of a step.
        terms["base"] = max(0.0, prior.base_s - shape.experts_per_token * prior.per_expert_s)
    short = re.sub(r"[^a-z0-9]+", "-", f"{shape.name.rpartition('/')[2]}-{sheet.name}".lower()).strip("-")
    return EngineProfile.model_validate(
        {
            "apiVersion": "replicast.dev/v1alpha1",
            "kind": "EngineProfile",
            "metadata": {"name": f"{short}-estimate"},
            "spec": {
                "engine": "vllm",
                "model": model,
                "quantization": stated,
                "gpu": {"type": sheet.name},
                "stepTime": terms,
                "provenance": [
                    {"source": "data sheets", "notes": [f"an ESTIMATE, nothing was measured: {prior.source}"]}
                ],
            },
        }
    )


def _unknown(what: str, name: str, known: list[str]) -> InvalidInput:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(close)}?" if close else f"known are {', '.join(sorted(known)[:8])} and others"
    return InvalidInput(f"{what} {name[:80]!r} is not in the catalogue of data sheets", remedy=hint)

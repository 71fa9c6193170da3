"""The token lengths of one request after the other, drawn as the step simulator draws them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.engine import Engine
from models.simulation.live.live_replica import Request
from models.simulation.replicas import _fit_in_memory, _lengths
from models.workload import Workload

_AT_ONCE = 4096


def requests_of(engine: Engine, workload: Workload, rng: np.random.Generator) -> Iterator[Request]:
    """Requests without an end. Those longer than KV memory, or than a step that splits no prompt, are cut."""
    while True:
        prompt, output = _fit_in_memory(engine, *_lengths(workload.lengths, _AT_ONCE, rng))
        cached = np.minimum(np.rint(prompt * workload.prefix_hit_rate).astype(np.int64), prompt - 1)
        if not engine.limits.chunked_prefill:
            prompt = np.minimum(prompt, cached + engine.limits.max_num_batched_tokens)
        for p, c, o in zip(prompt.tolist(), cached.tolist(), output.tolist(), strict=True):
            yield Request(prompt=p, cached=c, output=o)

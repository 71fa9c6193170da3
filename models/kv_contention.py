"""What KV memory that runs short costs an engine at saturation: throughput, running sequences, preemptions.

With memory full the scheduler admits whenever the head of the queue fits, the running set outgrows what is left, and
the youngest are preempted and computed again (vLLM V1). There is no formula for how often; a small network learned it
from saturated engines in the step simulator, in quantities without unit. How well: docs/accuracy.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from models.learned import KV_CONTENTION
from models.network import Network
from models.token_lengths import TokenLengths

Array = NDArray[np.float64]

_FREE, _TIGHT = 0.45, 0.8


@dataclass(frozen=True, kw_only=True)
class KvContention:
    """How a saturated engine with little KV memory compares to one whose sequences share memory without waste."""

    throughput: float
    """Requests per second, over those without waste."""
    running: float
    """Running sequences, over those of the full engine without waste."""
    preemptions: float
    """Preemptions per request."""
    familiarity: float
    """1 within the range of engines that this was learned from, falling to 0 with the distance beyond it."""


NONE = KvContention(throughput=1.0, running=1.0, preemptions=0.0, familiarity=1.0)


def tightness(fullness: float) -> float:
    """How far memory matters (0 … 1), from the share of it that the other limits would let a full engine use."""
    return float(np.clip((fullness - _FREE) / (_TIGHT - _FREE), 0.0, 1.0))


def contention_inputs(
    lengths: TokenLengths,
    *,
    held: float,
    max_num_seqs: int,
    budget: int,
    memory_tokens: float,
    kv_block_size: int,
    prompt_steps: float,
    fullness: float,
    chunked_prefill: bool,
) -> Array:
    """The network's inputs (k,).

    `held`: sequences that memory holds on average; `prompt_steps`: time to compute a prompt over a step without one;
    `fullness`: share of memory that the other limits would let a full engine use.
    """
    prompt, output = lengths.prompt, lengths.output
    return np.array(
        [
            np.log(held),
            np.log(max_num_seqs),
            np.log(held / max_num_seqs),
            np.log(output.mean / prompt.mean),
            np.log(prompt.mean),
            prompt.scv**0.5,
            output.scv**0.5,
            np.log(prompt.mean / budget),
            np.log(max(prompt_steps, 1e-3)),
            np.log(min(fullness, 50.0)),
            np.log((prompt.mean + output.mean) / memory_tokens),
            np.log(kv_block_size / (prompt.mean + output.mean)),
            float(chunked_prefill),
            (1.0 - chunked_prefill) * np.log(prompt.mean / budget),
        ]
    )


@cache
def _network() -> Network:
    return Network.from_text(KV_CONTENTION)


def kv_contention(inputs: Array, fullness: float) -> KvContention:
    """What the network says, from `contention_inputs`; nothing where memory does not fill."""
    tight = tightness(fullness)
    if tight <= 0.0:
        return NONE
    network = _network()
    throughput, running, preemptions = tight * network(inputs)
    return KvContention(
        throughput=float(np.exp(np.clip(throughput, -3.0, 0.0))),
        running=float(np.exp(np.clip(running, -2.0, 0.7))),
        preemptions=float(max(0.0, np.expm1(min(preemptions, 3.0)))),
        familiarity=network.familiarity(inputs),
    )

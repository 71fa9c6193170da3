"""What the analytic laws miss, learned from simulated replicas.

The laws of `models.replica_laws` rest on approximations: two time scales, renewal counts, an interpolation for
least-outstanding routing. Their *discrepancy* (Kennedy and O'Hagan 2001, Bayesian calibration of computer models, §2)
is smooth in the quantities that describe the question, all without unit, and a small network holds it: for each metric
how far the log-odds move, at a few probabilities, at which the analytic quantile is read. It vanishes with the load,
where hardly anything is approximated, and fades out beyond the range of the questions that were simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from models.latency_law import LatencyLaw
from models.learned import LAWS
from models.network import Network
from models.objective import Metric
from models.prediction import Capacity, Routing
from models.replica_load import ReplicaLoad
from models.slow_occupancy import Occupancy

Array = NDArray[np.float64]

CORRECTED: tuple[Metric, ...] = ("ttft", "itl", "e2e", "tpot", "queue")
KNOTS = (0.1, 0.5, 0.9, 0.95, 0.99)
"""Probabilities at which a law is corrected; between them in proportion to the log-odds, beyond them as at the last."""

_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.925, 0.95, 0.97, 0.975, 0.985, 0.99, 0.995, 0.999)
_LOOKED_AT: dict[Metric, tuple[int, ...]] = {
    "ttft": tuple(range(13)), "itl": tuple(range(13)), "e2e": (0, 2, 4, 6, 10), "tpot": (2, 6), "queue": (2, 6, 10),
}  # fmt: skip
_FLOOR: dict[Metric, float] = {"ttft": 1e-9, "itl": 1e-9, "e2e": 1e-9, "tpot": 1e-9, "queue": 0.02}
"""Added to quantiles, in bare steps, before the logarithm: a wait may be zero."""
_AT_REST = 0.03
_MANY = float(np.log(64.0))
"""Logarithm of a number of replicas beyond which more behave alike."""
_ROOMY = float(np.log(512.0))
"""Logarithm of a number of seats beyond which more make no difference."""
_LOG_ODDS_GRID = np.linspace(-9.0, 9.0, 181)


@dataclass(frozen=True, kw_only=True, eq=False)
class Circumstances:
    """A question and what the analytic model made of it."""

    load: ReplicaLoad
    slow: Occupancy
    laws: Mapping[Metric, LatencyLaw]
    top: Capacity
    burstiness: float
    replicas: int
    routing: Routing

    @property
    def utilization(self) -> float:
        """Arrival rate over capacity."""
        return self.load.rate_per_s / self.top.requests_per_s

    @cached_property
    def bare_step_s(self) -> float:
        """A step without prompt tokens at the mean occupancy: the unit of time of everything below."""
        return float(self.load.step_s(0.0, max(self.slow.mean, 1.0)))

    @property
    def gate(self) -> float:
        """0 at rest, 1 under load."""
        return float(-np.expm1(-self.utilization / _AT_REST))


def describable(laws: Mapping[Metric, LatencyLaw]) -> bool:
    """Whether there is a law of every metric; answers of one token have no gaps."""
    return all(metric in laws for metric in CORRECTED)


def log_quantiles(quantiles_s: Array, metric: Metric, bare_step_s: float) -> Array:
    """Logarithms of quantiles in bare steps, as the network looks at them."""
    return np.asarray(np.log(np.maximum(quantiles_s, 0.0) / bare_step_s + _FLOOR[metric]))


def network_inputs(at: Circumstances) -> Array:
    """The question in quantities without unit (k,)."""
    return np.concatenate([_question(at), _laws(at)])


def _question(at: Circumstances) -> Array:
    load, limits, demand = at.load, at.load.engine.limits, at.load.demand
    prompt, output = load.lengths.prompt, load.lengths.output
    running, unit = max(at.slow.mean, 1e-3), at.bare_step_s
    there = max(running, 1.0)
    own = float(load.step_s(demand.prompt_tokens, there)) - unit
    room = float(load.room(np.array([running]))[0])
    alone = float(load.step_s(0.0, 1.0))
    prefill = min(load.rate_per_s * demand.prompt_tokens * float(load.step_s(room, there)) / room, 0.999)
    routing = at.routing if at.replicas > 1 else Routing.RANDOM
    in_turn, least = float(routing is Routing.ROUND_ROBIN), float(routing is Routing.LEAST_OUTSTANDING)
    memory = float(limits.kv_cache_tokens is not None)
    whole = float(not limits.chunked_prefill)
    # A random split of Poisson arrivals is Poisson: how many replicas there are says nothing then.
    several = min(_log(at.replicas), _MANY) * (1.0 if in_turn or least else 1.0 - 1.0 / max(at.burstiness, 1.0))
    used = at.utilization
    return np.array(
        [
            _log(demand.prompt_tokens / limits.max_num_batched_tokens),
            _log(output.mean),
            prompt.scv**0.5,
            output.scv**0.5,
            used,
            -_log(1.0 - used),
            _log(running),
            max(_log(running / load.slots), -_ROOMY),
            _log(own / unit),
            prefill,
            -_log(1.0 - prefill),
            _log(load.rate_per_s * unit),
            _log(load.rate_per_s * own),
            _log(load.rate_per_s * alone),
            _log(at.burstiness),
            _log(load.stream.gap_scv + 0.05),
            several,
            float(np.exp(-several)),
            in_turn,
            least,
            in_turn * several,
            least * several,
            least * _log(running),
            least * used,
            in_turn * used,
            least / (1.0 + running),
            float(load.memory_bound),
            memory,
            memory * min(1.0, running * demand.kv_token_steps / (demand.decode_steps + 1.0) / _memory_tokens(at)),
            _log(prompt.mean / output.mean),
            memory * _log(prompt.mean / output.mean),
            memory * at.top.preemptions_per_request,
            max(_log(at.slow.full_probability + 1e-12), -12.0),
            _log(unit / alone),
            min(_log(load.slots), _ROOMY),
            min(_log(limits.max_num_seqs), _ROOMY),
            load.prefix_hit_rate,
            whole,
            whole * _log(demand.prompt_tokens / limits.max_num_batched_tokens),
            whole * load.packing,
            whole * float(load.prompt.weights[load.prompt.values > limits.max_num_batched_tokens - running].sum()),
            _log(max(output.mean - 1.0, 0.5) * unit / (own + unit)),
        ]
    )


def _memory_tokens(at: Circumstances) -> float:
    limits = at.load.engine.limits
    return limits.kv_blocks * limits.kv_block_size


def _laws(at: Circumstances) -> Array:
    unit = at.bare_step_s
    logs = {metric: log_quantiles(at.laws[metric].quantiles(_LEVELS), metric, unit) for metric in CORRECTED}
    ttft, itl = logs["ttft"], logs["itl"]
    # How steep the laws are beside the percentiles that people ask for: a jump lies near.
    slopes = [ttft[6] - ttft[4], itl[7] - itl[6], itl[10] - itl[9], itl[11] - itl[10], itl[6] - itl[5]]
    return np.concatenate([*(logs[metric][list(_LOOKED_AT[metric])] for metric in CORRECTED), slopes])


def _log(value: float) -> float:
    return float(np.log(max(value, 1e-6)))


@cache
def _network() -> Network:
    return Network.from_text(LAWS)


def corrected(at: Circumstances) -> tuple[dict[Metric, LatencyLaw], float | None]:
    """The laws with what they miss put right, and how far that was done: 1 fully, 0 not at all; None: nothing to do."""
    network = _network()
    if not describable(at.laws):
        return dict(at.laws), None
    inputs = network_inputs(at)
    familiar = network.familiarity(inputs)
    return moved(at, familiar * network(inputs)), familiar


def moved(at: Circumstances, shift: Array) -> dict[Metric, LatencyLaw]:
    """The laws with the log-odds at their knots moved by `shift` (metrics × knots,) times the gate."""
    rows = at.gate * shift.reshape(len(CORRECTED), len(KNOTS))
    laws = _in_order({metric: _warped(at.laws[metric], row) for metric, row in zip(CORRECTED, rows, strict=True)})
    return {**laws, "itl": _of_mean(laws["itl"], _mean_gap_s(laws, at.load.demand.decode_steps))}


def _mean_gap_s(laws: Mapping[Metric, LatencyLaw], decode_steps: float) -> float:
    """All gaps of all requests add up to e2e less TTFT."""
    return (laws["e2e"].mean_s - laws["ttft"].mean_s) / decode_steps


def _of_mean(law: LatencyLaw, mean_s: float) -> LatencyLaw:
    return replace(law, mean_s=min(max(mean_s, float(law.values_s[0])), float(law.values_s[-1])))


def _warped(law: LatencyLaw, shift: Array) -> LatencyLaw:
    """The law whose quantile at u is that of `law` at the log-odds of u plus `shift`, given at the knots."""
    grid = _LOG_ODDS_GRID
    there = np.maximum.accumulate(grid + np.interp(grid, log_odds(np.asarray(KNOTS)), shift) + 1e-9 * grid)
    cdf = np.clip(law.cdf, 1e-9, 1.0 - 1e-9)
    back = np.interp(log_odds(cdf), there, grid)
    chance = 1.0 / (1.0 + np.exp(-back))
    chance[-1] = 1.0
    chance = np.maximum.accumulate(chance)
    return LatencyLaw(values_s=law.values_s, cdf=chance, mean_s=float(law.values_s @ np.diff(chance, prepend=0.0)))


def log_odds(probability: Array) -> Array:
    """log(p/(1 − p))."""
    return np.asarray(np.log(probability) - np.log1p(-probability))


def _in_order(laws: dict[Metric, LatencyLaw]) -> dict[Metric, LatencyLaw]:
    """Admission comes before the first token, and that before the last: at every probability."""
    ttft, e2e, queue = laws["ttft"], laws["e2e"], laws["queue"]
    laws["e2e"] = _of_two(e2e, ttft, np.maximum)
    laws["queue"] = _of_two(queue, ttft, np.minimum)
    return laws


def _of_two(law: LatencyLaw, other: LatencyLaw, choose: Callable[[Array, Array], Array]) -> LatencyLaw:
    """The law whose quantile is what `choose` makes of both quantiles, at every probability where either steps."""
    cdf = np.union1d(law.cdf, other.cdf)
    values = choose(law.quantiles(cdf), other.quantiles(cdf))
    return LatencyLaw(values_s=values, cdf=cdf, mean_s=float(values @ np.diff(cdf, prepend=0.0)))

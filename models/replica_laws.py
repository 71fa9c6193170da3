"""The laws of one replica: slow occupancy, fast backlog and admission put together point by point.

Every law is an integral over independent causes (the occupancy met, the backlog met, the moment within the step, own
lengths, …). The integral is taken on a fixed lattice of points, each a whole request, so that what belongs together
(the occupancy that a request meets and the steps that it then lives through) stays together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from models.latency_law import LatencyLaw
from models.lattice import lattice
from models.lindley import waiting_law
from models.objective import Metric
from models.prompt_backlog import PromptBacklog, solve_backlog
from models.replica_load import ReplicaLoad
from models.routing import renewal_counts
from models.slow_occupancy import Occupancy, mean_step_s, open_occupancy
from models.token_lengths import Atoms

Array = NDArray[np.float64]

_POINTS = 2048
_NODES = (0.08, 0.5, 0.92)
_POISSON_ENOUGH = 0.02
_IDLE = 1e-9
"""Share of time spent on prompts below which no arrival meets another."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Causes:
    """Independent uniforms (n,) that make a request."""

    occupancy: Array
    backlog: Array
    moment: Array
    before: Array
    after: Array
    prompt: Array
    output: Array
    noise: Array
    idle: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class _Nodes:
    """Backlog chains solved at a few occupancies, and which of them each point uses."""

    decoding: Array
    solved: list[PromptBacklog]
    of_point: NDArray[np.intp]

    @classmethod
    def at(cls, decoding: Array, solved: list[PromptBacklog], points: Array, shrunk: Array) -> _Nodes:
        """The nearest of the chains at `decoding` (k,) for each point: `points` (n,) decode, `shrunk` to a backlog."""
        nearest = np.searchsorted(0.5 * (decoding[1:] + decoding[:-1]), shrunk)
        alone = 1 if decoding[0] < 0.5 < decoding[-1] else 0
        of_point = np.where(points < 0.5, 0, np.maximum(nearest, alone))
        return cls(decoding=decoding, solved=solved, of_point=of_point)

    def each(self) -> list[tuple[PromptBacklog, float, NDArray[np.intp]]]:
        """Chain, its occupancy and its points, where it has any."""
        parts = []
        for index, chain in enumerate(self.solved):
            points = np.flatnonzero(self.of_point == index)
            if points.size:
                parts.append((chain, float(self.decoding[index]), points))
        return parts

    def at_points(self, attribute: str, decoding: Array) -> Array:
        """A number of the chains, interpolated at occupancies (n,)."""
        table = np.array([getattr(chain, attribute) for chain in self.solved])
        return np.asarray(np.interp(decoding, self.decoding, table))


def replica_laws(load: ReplicaLoad, held: Occupancy | None = None) -> tuple[dict[Metric, LatencyLaw], Occupancy]:
    """The law of every metric, and of the occupancy, for one replica.

    `held` fixes the occupancy (closed workloads); without it the open chain gives it.
    """
    cause = _Causes(**dict(zip(_Causes.__dataclass_fields__, lattice(_POINTS, 9), strict=True)))
    peakedness = _peakedness(load)
    first = held or open_occupancy(load, peakedness=peakedness)
    decoding = first.quantiles(cause.occupancy)
    life_s = load.demand.decode_steps * float(mean_step_s(load, np.array([first.mean]))[0])
    keep = _keep(load, first.mean, life_s)
    nodes_at, chains = _solve_nodes(load, first.mean, keep, decoding)
    slow = held
    if slow is None:
        mid = float(np.interp(first.mean, nodes_at, [chain.step_variance_rate_s2 for chain in chains]))
        gusts = (
            load.overlap * load.rate_per_s * load.demand.decode_steps * mid / max(life_s, 1e-12) / load.stream.pooled
        )
        slowdown = np.array(
            [1.0 + (1.0 - load.stream.drawn) * (chain.life_step_s / chain.mean_step_s - 1.0) for chain in chains]
        )
        slow = open_occupancy(load, peakedness=peakedness + gusts, slowdown=(nodes_at, slowdown))
        decoding = slow.quantiles(cause.occupancy)
    nodes = _Nodes.at(nodes_at, chains, decoding, slow.mean + keep * (decoding - slow.mean))
    beside = slow.quantiles_by_sequence(cause.occupancy)
    nodes_beside = _Nodes.at(nodes_at, chains, beside, slow.mean + keep * (beside - slow.mean))
    nearer = _nearer(load, slow.mean, life_s)
    gaps = _gap_law(load, nodes_beside, cause, beside, nearer)
    queue, ttft = _first_token(load, nodes, cause, decoding, slow)
    count, decode_s = _decode_phase(load, nodes, cause, decoding, slow, life_s, nearer)
    ones = np.ones(_POINTS)
    laws: dict[Metric, LatencyLaw] = {
        "ttft": LatencyLaw.from_atoms(ttft, ones),
        "e2e": LatencyLaw.from_atoms(ttft + decode_s, ones),
        "queue": LatencyLaw.from_atoms(queue, ones),
    }
    several = count > 0.0
    if several.any():
        laws["itl"] = gaps
        laws["tpot"] = LatencyLaw.from_atoms(decode_s[several] / count[several], ones[several])
    return laws, slow


def _peakedness(load: ReplicaLoad) -> float:
    total = 1.0 + (load.stream.occupancy_scv * load.stream.pooled - 1.0) * load.overlap
    return max(0.05, total / load.stream.pooled)


def _keep(load: ReplicaLoad, mean: float, life_s: float) -> float:
    """How much of the occupancy's spread a backlog sees: one that lasts longer than a life averages it out."""
    room = float(load.room(np.array([mean]))[0])
    full_s = float(load.step_s(room, mean))
    drift = max(room / full_s - load.rate_per_s * load.prompt.mean, 1e-9)
    relaxation_s = load.rate_per_s * load.prompt.second_moment * max(load.stream.gap_scv, 0.3) / drift**2
    return float(np.sqrt(1.0 / (1.0 + relaxation_s / max(life_s, 1e-12))))


def _solve_nodes(load: ReplicaLoad, mean: float, keep: float, decoding: Array) -> tuple[Array, list[PromptBacklog]]:
    spread = mean + keep * (np.quantile(decoding, _NODES) - mean)
    # Whoever decodes is there itself: chains below one sequence serve only those that find the engine without any.
    idle = [0.0] if decoding[decoding < 0.5].size else []
    busy = np.maximum(spread[spread >= 0.5], 1.0) if (spread >= 0.5).any() else np.array([1.0])
    nodes_at = np.unique(np.concatenate([idle, np.round(busy, 2)]))
    chains = [
        solve_backlog(
            partial(_step_s, load, float(d)),
            room=float(load.room(d)),
            rate_per_s=load.rate_per_s,
            scv=load.stream.gap_scv,
            prompt=load.prompt,
            decode_steps=load.demand.decode_steps,
            idle=bool(d < 0.5),
        )
        for d in nodes_at
    ]
    return nodes_at, chains


def _step_s(load: ReplicaLoad, decoding: float, tokens: Array) -> Array:
    return load.step_s(tokens, decoding)


def _nearer(load: ReplicaLoad, mean: float, life_s: float) -> float:
    """Arrivals during a request's decode phase against those in any window as long.

    A renewal stream that has just brought a request brings the next ones sooner (bursty) or later (regular).
    """
    if abs(load.stream.gap_scv - 1.0) < _POISSON_ENOUGH or life_s <= 0.0:
        return 1.0
    room = float(load.room(np.array([mean]))[0])
    own_s = float(load.step_s(room, mean)) * (load.prompt.mean / room + 1.0)
    ends = load.rate_per_s * np.array([own_s, own_s + life_s])
    if ends[1] > 30.0 or ends[1] - ends[0] < 1e-12:
        return 1.0
    counts = renewal_counts(load.stream.gap_scv, ends, 120, after_arrival=True) @ np.arange(121.0)
    return float((counts[1] - counts[0]) / (ends[1] - ends[0]))


def _gap_law(load: ReplicaLoad, nodes: _Nodes, cause: _Causes, decoding: Array, nearer: float) -> LatencyLaw:
    """Gaps between tokens: the steps of decode phases beside `decoding` (n,) sequences, each counted by them."""
    tokens = np.empty(_POINTS)
    for chain, _, points in nodes.each():
        life = (1.0 - load.stream.drawn) * chain.life_weights + load.stream.drawn * chain.weights
        tokens[points] = _draw(chain.grid, _scaled(life, nearer), cause.backlog[points])
    gap = load.step_s(np.minimum(tokens, load.room(decoding)), decoding)
    return LatencyLaw.from_atoms(gap, np.ones(_POINTS))


def _scaled(weights: Array, factor: float) -> Array:
    """The law with the mass above zero scaled by a factor, as far as there is mass at zero."""
    busy = 1.0 - float(weights[0])
    if busy <= 0.0 or factor == 1.0:
        return weights
    factor = min(factor, 1.0 / busy)
    scaled = weights * factor
    scaled[0] = 1.0 - busy * factor
    return scaled


def _draw(values: Array, weights: Array, u: Array) -> Array:
    chance = np.cumsum(weights)
    return np.asarray(values[np.minimum(np.searchsorted(chance, u * chance[-1]), values.size - 1)])


def _first_token(
    load: ReplicaLoad, nodes: _Nodes, cause: _Causes, decoding: Array, slow: Occupancy
) -> tuple[Array, Array]:
    """Seconds (n,) from arrival to admission and to the first token.

    The rest of the step under way, whole steps while more than a step's room is ahead, then the step that completes
    the prompt, which carries as much of what came behind as fits. Before all that, the wait for a slot.
    """
    room = load.room(decoding)
    full_s = load.step_s(room, decoding)
    met = _backlog_met(load, nodes, cause, slow.mean)
    step_met_s = load.step_s(np.minimum(met, room), decoding)
    rest_s = (1.0 - cause.moment) * step_met_s
    before = np.empty(_POINTS)
    idle = np.zeros(_POINTS, dtype=bool)
    for chain, _, points in nodes.each():
        before[points] = chain.arrivals.sample((cause.moment * step_met_s)[points], cause.before[points])
        idle[points] = cause.idle[points] < chain.idle_share
    ahead = np.where(idle, 0.0, np.maximum(met - room, 0.0) + before)
    rest_s = np.where(idle, 0.0, rest_s)
    own = ahead + _quantile(load.prompt, cause.prompt)
    whole = np.maximum(np.ceil(own / room) - 1.0, 0.0)
    window_s = rest_s + whole * full_s
    behind = np.zeros(_POINTS)
    for chain, _, points in nodes.each():
        window = np.minimum(window_s[points], chain.arrivals.windows_s[-1])
        behind[points] = chain.arrivals.sample(window, cause.after[points])
    behind = np.where(idle & (whole == 0.0), 0.0, behind)
    last_s = load.step_s(np.minimum(own - whole * room + behind, room), decoding)
    slot_s = _slot_wait(cause.occupancy, slow)
    queue = slot_s + rest_s + np.floor(ahead / room) * full_s
    return queue, slot_s + window_s + last_s


def _slot_wait(u: Array, slow: Occupancy) -> Array:
    """Wait for a slot: exponential for the arrivals that find none free (those that meet the fullest replica)."""
    if slow.full_probability < 1e-7:
        return np.zeros(u.size)
    beyond = np.clip((u - (1.0 - slow.full_probability)) / slow.full_probability, 0.0, 1.0 - 1e-9)
    return np.asarray(-np.log1p(-beyond) * slow.mean_wait_s)


def _backlog_met(load: ReplicaLoad, nodes: _Nodes, cause: _Causes, mean: float) -> Array:
    """Tokens waiting at the start of the step that an arrival lands in: steps are met in proportion to their length.

    Arrivals other than Poisson meet another backlog than stands at any time, and remember it over many steps: the
    chance to meet one is scaled, and its size shifted, as the GI/G/1 wait stands to the M/G/1 wait.
    """
    u, shift = _as_met(load, cause.backlog, mean)
    met = np.empty(_POINTS)
    for chain, d, points in nodes.each():
        seconds = load.step_s(np.minimum(chain.grid, load.room(np.array(d))), d)
        met[points] = _draw(chain.grid, chain.weights * seconds, u[points])
    return np.maximum(met + shift, 0.0)


def _as_met(load: ReplicaLoad, u: Array, mean: float) -> tuple[Array, Array]:
    """Probabilities (n,) at which to read the backlog at any time, and tokens (n,) to add, for one met on arrival."""
    room = float(load.room(np.array([mean]))[0])
    speed = room / float(load.step_s(room, mean))
    share = load.rate_per_s * load.prompt.mean / speed
    if abs(load.stream.gap_scv - 1.0) < _POISSON_ENOUGH or not _IDLE < share < 0.995:
        return u, np.zeros(u.size)
    tail = load.prompt.second_moment / load.prompt.mean
    top = 8.0 * tail * max(load.stream.gap_scv, 1.0) / max(1.0 - share, 0.02) + 2.0 * tail
    met, plain = (waiting_law(load.prompt, speed / load.rate_per_s, scv, top=top) for scv in (load.stream.gap_scv, 1.0))
    factor = (1.0 - float(met.cdf[0])) / max(1.0 - float(plain.cdf[0]), 1e-12)
    read = np.maximum(1.0 - (1.0 - u) / max(factor, 1e-9), 0.0)
    shift = np.where(read > 0.0, met.quantile(u) - plain.quantile(read), 0.0)
    return read, shift


def _decode_phase(
    load: ReplicaLoad,
    nodes: _Nodes,
    cause: _Causes,
    decoding: Array,
    slow: Occupancy,
    life_s: float,
    nearer: float,
) -> tuple[Array, Array]:
    """Tokens after the first (n,) and the seconds they take (n,).

    The occupancy met fades towards its mean over the life (as an Ornstein–Uhlenbeck process averaged over it); a decode
    phase starts in a busier moment than any (its own prompt came with others); prompts on the way make a skewed
    spread whose variance is that of sums of dependent steps.
    """
    count = np.maximum(_quantile(load.lengths.output, cause.output) - 1.0, 0.0)
    step_s = nodes.at_points("mean_step_s", decoding)
    ratio = np.maximum(count, 1.0) * step_s / max(life_s, 1e-12)
    fade = np.sqrt(2.0 / ratio * (1.0 - (1.0 - np.exp(-ratio)) / ratio))
    lived = slow.mean + fade * (decoding - slow.mean) + (0.0 if slow.population else 1.0)
    table = np.linspace(0.0, max(load.slots, 1.0) + 1.0, 128) if load.slots < 1e5 else np.geomspace(1.0, 1e7, 128)
    mean_s = np.interp(lived, table, mean_step_s(load, table))
    bare_s = load.step_s(0.0, lived)
    excess = (1.0 - load.stream.drawn) * nodes.at_points("start_excess_s", decoding)
    decay = nodes.at_points("start_decay", decoding)
    bare = count * bare_s
    prompts = np.maximum(count * (mean_s - bare_s) + excess * (1.0 - decay**count), 0.0) * nearer
    variance = count * nodes.at_points("step_variance_rate_s2", lived)
    log_variance = np.minimum(np.log1p(variance / np.maximum(prompts, 1e-15) ** 2), 4.0)
    noise = np.exp(np.sqrt(log_variance) * ndtri(cause.noise) - 0.5 * log_variance)
    ceiling = count * (load.step_s(load.room(decoding), decoding) - bare_s)
    return count, bare + np.minimum(prompts * noise, np.maximum(ceiling, 0.0))


def _quantile(atoms: Atoms, u: Array) -> Array:
    return _draw(atoms.values, atoms.weights, u)

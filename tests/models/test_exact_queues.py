"""Queues whose laws are known exactly: the parts of the model reproduce them to six digits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.engine import Engine, EngineLimits
from models.lindley import WaitingLaw, waiting_law
from models.replica_load import ReplicaLoad
from models.slow_occupancy import open_occupancy
from models.step_time import LinearStepTime
from models.token_lengths import Atoms, TokenLengths

SIX_DIGITS = 1e-6
CELLS = 2**17


def load(step_time: LinearStepTime, lengths: TokenLengths, *, rate_per_s: float, slots: float, top: float):
    return ReplicaLoad(
        engine=Engine(step_time=step_time, limits=EngineLimits(max_num_batched_tokens=100_000)),
        lengths=lengths,
        prefix_hit_rate=0.0,
        rate_per_s=rate_per_s,
        slots=slots,
        saturation_per_s=top,
    )


def linear(*, base_s: float = 0.0, per_decode_s: float = 0.0) -> LinearStepTime:
    return LinearStepTime(base_s=base_s, per_prefill_token_s=0.0, per_decode_s=per_decode_s, per_kv_token_s=0.0)


@pytest.mark.parametrize("rho", [0.3, 0.8, 0.95])
@pytest.mark.parametrize("output_cv", [0.0, 1.5])
def test_processor_sharing_has_a_geometric_occupancy(rho: float, output_cv: float):
    # A step costs only per_decode_s for each sequence: the engine shares one processor, so P(n) = (1 − ρ)ρⁿ whatever
    # the law of output lengths (Cohen 1979), with ρ = rate × decode steps × per_decode_s.
    lengths = TokenLengths.of(64, 101, output_cv=output_cv)
    rate = rho / ((lengths.output.mean - 1.0) * 1e-3)
    slow = open_occupancy(
        load(linear(per_decode_s=1e-3), lengths, rate_per_s=rate, slots=2000.0, top=rate / rho), peakedness=1.0
    )
    n = np.arange(60)
    assert slow.decoding[:60].tolist() == n.tolist()
    assert slow.weights[:60] == pytest.approx((1.0 - rho) * rho**n, rel=SIX_DIGITS)
    assert slow.mean == pytest.approx(rho / (1.0 - rho), rel=SIX_DIGITS)
    assert slow.full_probability < 1e-30


def erlang_c(servers: int, offered: float) -> float:
    """Probability of waiting in M/M/c, by Erlang's B recursion (Cooper 1981, Introduction to Queueing Theory, §3)."""
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    return blocked / (1.0 - offered / servers * (1.0 - blocked))


@pytest.mark.parametrize(("servers", "rho"), [(1, 0.5), (4, 0.8), (32, 0.95), (100, 0.7)])
def test_slots_at_constant_speed_are_an_m_m_c_queue(servers: int, rho: float):
    # A step costs only base_s: every sequence is served at its own constant speed, c slots are c servers. Output
    # lengths of 10 (four fifths) and 60 have mean 20 and second moment 800, so a coefficient of variation of exactly 1.
    lengths = TokenLengths.from_table(np.full(5, 64.0), np.array([10.0, 10.0, 10.0, 10.0, 60.0]))
    assert lengths.output.scv == pytest.approx(1.0, abs=1e-12)
    service_s = (lengths.output.mean - 1.0) * 0.02
    top = servers / service_s
    at = load(linear(base_s=0.02), lengths, rate_per_s=rho * top, slots=float(servers), top=top)
    assert at.wait_scv == pytest.approx(1.0, abs=1e-12)
    slow = open_occupancy(at, peakedness=1.0)
    assert slow.full_probability == pytest.approx(erlang_c(servers, rho * servers), rel=SIX_DIGITS)
    # Those that wait, wait 1/(cμ − λ) in the mean; with their share it is Erlang's mean wait.
    assert slow.mean_wait_s == pytest.approx(1.0 / (top - rho * top), rel=SIX_DIGITS)
    # Below c the weights are Poisson's up to a constant.
    n = min(servers - 1, 5)
    assert slow.weights[n] / slow.weights[0] == pytest.approx((rho * servers) ** n / math.factorial(n), rel=SIX_DIGITS)


def mean(law: WaitingLaw) -> float:
    return float(law.values @ np.diff(law.cdf, prepend=0.0))


def probability(law: WaitingLaw, at: float) -> float:
    """P(W ≤ at). A grid point stands for half a cell on either side."""
    edges = law.values + 0.5 * (law.values[1] - law.values[0])
    return float(np.interp(at, edges, law.cdf))


def crommelin(rho: float, wait: float) -> float:
    """P(W ≤ wait) in M/D/1 with unit service (Crommelin 1932; Erlang 1909)."""
    terms = (
        math.exp(rho * (wait - k)) * (-rho * (wait - k)) ** k / math.factorial(k) for k in range(math.floor(wait) + 1)
    )
    return (1.0 - rho) * math.fsum(terms)


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_poisson_arrivals_and_constant_service_wait_as_in_m_d_1(rho: float):
    service = Atoms(values=np.ones(1), weights=np.ones(1))
    law = waiting_law(service, 1.0 / rho, 1.0, top=60.0, cells=CELLS)
    assert mean(law) == pytest.approx(rho / (2.0 * (1.0 - rho)), rel=SIX_DIGITS)  # Pollaczek–Khinchine
    for wait in (0.5, 1.5, 2.5, 7.3):
        assert probability(law, wait) == pytest.approx(crommelin(rho, wait), rel=SIX_DIGITS)


def exponential_atoms(cells: int = 20_000) -> Atoms:
    """A unit exponential as the conditional means of many cells."""
    edges = np.linspace(0.0, 40.0, cells + 1)
    beyond = np.exp(-edges)
    weights = beyond[:-1] - beyond[1:]
    values = (beyond[:-1] * (edges[:-1] + 1.0) - beyond[1:] * (edges[1:] + 1.0)) / weights
    return Atoms(values=values, weights=weights / weights.sum())


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_poisson_arrivals_and_exponential_service_wait_as_in_m_m_1(rho: float):
    law = waiting_law(exponential_atoms(), 1.0 / rho, 1.0, top=100.0, cells=CELLS)
    assert mean(law) == pytest.approx(rho / (1.0 - rho), rel=SIX_DIGITS)
    for wait in (0.5, 2.5, 7.3):
        assert probability(law, wait) == pytest.approx(1.0 - rho * math.exp(-(1.0 - rho) * wait), rel=SIX_DIGITS)


@pytest.mark.parametrize("scv", [0.5, 4.0])
def test_gamma_gaps_and_exponential_service_wait_as_in_g_m_1(scv: float):
    # GI/M/1: P(W > t) = σ·exp(−(1 − σ)t) with σ = E[exp(−(1 − σ)A)] (Kleinrock 1975, §6.4); gaps A gamma.
    rho, sigma = 0.7, 0.5
    for _ in range(500):
        sigma = (1.0 + (1.0 - sigma) * scv / rho) ** (-1.0 / scv)
    law = waiting_law(exponential_atoms(), 1.0 / rho, scv, top=100.0, cells=CELLS)
    for wait in (0.5, 2.5, 7.3):
        assert 1.0 - probability(law, wait) == pytest.approx(sigma * math.exp(-(1.0 - sigma) * wait), rel=1e-4)


def test_a_metronome_never_waits_while_it_is_slower_than_the_service():
    law = waiting_law(Atoms(values=np.ones(1), weights=np.ones(1)), 1.25, 0.0, top=20.0)
    assert law.cdf[0] == pytest.approx(1.0, abs=1e-9)

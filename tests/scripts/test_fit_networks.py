"""What the networks are taught: rows from kept simulations, and a training that learns from them."""

import numpy as np

from models.capacity import capacity
from models.continuous_batching import circumstances
from models.discrepancy import CORRECTED, KNOTS, network_inputs
from scripts.fit_networks import _row
from scripts.network_training import Training, train
from scripts.training_cases import LAW_SEED, training_case


def line_of_analytic_laws(number: int, *, times: float):
    each = training_case(number, LAW_SEED)
    top = capacity(each.engine, each.workload.lengths, each.workload.prefix_hit_rate)
    at = circumstances(each.engine, each.workload, replicas=each.replicas, routing=each.routing, top=top)
    line = {"seed": LAW_SEED, "number": number, "rate": each.workload.arrivals.rate_per_s}
    return line | {metric: [times * at.laws[metric].quantile(knot) for knot in KNOTS] for metric in CORRECTED}, at


def test_a_simulation_that_agrees_asks_for_no_move():
    line, at = line_of_analytic_laws(1, times=1.0)
    inputs, low, high, gate = _row(line)
    np.testing.assert_allclose(inputs, network_inputs(at))
    assert gate == at.gate
    assert (low <= 0.0).all()
    assert (high >= 0.0).all()


def test_a_simulation_that_is_slower_asks_for_higher_odds():
    line, _ = line_of_analytic_laws(1, times=1.5)
    _, low, high, _ = _row(line)
    slow = len(KNOTS) * CORRECTED.index("e2e")
    assert (low[slow : slow + len(KNOTS)] > 0.0).all()
    assert (low <= high).all()


def test_training_learns_a_known_function_and_heeds_neither_what_is_gated_nor_what_is_within():
    rng = np.random.default_rng(5)
    inputs = rng.uniform(-2.0, 2.0, (600, 2))
    known = np.sin(inputs[:, :1]) * inputs[:, 1:]
    gates = np.where(np.arange(600) % 3 == 0, 0.0, 0.5)
    # Rows of gate 0 say nonsense; the others ask for twice the function, give or take a tenth.
    aim = np.where(gates[:, None] > 0.0, known, 50.0)
    how = Training(hidden=(24,), members=2, steps=1500, decay=1e-4, jobs=1)
    network = train(inputs, aim - 0.05, aim + 0.05, gates, how)
    told = gates > 0.0
    assert np.abs(network(inputs) - 2.0 * known)[told].mean() < 0.1
    assert np.abs(network(inputs)).max() < 5.0

"""Slots that sequences and streams hold, predicted against simulated: a part of `make bench-batching`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.random_draws import log_uniform
from models.sequence_slots import Slots, predict_slots
from models.service_time import ServiceTime
from models.simulation.slots import simulate_slots
from models.workload import OpenArrivals

SHARES = (0.5, 0.95, 0.99)
NAMES = ("slots held", "p50", "p95", "p99")
_SEED = 2028

Array = NDArray[np.float64]


def slot_errors(number: int) -> Array:
    """Relative errors of one random case, in the order of NAMES.

    1 to 64 slots, held up to four times as long when all are held as when one is, coefficient of variation 0 to 1.5,
    load 10 to 95 %, half of the arrivals Poisson, the others of squared coefficient of variation 0.5 to 2.
    """
    rng = np.random.default_rng([_SEED, number])
    count = min(64, int(log_uniform(rng, 1.0, 65.0)))
    cv, slower = float(rng.uniform(0.0, 1.5)), float(rng.uniform(1.0, 4.0))
    known = (1, count) if count > 1 else (1,)
    held = ServiceTime(batches=known, means_s=(10.0, 10.0 * slower)[: len(known)], cvs=(cv,) * len(known))
    slots = Slots(count=count, held=held)
    burstiness = 1.0 if rng.random() < 0.5 else log_uniform(rng, 0.5, 2.0)
    arrivals = OpenArrivals(rate_per_s=float(rng.uniform(0.1, 0.95)) * slots.capacity_per_s, burstiness=burstiness)
    seen = simulate_slots(slots, arrivals, requests=1_000_000, seed=number + 1)
    found = predict_slots(slots, arrivals)
    assert found.e2e is not None
    ratios = [found.held / seen.held, *found.e2e.quantiles(SHARES) / np.quantile(seen.e2e_s, SHARES)]
    return np.abs(np.array(ratios) - 1.0)


def slot_section(errors: Sequence[Array]) -> list[str]:
    """Lines of the page."""
    table = np.array(errors)
    cells = [f"{np.quantile(table[:, column], share):.1%}" for column in range(len(NAMES)) for share in (0.5, 0.9)]
    return [
        "## Slots that sequences and streams hold",
        "",
        f"{len(errors)} random cases (seed {_SEED}): 1 to 64 slots, held one to four times as long when all are held",
        "as when one is, coefficient of variation 0 to 1.5, load 10 to 95 %, half of the arrivals Poisson. An",
        "approximation by formulas alone, nothing learned; percentiles are of the whole life of a sequence.",
        "",
        "| | cases | " + " | ".join(f"{name}, median | 90th" for name in NAMES) + " |",
        "| --- | --- |" + " --- | --- |" * len(NAMES),
        f"| slots | {len(errors)} | {' | '.join(cells)} |",
        "",
    ]

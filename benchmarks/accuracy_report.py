"""The report of an accuracy run, docs/accuracy.md."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.accuracy_score import Count, Score
from benchmarks.machine import machine

MEDIAN, NINTH, EQUAL = 0.03, 0.08, 0.95
SMALL = 8


@dataclass(frozen=True, kw_only=True)
class Run:
    """All scores of a run."""

    cases: int
    requests: int
    seed: int
    unstable: int
    capacities: list[float]
    """Predicted saturation rates over simulated ones."""
    scores: list[Score]
    counts: list[Count]


def report(run: Run) -> str:
    """The whole document."""
    return "\n".join([*_head(run), *_verdict(run), *_regimes(run), *_worst(run), *_replicas(run), *_honest()]) + "\n"


def _head(run: Run) -> list[str]:
    return [
        "# Accuracy",
        "",
        f"Written by `make bench-accuracy` on {datetime.now(UTC).date()}: {machine()}.",
        "",
        f"{run.cases} random configurations (seed {run.seed}): prompt 64–8,000 tokens, output 16–1,000, coefficients",
        "of variation 0–1.5, load 10–95 % of the simulated saturation rate, token budget 512–16,384, 16–512 sequences,",
        "KV memory ample or short, burstiness 1–4, 1–8 replicas, all three routings. Each is predicted by",
        f"`models.continuous_batching` and served by the step simulator with {run.requests:,} requests. An error is",
        f"|predicted / simulated − 1|. Left out: {run.unstable} configurations in which the simulator did not settle.",
        "All have linear step times, chunked prefill and open arrivals: for other forms of the step and for prompts",
        "that are not split see [accuracy-catalogue.md](accuracy-catalogue.md), for closed loops the end of this page.",
        "",
    ]


def _verdict(run: Run) -> list[str]:
    rows = [_row(name, group) for name, group in _grouped(run.scores, lambda score: score.name)]
    median, ninth = _middle_and_ninth(run.scores)
    return [
        "## Against the goals",
        "",
        *_goals(
            [
                (f"median of all errors at most {MEDIAN:.0%}", _percent(median), median <= MEDIAN),
                (f"90th percentile of all errors at most {NINTH:.0%}", _percent(ninth), ninth <= NINTH),
            ]
        ),
        "",
        "The same two goals, percentile by percentile:",
        "",
        *_table([_row("**all**", run.scores), *rows]),
        "",
        _capacity(run),
        "",
    ]


def _capacity(run: Run) -> str:
    errors = np.abs(np.array(run.capacities) - 1.0)
    median, ninth, worst = np.quantile(errors, (0.5, 0.9, 1.0))
    return (
        "The saturation rate of one replica, against a simulated replica that always has more to do: median error "
        f"{_percent(median)}, 90th percentile {_percent(ninth)}, worst {_percent(worst)}."
    )


def _regimes(run: Run) -> list[str]:
    lines = ["## By regime", ""]
    for title, of in _REGIMES.items():
        groups = _grouped(run.scores, of)
        lines += [f"### {title}", "", *_table([_row(name, group) for name, group in groups]), ""]
    return lines


def _load_bin(score: Score) -> str:
    low = next(low for low in (0.9, 0.8, 0.6, 0.4, 0.1, 0.0) if score.case.load >= low)
    high = {0.0: 0.1, 0.1: 0.4, 0.4: 0.6, 0.6: 0.8, 0.8: 0.9, 0.9: 0.95}[low]
    return f"{low:.0%} – {high:.0%}"


def _routing(score: Score) -> str:
    arrivals = "Poisson" if score.case.burstiness == 1.0 else "bursty"
    return f"{'one replica' if score.case.replicas == 1 else score.case.routing.value}, {arrivals}"


def _lengths(score: Score) -> str:
    lengths = score.case.lengths
    words = ["fixed" if law.scv == 0.0 else "varying" for law in (lengths.prompt, lengths.output)]
    return f"prompt {words[0]}, output {words[1]}"


_REGIMES: dict[str, Callable[[Score], str]] = {
    "Metric": lambda score: score.metric,
    "KV memory": lambda score: "ample" if score.case.engine.limits.kv_cache_tokens is None else "short",
    "Load": _load_bin,
    "Routing and burstiness": _routing,
    "Lengths": _lengths,
    "Bottleneck at saturation": lambda score: score.bottleneck,
}


def _worst(run: Run) -> list[str]:
    """The ten worst, one of a configuration, and how often each kind of reason explains a miss of 8 %."""
    lines = [
        "## The worst ten",
        "",
        "The worst percentile of each of the ten worst configurations; reasons by rule.",
        "",
    ]
    seen: set[int] = set()
    rows = []
    for score in sorted(run.scores, key=lambda score: -score.error):
        if score.case.number in seen:
            continue
        seen.add(score.case.number)
        rows.append((str(score.case.number), score.case.label, score.name, _percent(score.error), score.reason))
        if len(rows) == 10:
            break
    lines += _grid(("case", "configuration", "percentile", "error", "reason"), rows)
    missed = [score for score in run.scores if score.error > NINTH]
    reasons = sorted(_grouped(missed, lambda score: score.reason.partition(":")[0]), key=lambda pair: -len(pair[1]))
    lines += ["", f"All {len(missed)} of {len(run.scores)} percentiles that miss by more than 8 %, by reason:", ""]
    lines += _grid(("reason", "percentiles"), [(reason, str(len(group))) for reason, group in reasons])
    return [*lines, ""]


def _replicas(run: Run) -> list[str]:
    if not run.counts:
        return []
    free, tight = ([each for each in run.counts if each.tight is kind] for kind in (False, True))
    return [
        "## Replica counts",
        "",
        "Objectives for ttft p99, itl p95 and e2e p99; the least number by simulation against `planner size`.",
        "",
        "### Limits that know nothing of counts",
        "",
        "Random multiples, evenly in logarithms, of what a replica at rest reaches in the simulator: 1.5 to 10 times",
        "for ttft, 1.2 to 5 for itl, 1.2 to 3 for e2e.",
        "",
        *_counted(free),
        "### Limits 3 % above what a number of replicas reaches",
        "",
        "Harder than any question that knows nothing of counts: an error of 3 % on any of the three moves the answer.",
        "",
        *_counted(tight),
    ]


def _counted(counts: list[Count]) -> list[str]:
    off = [_off(each) for each in counts]
    rows = [
        (each.case.label, str(each.simulated), "none" if each.predicted is None else str(each.predicted))
        for each, by in zip(counts, off, strict=True)
        if by
    ]
    share, near = (sum(abs(by) <= most for by in off) / len(off) for most in (0, 1))
    small = [by for each, by in zip(counts, off, strict=True) if each.simulated <= SMALL]
    equal = f"{sum(by == 0 for by in small) / len(small):.0%}" if small else "none"
    below, above = sum(by < 0 for by in off), sum(by > 0 for by in off)
    least = -min([*off, 0])
    return [
        *_goals(
            [
                (f"equal in at least {EQUAL:.0%}", f"{share:.0%}", share >= EQUAL),
                ("never below by more than one", f"below by {least} at most", least <= 1),
            ]
        ),
        "",
        f"Of {len(counts)}: equal {share:.0%}, within one {near:.0%};",
        f"too few {below}, too many {above}: {_side(below, above)}",
        f"Of the {len(small)} whose answer is {SMALL} or fewer, equal: {equal}.",
        "",
        *(_grid(("configuration", "simulated", "predicted"), rows) if rows else []),
        "",
    ]


def _side(below: int, above: int) -> str:
    """Too many replicas cost money, too few break an objective."""
    if below == above:
        return "as many miss on the safe side as on the other."
    return "more miss on the safe side." if above > below else "more miss on the unsafe side."


def _goals(goals: list[tuple[str, str, bool]]) -> list[str]:
    """Each goal, what was reached, and whether that meets it."""
    return _grid(("goal", "reached", ""), [(goal, reached, _met(held)) for goal, reached, held in goals])


def _met(held: bool) -> str:
    return "met" if held else "**not met**"


def _off(each: Count) -> int:
    return 1 if each.predicted is None else each.predicted - each.simulated


def _honest() -> list[str]:
    file = Path(__file__).with_name("accuracy_limits.md")
    return [file.read_text(encoding="utf-8").rstrip()] if file.exists() else []


def _grouped(scores: Iterable[Score], of: Callable[[Score], str]) -> list[tuple[str, list[Score]]]:
    groups: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        groups[of(score)].append(score)
    return sorted(groups.items())


def _middle_and_ninth(scores: Sequence[Score]) -> tuple[float, float]:
    errors = [score.error for score in scores]
    median, ninth = np.quantile(errors, (0.5, 0.9), method="higher")
    return float(median), float(ninth)


def _row(name: str, scores: list[Score]) -> tuple[str, ...]:
    median, ninth = _middle_and_ninth(scores)
    within = float(np.mean([score.error <= NINTH for score in scores]))
    met = _met(median <= MEDIAN and ninth <= NINTH)
    return name, str(len(scores)), _percent(median), _percent(ninth), f"{within:.0%}", met


def _percent(error: float) -> str:
    return f"{100.0 * error:.1f} %" if math.isfinite(error) else "no law"


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    return _grid(("", "percentiles", "median", "90th percentile", "within 8 %", "goals"), rows)


def _grid(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]

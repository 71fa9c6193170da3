"""Outputs counted by tokenising the text again (genai-perf, aiperf), put right by the server's count."""

from __future__ import annotations

from dataclasses import replace

from models.measurement import LatencySummary

COUNTED_BY_CLIENT = "output tokens counted by the client; ITL may be 10 % low"


def corrected_note(client: float, server: float) -> str:
    """What was put right, in words."""
    return f"output tokens: the server's {server:g}, not the client's {client:g}"


def latencies_after_first(
    *,
    ttft: LatencySummary,
    e2e: LatencySummary,
    output_tokens: float,
    fixed_length: bool,
    client: LatencySummary | None,
    server_counted: bool,
    decode: LatencySummary | None = None,
) -> tuple[LatencySummary | None, LatencySummary | None]:
    """(TPOT, ITL) from means of a summary.

    The mean of ITL over tokens is Σ(e2e − ttft) / Σ(L − 1), hence exact from the means. TPOT over requests is the same
    where all outputs are equally long, and then its percentiles are those of the time after the first token. What the
    tools call ITL is TPOT by the client's count: it is kept only where nobody knows better.
    """
    steps = output_tokens - 1.0
    if ttft.mean_s is None or e2e.mean_s is None or steps <= 0.0 or not e2e.mean_s > ttft.mean_s:
        return None, None
    mean = (e2e.mean_s - ttft.mean_s) / steps
    gap_law = LatencySummary(mean_s=mean)
    if not server_counted and client is not None:
        return client, gap_law
    if not fixed_length:
        return None, gap_law
    tpot = LatencySummary(mean_s=mean)
    if decode is not None:
        tpot = replace(tpot, **{f"{name}_s": value / steps for name, value in decode.items() if name != "mean"})
    return tpot, gap_law

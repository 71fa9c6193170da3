"""The load's curve from its beginning to its end, shown as it goes."""

from __future__ import annotations

import time

from scripts.cluster_demo.load_curve import rate_at
from scripts.cluster_demo.measured import shown, vector
from scripts.cluster_demo.picture import view
from scripts.cluster_demo.record import Look, Record
from scripts.cluster_demo.stage import Stage

_LOOK_EVERY_S = 1.0


def played(stage: Stage) -> tuple[list[Record], dict[str, int]]:
    """What was seen of each model, and how many requests found no pod."""
    records = [Record(model=engine.model) for engine in stage.engines]
    before = {engine.model.name: engine.lost() for engine in stage.engines}
    picture, began_s = view(stage.timing), time.monotonic()
    try:
        while (now_s := time.monotonic() - began_s) < stage.timing.seconds:
            stage.controller.require_alive()
            share = now_s / stage.timing.seconds
            for engine in stage.engines:
                engine.load(rate_at(engine.model.curve, share))
            for record in records:
                record.add(_look(stage, record, now_s, share))
            stage.decisions.look()
            picture.show(share, records, stage.decisions)
            time.sleep(max(0.05, _LOOK_EVERY_S - (time.monotonic() - began_s - now_s)))
    finally:
        picture.close()
    stage.decisions.look()
    lost = {engine.model.name: engine.lost() - before[engine.model.name] for engine in stage.engines}
    return records, lost


def _look(stage: Stage, record: Record, now_s: float, share: float) -> Look:
    """At one model. What cannot be had now is not known, and the demonstration goes on."""
    model, replicas = record.model, stage.sync.seen[record.model.name]
    planned = needed = latency_s = None
    try:
        page = shown(stage.controller.url)
        planned, needed = page.of("planned_requests_per_second", model.name), page.of("needed_replicas", model.name)
        query = model.latency.format(window=stage.timing.window_s)
        latency_s = vector(stage.prometheus, query, "").get("")
    except OSError:
        """Asked again with the next look."""
    return Look(
        at_s=now_s, arriving_per_s=rate_at(model.curve, share), asked=replicas.asked, ready=replicas.ready,
        planned_per_s=planned, needed=needed, latency_s=latency_s,
    )  # fmt: skip

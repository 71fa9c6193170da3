"""Looks at the load of all policies of a tick through Prometheus: plan, ask, believe."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from controller.answers import Answer, Answered
from controller.asking import ask
from controller.controller import Asked
from controller.observe import observe_all
from controller.prometheus import PrometheusSettings
from controller.queries import SeriesOf, plan_queries
from controller.recent_pods import RecentPods
from controller.snapshot import Observation
from controller.snapshots import Key
from controller.spread_observer import SpreadObserver
from controller.trust import Trust

LOG = logging.getLogger("replicast.metrics")


class PrometheusObserver:
    """One server, asked a bounded number of questions a tick."""

    def __init__(self, settings: PrometheusSettings, *, window_s: float, scrape_interval_s: float = 15.0) -> None:
        """Raises InvalidInput where URL or files mean nothing; the server is asked first at a tick."""
        self._server = settings.connect()
        self._window_s = round(window_s)
        self._trust = Trust(scrape_interval_s=scrape_interval_s)
        self._spreads = SpreadObserver()
        self.odd_rows = 0
        """Of the last tick's answers, left out."""
        self._pods = RecentPods(within_s=float(self._window_s))

    def __call__(self, asked: Mapping[Key, Asked]) -> dict[Key, Observation]:
        """What is believed of each policy's load."""
        series = [
            SeriesOf(policy=each.policy.key, engine=each.engine, source=each.policy.spec.metrics)
            for each in asked.values()
        ]
        plan = plan_queries(series, window_s=self._window_s)
        began_s = time.monotonic()
        answers = ask(self._server, plan, clock=time.time)
        self._told_of_odd(answers)
        try:
            self._spreads.look(self._server, series, plan, took_s=time.monotonic() - began_s)
        except Exception:
            LOG.exception("how lengths vary could not be asked for")
        targets = self._pods.seen({each.policy.key: each.target for each in asked.values()})
        found = self._spreads.seen(observe_all(plan, answers, targets, self._trust))
        return {key: found[each.policy.key] for key, each in asked.items() if each.policy.key in found}

    def _told_of_odd(self, answers: Sequence[Answer]) -> None:
        """Once, as long as there are any."""
        odd = sum(each.odd for each in answers if isinstance(each, Answered))
        if odd and not self.odd_rows:
            LOG.warning("%d rows of Prometheus's answers are none that was asked for, and are left out", odd)
        self.odd_rows = odd

"""Asks from time to time how lengths of requests vary: of a few policies at each tick, those asked longest ago first.

Buckets are a dozen series of every pod and metric, and how lengths vary changes slowly: asked of a thousand policies at
every tick they would cost more than all the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.asking import Server
from controller.length_spread import Spread, read_histograms
from controller.queries import MAX_QUERIES, Plan, SeriesOf, plan_buckets
from controller.snapshot import Observation
from models.errors import InvalidInput

LOG = logging.getLogger("replicast.metrics")
WINDOW_S = 600
POLICIES = 64
"""At one tick."""
AGAIN_S = 120.0
FORGOTTEN_S = 3600.0
"""After which nobody knows any more."""
LONGEST_S = 3.0
"""That the questions of a tick before these may have taken: the load is more urgent than this."""


@dataclass
class SpreadObserver:
    """What was answered, by policy."""

    clock: Callable[[], float] = time.monotonic
    _asked: dict[str, float] = field(default_factory=dict)
    _known: dict[str, tuple[float, Spread]] = field(default_factory=dict)

    def look(self, server: Server, policies: Iterable[SeriesOf], plan: Plan, *, took_s: float) -> None:
        """Ask for some of the policies that `plan` asks for, within the queries that it leaves."""
        now_s, known = self.clock(), {each.policy: each for each in policies if each.policy in plan.engines}
        self._asked = {name: at_s for name, at_s in self._asked.items() if name in known}
        self._known = {
            name: found for name, found in self._known.items() if name in known and now_s - found[0] < FORGOTTEN_S
        }
        due = [name for name in known if now_s - self._asked.get(name, -AGAIN_S) >= AGAIN_S]
        due = sorted(due, key=lambda name: self._asked.get(name, -AGAIN_S))[:POLICIES]
        left = MAX_QUERIES - len(plan.queries)
        if not due or left < 1 or took_s > LONGEST_S:
            return
        asked = plan_buckets([known[name] for name in due], window_s=WINDOW_S, most=left)
        self._ask(server, asked)
        self._asked.update((name, now_s) for name in due if name not in asked.problems)

    def seen(self, observations: Mapping[str, Observation]) -> dict[str, Observation]:
        """The observations with how lengths vary, where that is known."""
        return {name: self._with(name, observation) for name, observation in observations.items()}

    def _ask(self, server: Server, plan: Plan) -> None:
        for index, query in enumerate(plan.queries):
            try:
                found = read_histograms(query, server.instant(query.text))
            except InvalidInput:
                continue  # what was known before stands, and its age tells when it is too old
            except Exception:
                LOG.exception("buckets could not be read")
                continue
            for name, place in plan.engines.items():
                spread = found.at(place, window_s=plan.window_s) if place.query == index else Spread()
                if spread.known:
                    self._known[name] = self.clock(), spread

    def _with(self, name: str, observation: Observation) -> Observation:
        if observation.readings is None or name not in self._known:
            return observation
        spread = self._known[name][1]
        told = replace(observation.readings, prompt_cv=spread.prompt_cv, output_cv=spread.output_cv)
        return replace(observation, readings=told)

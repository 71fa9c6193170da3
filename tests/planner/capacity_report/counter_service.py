"""A service that can be worked out by hand: one request at a time, exponential times of a mean of 0.1 s (M/M/1).

A replica does 10 a second at most. The mean time inside at a rate r is 1 / (10 − r): at most 200 ms up to 5 a second.
With random routing n replicas carry 5·n.
"""

from __future__ import annotations

from functools import lru_cache

from planner.capacity_report.service_record import Accounted
from planner.fleet_file import WorkloadFields
from planner.objective import parse_objectives
from planner.profile import EngineProfile, parse_profile

PROFILE = """
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {name: counter}
spec:
  engine: triton
  model: counter
  gpu: {type: A10G-24GB, perReplica: 2}
  limits: {maxBatchSize: 1, instances: 1, maxQueueDelay: 0.0}
  serviceTime: [{batch: 1, mean: 0.1, cv: 1.0}]
"""


@lru_cache
def profile() -> EngineProfile:
    return parse_profile(PROFILE, name="counter.yaml")


def counter(name: str = "counter", *, slo: str = "e2e:mean<=200ms", **fields) -> Accounted:
    """The service, two GPUs a replica."""
    workload = WorkloadFields.model_validate({"name": name, "team": "a", "cluster": "c", **fields})
    return Accounted(fields=workload, profile=profile(), objectives=tuple(parse_objectives((slo,))))

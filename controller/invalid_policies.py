"""What is told of policies that cannot be understood: one line of the log each, and their status, once."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from controller.apply import path
from controller.caches import POLICIES
from controller.invalid_policy import InvalidPolicy
from controller.kubernetes_api import ApiError, Kubernetes
from controller.policy_status import status_of

LOG = logging.getLogger("replicast.controller")
Key = tuple[str, str]


class InvalidPolicies:
    """Those of the last tick, and what was told of them."""

    def __init__(self, api: Kubernetes) -> None:
        self._api = api
        self._known: dict[Key, str] = {}
        self._told: dict[Key, str] = {}

    def seen(self, invalid: Mapping[Key, InvalidPolicy]) -> tuple[list[InvalidPolicy], set[Key]]:
        """Those that are new, or wrong in another way than before; and those that are mended or gone."""
        now = {key: f"{each.metadata.generation}: {each.problem}" for key, each in invalid.items()}
        gone = self._known.keys() - now.keys()
        new = [invalid[key] for key, problem in now.items() if self._known.get(key) != problem]
        for each in new:
            LOG.warning("%s: %s", each.key, each.problem)
        for key in gone:
            LOG.info("%s: it is no longer a policy that cannot be understood", "/".join(key))
            self._told.pop(key, None)
        self._known = now
        return new, set(gone)

    def tell(self, invalid: Mapping[Key, InvalidPolicy], now_s: float, within_s: float | None) -> int:
        """The statuses that do not say it yet; what the API server refuses is tried again at the next tick."""
        told = 0
        for key, each in invalid.items():
            problem = self._known.get(key, "")
            if each.told or self._told.get(key) == problem:
                continue
            try:
                status = status_of(each.decision(now_s), each.status)
                self._api.patch(f"{path(POLICIES, *key)}/status", {"status": status}, within_s=within_s)
            except ApiError as error:
                LOG.warning("%s: %s", each.key, error)
                continue
            except Exception:
                LOG.exception("%s: it could not be told that it cannot be understood", each.key)
                continue
            self._told[key] = problem
            told += 1
        return told

"""What is told of policies that cannot be understood: one line of the log each, and their status, once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.apply import path
from controller.caches import POLICIES
from controller.invalid_policy import InvalidPolicy
from controller.kubernetes_api import ApiError, Kubernetes
from controller.policy_status import status_of

LOG = logging.getLogger("replicast.controller")
Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Within:
    """How long statuses may be written: asked before each, as leadership may end between two."""

    may_write: Callable[[], bool]
    left_s: Callable[[], float]
    """Of one write."""
    end_s: float
    """Of them all, by the monotonic clock."""

    def is_over(self) -> bool:
        """Whether none may begin any more."""
        return not self.may_write() or time.monotonic() >= self.end_s


class InvalidPolicies:
    """Those of the last tick, and what was told of them."""

    def __init__(self, api: Kubernetes) -> None:
        self._api = api
        self._known: dict[Key, str] = {}
        self._told: dict[Key, str] = {}
        self._tried_last: Key = ("", "")

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

    def tell(self, invalid: Mapping[Key, InvalidPolicy], now_s: float, within: Within) -> int:
        """The statuses that do not say it yet, as long as there is time and this process leads.

        What is not told now, and what the API server refuses, is told at a later tick, others first.
        """
        told, keys = 0, list(invalid)
        turn = next((index for index, key in enumerate(keys) if key > self._tried_last), 0)
        for key in (*keys[turn:], *keys[:turn]):
            if within.is_over():
                break
            told += self._tell_one(key, invalid[key], now_s, within)
        return told

    def _tell_one(self, key: Key, each: InvalidPolicy, now_s: float, within: Within) -> bool:
        problem = self._known.get(key, "")
        if self._told.get(key) == problem:
            return False
        try:
            if each.told:
                return False
            self._tried_last = key
            status = status_of(each.decision(now_s), each.status)
            self._api.patch(f"{path(POLICIES, *key)}/status", {"status": status}, within_s=within.left_s())
        except ApiError as error:
            LOG.warning("%s: %s", each.key, error)
            return False
        except Exception:
            LOG.exception("%s: its status cannot be told", each.key)
            return False
        self._told[key] = problem
        return True

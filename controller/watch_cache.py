"""A list of objects kept up to date by a watch, in a thread of its own: read as often as one likes, at no cost.

List in pages, then watch from that version on; a broken stream goes on where it stopped, a version that the server
forgot (410) begins with a new list (Kubernetes API concepts, "Efficient detection of changes"). An object that cannot
be understood is set aside and named; whatever goes wrong, the thread tries again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from controller.kubernetes_api import ApiError, Document, Kubernetes

LOG = logging.getLogger("replicast.cluster")
T = TypeVar("T")
Key = tuple[str, str]
"""Namespace and name."""

WATCH_S = 240
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_GONE = 410
_MOST_TOLD = 500


class WatchCache(Generic[T]):
    """Objects of one kind, each reduced to what is used of it."""

    def __init__(
        self, api: Kubernetes, path: str, reduce: Callable[[Document], T], *, optional: bool = False, **query: Any
    ) -> None:
        """`optional`: the kind may not exist (a CRD that is not installed): then there are none."""
        self.path = path
        self._api, self._reduce, self._optional, self._query = api, reduce, optional, query
        self._objects: dict[Key, T] = {}
        self._odd: dict[Key, str] = {}
        self._lock = threading.Lock()
        self._stop, self._synced = threading.Event(), threading.Event()
        self._wake = threading.Event()
        self._absent = False
        """Whether the kind is known not to be installed: the server said so when it answered last."""
        self.returned: Callable[[], None] = lambda: None
        """Called when the server is heard of again after a problem."""
        self._problem = ""
        self._heard_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        """Begin to list and watch."""
        self._thread.start()

    def stop(self) -> None:
        """End with the next event, or at the end of the process."""
        self._stop.set()
        self._wake.set()

    def wake(self) -> None:
        """Ask at once where it waits before it asks again: the server answers others."""
        self._wake.set()

    def wait(self, timeout_s: float) -> bool:
        """Whether it was listed once within a time."""
        return self._synced.wait(timeout_s)

    def objects(self) -> dict[Key, T]:
        """All of them now; a copy."""
        with self._lock:
            return dict(self._objects)

    def get(self, key: Key) -> T | None:
        """One of them now."""
        with self._lock:
            return self._objects.get(key)

    def unreadable(self) -> dict[Key, str]:
        """Objects that are there and cannot be understood, and why; a copy."""
        with self._lock:
            return dict(self._odd)

    @property
    def problem(self) -> str:
        """What stands in the way now; empty where all is well."""
        return self._problem

    @property
    def dead(self) -> bool:
        """Whether its thread has ended though nobody stopped it: what it holds grows old, and nothing changes that."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stop.is_set()

    def silent_s(self) -> float:
        """Seconds since the server was heard of last; infinite before that."""
        return time.monotonic() - self._heard_s if self._heard_s else float("inf")

    def _run(self) -> None:
        pause_s, version = _FIRST_PAUSE_S, ""
        while not self._stop.is_set():
            began_s = time.monotonic()
            self._wake.clear()  # before it asks: others may come back meanwhile
            try:
                version = version or self._listed()
                version = self._watched(version)
                pause_s = _FIRST_PAUSE_S
            except ApiError as error:
                if time.monotonic() - began_s > _LONGEST_PAUSE_S:
                    pause_s = _FIRST_PAUSE_S
                if error.status == _GONE:
                    version = ""
                    self._stop.wait(_FIRST_PAUSE_S)
                    continue
                not_installed = error.status == 404 and self._optional
                if not_installed:
                    self._replace({}, {})
                    self._absent, pause_s = True, _LONGEST_PAUSE_S
                elif error.status:
                    version = ""
                # That nobody answers tells nothing of a kind that is not there.
                still_absent = self._absent and (error.status in (0, 429) or error.status >= 500)
                self._hindered("" if not_installed or still_absent else str(error))
                pause_s = self._paused(pause_s)
            except Exception as error:
                # An error of ours, or an answer that nobody thought of: the thread must outlive it.
                LOG.exception("the watch of %s failed and begins anew", self.path)
                version = ""
                self._hindered(f"WATCH {self.path}: {type(error).__name__}: {error}"[:_MOST_TOLD])
                pause_s = self._paused(pause_s)

    def _paused(self, pause_s: float) -> float:
        """Wait; returns how long to wait the next time."""
        if not self._stop.is_set():
            self._wake.wait(pause_s * random.uniform(0.8, 1.2))  # noqa: S311 -- so that caches do not ask as one
        return min(_LONGEST_PAUSE_S, 2.0 * pause_s)

    def _hindered(self, why: str) -> None:
        if why and why != self._problem:
            LOG.warning("%s", why)
        self._problem = why

    def _listed(self) -> str:
        found: dict[Key, T] = {}
        odd: dict[Key, str] = {}
        version = ""
        for page in self._api.pages(self.path, **self._query):
            for item in page.items:
                self._put(item, found, odd)
            version = page.resource_version
        self._replace(found, odd)
        self._absent = False
        return version

    def _put(self, item: Document, found: dict[Key, T], odd: dict[Key, str]) -> None:
        """Among those that are understood, or those that are not; of these it is told once."""
        key = _key(item)
        try:
            reduced = self._reduce(item)
        except Exception as error:  # noqa: BLE001 -- whatever an object looks like, the others are read all the same
            why = f"{type(error).__name__}: {error}"[:_MOST_TOLD]
            if self._odd.get(key) != why:
                LOG.warning("%s: %s cannot be understood and is left out: %s", self.path, "/".join(key), why)
            odd[key] = why
            found.pop(key, None)
            return
        found[key] = reduced
        odd.pop(key, None)

    def _replace(self, found: dict[Key, T], odd: dict[Key, str]) -> None:
        with self._lock:
            self._objects, self._odd = found, odd
        self._heard()

    def _heard(self) -> None:
        back, self._heard_s, self._problem = bool(self._problem), time.monotonic(), ""
        self._synced.set()
        if back:
            self.returned()

    def _watched(self, version: str) -> str:
        # A stream that opens is news enough: on a quiet one nothing else comes for a minute.
        opened = self._heard
        for kind, item in self._api.watch(self.path, version, timeout_s=WATCH_S, opened=opened, **self._query):
            if self._stop.is_set():
                return version
            if kind == "ERROR":
                status = int(item.get("code") or 0)
                raise ApiError(
                    status=status, reason=str(item.get("reason")), verb="WATCH", path=self.path,
                    message=str(item.get("message"))[:500],
                )  # fmt: skip
            version = str((item.get("metadata") or {}).get("resourceVersion") or version)
            self._heard()
            with self._lock:
                if kind == "DELETED":
                    self._objects.pop(_key(item), None)
                    self._odd.pop(_key(item), None)
                elif kind in ("ADDED", "MODIFIED"):
                    self._put(item, self._objects, self._odd)
        self._heard()  # the server ended a quiet watch as agreed
        return version


def _key(item: Any) -> Key:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict):
        return "", ""
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))

"""The decision log: one JSON line a policy and tick that moved or changed its reasons, enough to replay it.

A line holds the snapshot, the memory before, the profile's name and digest, and the decision. Lines are only ever
added; the file is rotated by size (logging's RotatingFileHandler).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from controller.capacity_model import CapacityModel
from controller.decide import decide
from controller.decision import Decision
from controller.memory import Memory
from controller.refusal import with_refusal
from controller.snapshot import Snapshot
from models.errors import InvalidInput
from planner.profile import EngineProfile

VERSION = 1
MAX_BYTES, BACKUPS = 50_000_000, 5
_SNAPSHOT, _MEMORY, _DECISION = TypeAdapter(Snapshot), TypeAdapter(Memory), TypeAdapter(Decision)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line."""

    snapshot: Snapshot
    memory: Memory
    """Before the decision."""
    decision: Decision
    written: bool = False
    """Whether the write was made."""
    error: str = ""
    """Why it was not made: in the API server's words, or in ours."""


class DecisionLog:
    """A file that entries are added to."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidInput where the file cannot be written."""
        try:
            self._handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(
                f"the decision log {path} cannot be written: {error.strerror}",
                remedy="name a file in a folder of yours",
            ) from None
        self._handler.setFormatter(logging.Formatter("%(message)s"))

    def add(self, entry: Entry, profile: EngineProfile | None) -> None:
        """One line, at once on disk."""
        record = logging.LogRecord("decisions", logging.INFO, "", 0, line_of(entry, profile), None, None)
        self._handler.emit(record)

    def close(self) -> None:
        """No more lines."""
        self._handler.close()


def digest(profile: EngineProfile) -> str:
    """Name of a profile and of what is in it."""
    content = profile.model_dump_json(by_alias=True, exclude_defaults=True)
    return f"{profile.name}@{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def line_of(entry: Entry, profile: EngineProfile | None) -> str:
    """The entry as JSON; the profile's content is beside it, so that the line replays anywhere."""
    document = {
        "version": VERSION,
        "snapshot": _SNAPSHOT.dump_python(entry.snapshot, mode="json", by_alias=True),
        "memory": _MEMORY.dump_python(entry.memory, mode="json"),
        "decision": _DECISION.dump_python(entry.decision, mode="json"),
        "written": entry.written,
        "error": entry.error,
        "profile": None if profile is None else _content(profile),
    }
    return json.dumps(document, separators=(",", ":"), allow_nan=True)


def _content(profile: EngineProfile) -> dict[str, Any]:
    """The profile without its measurements where its step time is stated: decisions do not look at them."""
    aside = {"spec": {"measurements"}} if profile.spec.step_time is not None else None
    content = profile.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=aside)
    return {**content, "apiVersion": profile.api_version, "kind": profile.kind}


def read_entries(path: Path) -> Iterator[tuple[Entry, EngineProfile | None]]:
    """Every whole line of a log. Raises InvalidInput that names the line which is none."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return  # cut off while it was written
            try:
                yield _entry(json.loads(line))
            except (ValueError, KeyError, TypeError, ValidationError) as error:
                raise InvalidInput(
                    f"decision log {path}:{number} is no decision: {str(error)[:200]}",
                    remedy="give a file that `planner controller run --decision-log` wrote, of this version",
                ) from None


def _entry(document: dict[str, Any]) -> tuple[Entry, EngineProfile | None]:
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']}, not {VERSION}")
    profile = document["profile"]
    return (
        Entry(
            snapshot=_SNAPSHOT.validate_python(document["snapshot"]),
            memory=_MEMORY.validate_python(document["memory"]),
            decision=_DECISION.validate_python(document["decision"]),
            written=document["written"],
            error=document["error"],
        ),
        None if profile is None else EngineProfile.model_validate(profile),
    )


def as_it_came(entry: Entry) -> Decision:
    """The decision as it is told: a write that was not made is none, and what kept it is among the reasons."""
    return with_refusal(entry.decision if entry.written else replace(entry.decision, write=None), entry.error)


def replayed(entry: Entry, profile: EngineProfile | None) -> Decision:
    """What is decided on the recorded snapshot and memory now: the same, as long as the code decides the same."""
    capacity = None if profile is None else CapacityModel(profile)
    return decide(entry.snapshot, entry.memory, capacity).decision

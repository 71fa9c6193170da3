"""The decision log: one JSON line a policy and tick that moved or changed its reasons, enough to replay it.

A line holds the snapshot, the memory before, the profile's name and digest, and the decision. Lines are only ever
added; the file is rotated by size as logrotate does: `FILE.1` is the one before it.

A line is there as a whole or not at all: one that a full disk or the end of a process cut off is taken away again. A
file that cannot be written stops nothing: it is told once, what was not kept is counted, and it is tried again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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

LOG = logging.getLogger("replicast.decisions")
VERSION = 1
MAX_BYTES, BACKUPS = 50_000_000, 5
_MOST_TOLD = 200
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
        self._path = path
        self.lost = 0
        """Entries that could not be kept since it could be written last."""
        try:
            self._file: int | None = _opened(path)
        except OSError as error:
            raise InvalidInput(
                f"the decision log {path} cannot be written: {error.strerror}",
                remedy="name a file in a folder of yours",
            ) from None

    def add(self, entry: Entry, profile: EngineProfile | None) -> bool:
        """One line, at once on disk; false where it could not be kept."""
        try:
            self._write(f"{line_of(entry, profile)}\n".encode())
        except (OSError, ValueError) as error:
            if not self.lost:
                LOG.warning("decisions are not kept: %s cannot be written: %s", self._path, error)
            self.lost += 1
            self.close()  # opened again with the next line: the folder may be another one by then
            return False
        if self.lost:
            LOG.warning("decisions are kept again; %d were not", self.lost)
            self.lost = 0
        return True

    def _write(self, line: bytes) -> None:
        if self._file is not None and not os.fstat(self._file).st_nlink:
            self.close()  # somebody removed the file
        file = self._file = _opened(self._path) if self._file is None else self._file
        size = os.fstat(file).st_size
        if size and size + len(line) > MAX_BYTES:
            self.close()
            _rotate(self._path)
            file, size = _opened(self._path), 0
            self._file = file
        if os.write(file, line) != len(line):
            os.ftruncate(file, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """No more lines."""
        if self._file is not None:
            os.close(self._file)
        self._file = None


def _opened(path: Path) -> int:
    _without_torn_line(path)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _rotate(path: Path) -> None:
    for number in range(BACKUPS - 1, 0, -1):
        if _rotated(path, number).exists():
            _rotated(path, number).replace(_rotated(path, number + 1))
    path.replace(_rotated(path, 1))


def _rotated(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _without_torn_line(path: Path) -> None:
    """What the end of a process has cut off is taken away, so that the next line is one."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            LOG.warning("%s: its last line was cut off while it was written, and is taken away", path)
            file.truncate(end)


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


def in_few_words(entry: Entry) -> dict[str, Any]:
    """What of a decision fits into a line of a log collector: it does not replay."""
    decision, demand = entry.decision, entry.decision.demand
    write = decision.write if entry.written else None
    return {
        "policy": decision.policy,
        "generation": decision.generation,
        "current": decision.current,
        "ready": decision.ready,
        "needed": decision.needed,
        "desired": decision.desired,
        "binding": decision.binding,
        "arrivingPerSecond": None if demand is None else float(f"{demand.arriving_per_s:.4g}"),
        "plannedPerSecond": None if demand is None else float(f"{demand.planned_per_s:.4g}"),
        "reasons": [{"code": each.code.value, "message": each.message} for each in decision.reasons],
        "notTrue": [each.type for each in decision.conditions if each.status != "True"],
        "written": None if write is None else f"{write.lever} {write.name}: {write.before} to {write.replicas}",
        "refused": entry.error or None,
    }


def _content(profile: EngineProfile) -> dict[str, Any]:
    """The profile without its measurements where its step time is stated: decisions do not look at them."""
    aside = {"spec": {"measurements"}} if profile.spec.step_time is not None else None
    content = profile.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=aside)
    return {**content, "apiVersion": profile.api_version, "kind": profile.kind}


def files_of(path: Path) -> list[Path]:
    """A log with what was rotated away, oldest first."""
    rotated = (_rotated(path, number) for number in range(BACKUPS, 0, -1))
    return [each for each in (*rotated, path) if each.is_file()]


def read_entries(
    path: Path, aside: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[Entry, EngineProfile | None]]:
    """Every decision of a log and of what was rotated away, in order.

    A line that is none, as one that was cut off, is told to `aside`, and the others are read all the same. Raises
    InvalidInput where a file cannot be read.
    """
    for file in files_of(path):
        yield from _entries_in(file, aside)


def _entries_in(path: Path, aside: Callable[[str], None]) -> Iterator[tuple[Entry, EngineProfile | None]]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                found = _entry_or_why_not(line)
                if isinstance(found, str):
                    aside(f"{path}:{number} {found}, and is left aside")
                else:
                    yield found
    except OSError as error:
        raise InvalidInput(
            f"decision log {path} cannot be read: {error.strerror}", remedy="name a file that you may read"
        ) from None


def _entry_or_why_not(line: bytes) -> tuple[Entry, EngineProfile | None] | str:
    if not line.endswith(b"\n"):
        return "was cut off while it was written"
    try:
        document = json.loads(line)
        return _entry(document) if isinstance(document, dict) else "is no decision: not an object"
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"is no decision: {'.'.join(map(str, first['loc']))}: {first['msg']}"[:_MOST_TOLD]
    except (ValueError, KeyError, TypeError, RecursionError, InvalidInput) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        return f"is no decision: {why}"[:_MOST_TOLD]


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

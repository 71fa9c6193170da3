"""What of a policy's memory is kept in its status, so that a restart or another leader does not begin from nothing.

Rivals and our own last write (else a pause for a rival would end with the process that made it), and recent changes of
the lever (else the pace would begin anew). Lengths of requests too: at zero replicas nobody
tells them. Load and recommendations are not kept: they are looked at again, and nothing
is scaled down meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter

from controller.memory import Change, Followed, Memory
from controller.trust import LAST_S
from models.token_lengths import MAX_TOKENS

LONGEST_PERIOD_S = 1800.0
"""Of a scaling policy."""
MOST_CHANGES = 20
MOST_RIVAL_WRITES = 32
"""Pauses are at their longest long before."""
MOST_DRIFT = 20.0
MOST_KEPT = 8192
"""Characters of it, as the schema of the status has it."""
MOST_COUNTED = 2**31 - 1
"""Replicas, as Kubernetes counts them."""
LONGEST_TEXT = 1024
_FIELDS = [each.name for each in fields(Memory)]
_OF_WRITERS = tuple(name for name in _FIELDS if name.startswith(("writ", "rival", "tried")))
_CHANGES = tuple(name for name in _FIELDS if name.endswith("changes"))
_DRIFTS = tuple(name for name in _FIELDS if name.endswith("drifted"))
_LENGTHS = ("prompt", "output", "lengths_s")
_ALSO = ("target_uid", "current", "running", "slowdown", *_LENGTHS)
_KEPT = {*_OF_WRITERS, *_CHANGES, *_DRIFTS, *(name for name in _FIELDS if name in _ALSO)}
_WORTH_A_WRITE = tuple(name for name in _OF_WRITERS if name != "writer")
"""The rest is kept when something else is told."""
_MEMORY = TypeAdapter(Memory)


def kept(memory: Memory, now_s: float) -> str:
    """As `status.memory` has it."""
    recent: dict[str, Any] = {name: _recent(getattr(memory, name), now_s) for name in _CHANGES}
    small = replace(memory, **recent)
    document = _MEMORY.dump_python(small, mode="json", include=_KEPT, exclude_defaults=True)
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def of_writers(memory: Memory) -> Any:
    """What is worth a write of the status by itself."""
    return json.loads(json.dumps([getattr(memory, name) for name in _WORTH_A_WRITE]))


def left_in(status: Mapping[str, Any]) -> Memory:
    """What somebody left in a status; an empty memory where that is nothing, or is none."""
    return understood(status) or Memory()


def understood(status: Mapping[str, Any]) -> Memory | None:
    """What somebody left in a status, where that is nothing or a memory; None where it is something else."""
    text = status.get("memory")
    if text is None or text == "":
        return Memory()
    if not isinstance(text, str) or len(text) > MOST_KEPT:
        return None
    try:
        document = json.loads(text)
        left = _MEMORY.validate_python({name: value for name, value in document.items() if name in _KEPT})
    except Exception:  # noqa: BLE001 -- too deep, too many digits, no document: whoever may write a status wrote it
        return None
    return _within_reason(left) if _possible(left) else None


def _possible(left: Memory) -> bool:
    """Whether we may have kept it: numbers of replicas, times and texts as long as they are."""
    changes = [each for name in _CHANGES for each in getattr(left, name)]
    whole = [left.written, left.written_max, left.current, left.running, *(left.tried or ())]
    whole += [count for each in changes for count in (each.before, each.after)]
    texts = (left.target_uid, left.written_version, left.written_to, left.writer, left.rival)
    return (
        len(changes) <= 2 * MOST_CHANGES
        and all(each is None or 0 <= each <= MOST_COUNTED for each in whole)
        and all(0.0 <= each.at_s <= LAST_S for each in changes)
        and all(len(each) <= LONGEST_TEXT for each in texts)
        and (not left.written_version or left.written_version.isascii())
    )


def _within_reason(left: Memory) -> Memory:
    """Whoever may write a status may write anything there: no number of theirs stops a decision, or the next one."""
    drifts = {name: getattr(left, name) for name in (*_DRIFTS, "slowdown")}
    if any(each is not None and not 1.0 / MOST_DRIFT <= each <= MOST_DRIFT for each in drifts.values()):
        drifts = {**dict.fromkeys(_DRIFTS), "slowdown": 1.0}
    lengths = {name: getattr(left, name) for name in _LENGTHS}
    if not all(_a_length(each) for each in (left.prompt, left.output)) or not _a_time(left.lengths_s):
        lengths = dict.fromkeys(_LENGTHS)
    return replace(
        left,
        rival_writes=min(max(left.rival_writes, 0), MOST_RIVAL_WRITES),
        rival_since_s=left.rival_since_s if _a_time(left.rival_since_s) else None,
        **drifts,
        **lengths,
    )


def _a_length(length: Followed | None) -> bool:
    return length is not None and all(1.0 <= each <= MAX_TOKENS for each in (length.mean, length.held))


def _a_time(value: float | None) -> bool:
    return value is not None and 0.0 <= value <= LAST_S


def _not_ahead(left: Memory, now_s: float) -> Memory:
    """What happened later than now would hold the policy until then: it happened now."""
    since_s = left.rival_since_s
    now: dict[str, Any] = {
        name: tuple(replace(each, at_s=min(each.at_s, now_s)) for each in getattr(left, name)) for name in _CHANGES
    }
    return replace(left, rival_since_s=None if since_s is None else min(since_s, now_s), **now)


def adopted(memory: Memory, status: Mapping[str, Any], now_s: float = LAST_S) -> Memory:
    """The memory of a process that did not lead, with what the leader left: of another target nothing.

    Where this process has watched the target itself, its own look at changes is as good.
    """
    left = _not_ahead(left_in(status), now_s)
    if not left.target_uid:
        return memory
    if not memory.target_uid:
        return left
    if left.target_uid != memory.target_uid:
        return memory
    return replace(memory, **{name: getattr(left, name) for name in _OF_WRITERS})


def _recent(changes: Sequence[Change], now_s: float) -> tuple[Change, ...]:
    """Those that a scaling policy may look back at; steps that follow each other in one direction are one."""
    found = [each for each in changes if each.at_s > now_s - LONGEST_PERIOD_S]
    while len(found) > MOST_CHANGES:
        joint = next((index for index, pair in enumerate(pairwise(found)) if _same_way(*pair)), None)
        if joint is None:
            return tuple(found[-MOST_CHANGES:])
        found[joint : joint + 2] = [replace(found[joint + 1], before=found[joint].before)]
    return tuple(found)


def _same_way(first: Change, second: Change) -> bool:
    return first.after == second.before and (first.after - first.before) * (second.after - second.before) > 0

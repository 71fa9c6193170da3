"""A packing as a person reads it: what stands on each GPU, what each model gets, and what blocks a tighter one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from planner.reports.table import WIDTH, Paint, counted, plain, wrapped
from planner.units import format_bytes, format_number, format_seconds, format_share

_NAMED = 3
_MOST_GPUS = 40
"""GPUs of which each has lines of its own; beyond, like ones are told together all the same, and the rest counted."""


def packing_table(document: dict[str, Any], paint: Paint = plain, width: int = WIDTH) -> str:
    """The answer of `planner pack`, from its fields."""
    types = ", ".join(f"{n:,} {name}" for name, n in document["gpus"]["by_type"].items())
    cost = document["cost"]["per_hour"]
    head = f"{paint(counted(document['gpus']['total'], 'GPU'), 'good')} ({types})"
    head += f", ${cost:,.2f} an hour" if cost is not None else ""
    lines = [head, *wrapped(_proof(document), width), ""]
    lines += [*_rows(_placement_rows(document), 3), "", *_rows(_model_rows(document), 1)]
    groups = _rows(_group_rows(document), 1)
    lines += ["", "Triton's instance_group:", *groups] if len(groups) > 1 else []
    lines += ["", *_tighter(document, width)]
    for title, key in (("Assumed:", "assumptions"), (paint("Warnings:", "warn"), "warnings")):
        if document[key]:
            lines += ["", title]
            lines += [line for note in document[key] for line in wrapped(note, width, "  - ", "    ")]
    return "\n".join(lines) + "\n"


def _proof(document: dict[str, Any]) -> str:
    bound = document["bound"]
    least = f"${bound['cost_per_hour']:,.2f} an hour" if bound["gpus"] is None else counted(bound["gpus"], "GPU")
    complete = document["options"]["complete"]
    options = "" if complete else f" of the options considered ({_tried(document)})"
    if document["optimal"]:
        whatever = ", whatever the numbers of replicas (shares in steps of 2 %)" if complete else ""
        return f"No packing{options} costs less{whatever}."
    gap = format_share(document["gap"])
    return f"At most {gap} dearer than the cheapest there may be (lower bound {least}){options}."


def _tried(document: dict[str, Any]) -> str:
    """Numbers of replicas of the models of which not all were tried, a few by name."""
    open_to = [each for each in document["options"]["replicas"] if not each["complete"]]
    named = [f"{each['model']} {each['tried'][0]:,} to {each['tried'][-1]:,}" for each in open_to[:_NAMED]]
    more = f", … of {len(open_to):,} models and types, see -o json" if len(open_to) > _NAMED else ""
    return f"replicas: {', '.join(named)}{more}"


def _placement_rows(document: dict[str, Any]) -> list[list[str]]:
    models = {model["name"]: model for model in document["models"]}
    rows = [["GPU", "slice", "model", "instances", "memory", "share", "objective", "predicted"]]
    for gpu in document["placement"][:_MOST_GPUS]:
        name = f"{gpu['node']}/{gpu['index']}"
        for group in _together(gpu["replicas"]):
            replica, count = group[0], len(group)
            rows.append([name, *_replica_cells(gpu, replica, count, models[replica["model"]])])
            name = ""
    if len(document["placement"]) > _MOST_GPUS:
        more = len(document["placement"]) - _MOST_GPUS
        rows.append([f"and {more:,} more: see -o csv", *[""] * 7])
    return rows


def _together(replicas: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Replicas of one model on a GPU as one line, those on slices apart."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for replica in replicas:
        groups.setdefault((replica["model"], replica["slice"]), []).append(replica)
    yield from groups.values()


def _replica_cells(gpu: dict[str, Any], replica: dict[str, Any], count: int, model: dict[str, Any]) -> list[str]:
    at = None if replica["slice"] is None else gpu["slices"][replica["slice"]]
    nearest = max(model["objectives"], key=lambda each: each["predicted"] / each["limit"])
    name, _, limit = nearest["objective"].partition("<=")
    part = f" (part of {replica['group'] + 1})" if replica["group"] is not None else ""
    return [
        "whole" if at is None else f"{at['slice']} at {at['start']}",
        f"{replica['model']}{part}",
        f"{count * model['instances_per_replica']}",
        format_bytes(count * replica["memory_bytes"]),
        format_share(count * replica["share"]),
        f"{name} ≤ {format_seconds(float(limit))}",
        format_seconds(nearest["predicted"]),
    ]


def _model_rows(document: dict[str, Any]) -> list[list[str]]:
    rows = [["model", "on", "replicas", "requests/s each", "share", "utilisation", "memory each"]]
    for model in document["models"]:
        on = model["gpu_type"] if model["slice"] is None else f"{model['gpu_type']} {model['slice']}"
        if model["gpus_per_replica"] > 1:
            on = f"{model['gpus_per_replica']} {on}"
        rows.append(
            [
                model["name"],
                on,
                f"{model['replicas']:,}",
                format_number(model["qps_per_replica"]),
                format_share(model["share"]),
                format_share(model["utilization"]),
                format_bytes(model["memory"]["total_bytes"]),
            ]
        )
    return rows


def _group_rows(document: dict[str, Any]) -> list[list[str]]:
    rows = [["model", "server", "setting"]]
    for model in document["models"]:
        for group in model["instance_groups"]:
            where = group["node"] if group["slice"] is None else f"{group['node']}/{group['gpu']} {group['slice']}"
            gpus = ", ".join(map(str, group["gpus"]))
            setting = f"[{{ count: {group['count']}, kind: {group['kind']}, gpus: [{gpus}] }}]"
            rows.append([model["name"], where, setting])
    return rows if len(rows) <= _MOST_GPUS else [*rows[:_MOST_GPUS], ["…", "see -o json", ""]]


def _tighter(document: dict[str, Any], width: int) -> list[str]:
    fewer = document["one_fewer"]
    how = "One GPU fewer cannot do" if fewer["proven"] else "One GPU fewer was not found to do"
    if fewer["proven"] and not document["options"]["complete"]:
        how = "One GPU fewer does with none of the options considered"
    text = f"{how} ({fewer['gpus']:,} {fewer['type']}): {'; '.join(fewer['reasons'])}."
    lines = [*wrapped(text, width), "", "What blocks a tighter packing:"]
    return lines + [line for each in document["blocking"] for line in wrapped(each["words"], width, "  - ", "    ")]


def _rows(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Aligned: the first `left` columns and any of words to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    words = [column < left or not any(row[column][:1].isdigit() for row in rows[1:]) for column in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            cell.ljust(w) if word else cell.rjust(w) for cell, w, word in zip(row, widths, words, strict=True)
        ).rstrip()
        for row in rows
    ]

"""One streamed answer as perf_analyzer keeps it: when its tokens came and how many there were, without their text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import InvalidInput
from planner.importers.benchmark_run import Array
from planner.importers.fields import Fields
from planner.importers.figures import figure


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamedAnswer:
    """Times in seconds, counts in tokens."""

    start_s: float
    token_s: Array
    """When each chunk with a token came (at least one)."""
    usage_input: float | None
    usage_output: float | None
    exact_output: float | None
    """The requested length, where the request forbade the engine to stop earlier."""
    prompt_ids: float | None
    """Length of a prompt that was sent as token ids."""


def read_answer(request: Fields, times: Any) -> StreamedAnswer | None:
    """The answer of one request; None where no token came."""
    outputs = request.values.get("response_outputs")
    if not isinstance(times, list) or not isinstance(outputs, list) or len(times) != len(outputs):
        raise InvalidInput(
            f"{request.where('response_timestamps')}: there should be one for each of response_outputs",
            remedy="is the file whole?",
        )
    start_ns = request.number("timestamp")
    usage: dict[str, float] = {}
    token_s = []
    for time, output in zip(times, outputs, strict=True):
        ns = figure(time, request.where("response_timestamps")) - start_ns
        if ns <= 0.0:
            raise InvalidInput(
                f"{request.where('response_timestamps')}: an answer came before its request was sent",
                remedy="measure again; clocks may have jumped",
            )
        if _holds_token(output, usage):
            token_s.append(ns * 1e-9)
    if not token_s:
        return None
    exact, ids = asked_tokens(request)
    start_s = start_ns * 1e-9
    return StreamedAnswer(
        start_s=start_s,
        token_s=start_s + np.sort(np.array(token_s)),
        usage_input=usage.get("prompt_tokens"),
        usage_output=usage.get("completion_tokens"),
        exact_output=exact,
        prompt_ids=ids,
    )


def without_tokens(request: Fields) -> bool:
    """Whether the responses are tensors of a model without tokens, or were not kept."""
    outputs = request.values.get("response_outputs")
    if outputs is None:
        return True
    return isinstance(outputs, list) and not any(
        isinstance(each, dict) and ("response" in each or "text_output" in each) for each in outputs
    )


def whole_answer_s(request: Fields, times: Any) -> float:
    """From the sending of a request to its last response."""
    where = request.where("response_timestamps")
    if not isinstance(times, list):
        raise InvalidInput(f"{where} should be a list", remedy="is the file of this tool?")
    seconds = (max(figure(each, where) for each in times) - request.number("timestamp")) * 1e-9
    if not seconds > 0.0:
        raise InvalidInput(f"{where}: an answer came before its request was sent", remedy="measure again")
    return seconds


def asked_tokens(request: Fields) -> tuple[float | None, float | None]:
    """(exact output length, prompt length in ids) from the request's own payload."""
    inputs = request.values.get("request_inputs")
    if not isinstance(inputs, dict):
        return None, None
    payload: Any = inputs.get("payload", inputs)
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except (ValueError, RecursionError):
            return None, None
    if not isinstance(payload, dict):
        return None, None
    most: Any = payload.get("max_tokens", payload.get("max_completion_tokens"))
    exact = payload.get("ignore_eos") is True or payload.get("min_tokens") == most
    prompt = payload.get("prompt")
    ids = prompt if isinstance(prompt, list) and prompt and all(isinstance(each, int) for each in prompt) else None
    number = isinstance(most, (int, float)) and not isinstance(most, bool) and most >= 1
    return (float(most) if number and exact else None), (float(len(ids)) if ids else None)


def _holds_token(output: Any, usage: dict[str, float]) -> bool:
    """Whether a response brought a token; its usage, where it has one, is noted."""
    if not isinstance(output, dict):
        return False
    if "text_output" in output:
        return bool(output["text_output"])  # Triton ends a stream with a response that is empty
    text = output.get("response")
    if not isinstance(text, str):
        return False
    events = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    brought = [_event_holds_token(each, usage) for each in events]  # of all of them, for the last one has the usage
    return any(brought)


def _event_holds_token(data: str, usage: dict[str, float]) -> bool:
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return False  # `[DONE]`
    if not isinstance(event, dict):
        return False
    counts = event.get("usage")
    if isinstance(counts, dict):
        for name in ("prompt_tokens", "completion_tokens"):
            number = counts.get(name)
            if isinstance(number, int) and number >= 1:
                usage[name] = float(number)
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return False
    if "text" in choice:  # a completion's chunk may hold half a character: no text, and yet a token
        return True
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(
        delta.get(k) for k in ("content", "reasoning_content", "reasoning", "tool_calls")
    )

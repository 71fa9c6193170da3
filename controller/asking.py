"""Asks Prometheus the questions of a tick, within the time that the tick has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from controller.answers import Answer, Row, Unanswered, read_answer
from controller.queries import Plan
from models.errors import InvalidInput

LOG = logging.getLogger("replicast.metrics")


class Server(Protocol):
    """What answers PromQL now."""

    def instant(self, query: str) -> Sequence[Row]:
        """Raises InvalidInput where it does not answer."""
        ...


def ask(server: Server, plan: Plan, *, clock: Callable[[], float], within_s: float = 10.0) -> tuple[Answer, ...]:
    """An answer to each query. One that is refused spoils no other; one that takes all the time leaves none for more.

    The queries carry no time: the server takes its own, which then is compared with ours.
    """
    began_s = clock()
    answers: list[Answer] = []
    for query in plan.queries:
        asked_s = clock()
        if asked_s - began_s > within_s:
            answers.append(Unanswered(message=f"Prometheus took more than {within_s:g} s for the questions before"))
            continue
        try:
            rows = server.instant(query.text)
            answers.append(read_answer(query, rows, asked_s=asked_s, answered_s=clock()))
        except InvalidInput as problem:
            answers.append(Unanswered(message=str(problem)))
        except Exception as error:
            LOG.exception("an answer could not be read")
            answers.append(Unanswered(message=f"an answer could not be read: {type(error).__name__}: {error}"[:500]))
    return tuple(answers)

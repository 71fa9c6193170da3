"""The engine that a sweep measures: where it listens and what it is called there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from models.errors import InvalidInput

SweptEngine = Literal["vllm", "triton-trtllm"]

NAME = re.compile(r"[\w./@:+-]{1,400}", re.ASCII)
_HTTP = re.compile(r"https?://[\w.-]+(:\d{1,5})?", re.ASCII)
_HOST_PORT = re.compile(r"[\w.-]+:\d{1,5}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Target:
    """An endpoint, and the names that a benchmark needs."""

    engine: SweptEngine
    url: str
    """`http://host:port` of an OpenAI-compatible server; `host:port` of Triton's gRPC."""
    served_model: str
    """The model's name in requests: for Triton the name of the ensemble."""
    tokenizer: str
    """Name or folder of the tokenizer with which the client counts."""

    def __post_init__(self) -> None:
        for what, value in (("model", self.served_model), ("tokenizer", self.tokenizer)):
            if not NAME.fullmatch(value) or value.startswith("-"):
                raise InvalidInput(
                    f"the {what} {value[:80]!r} is no name or path that a benchmark could be given",
                    remedy="letters, digits and . / _ - : @ + only",
                )
        pattern, example = (_HTTP, "http://host:8000") if self.engine == "vllm" else (_HOST_PORT, "host:8001")
        if not pattern.fullmatch(self.url):
            raise InvalidInput(
                f"--url {self.url[:120]!r} is not an address of {self.engine}",
                remedy=f"give it like {example}, without a path",
            )

    @property
    def host_port(self) -> str:
        """The address without `http://`."""
        return self.url.removeprefix("http://")

"""A small HTTP server that shows Prometheus what real engines' /metrics pages said, at the times when they said it.

Each sample carries its time, moved so that the history ends when the test wants: one scrape brings all of it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.exposition import archived

_KEPT = re.compile(r"^(vllm:|nv_(inference|trt_llm|llm)_)")
_LEFT = re.compile(r"_created[{ ]")

Page = tuple[float, str]
"""Seconds from any origin, and the text."""
Shown = str | Callable[[], str]
"""A text, or what makes it anew for each scrape."""


@dataclass(frozen=True, kw_only=True)
class Exposition:
    """A running server: what it shows by path."""

    address: str
    pages: dict[str, Shown] = field(default_factory=dict)


def samples_of(text: str) -> list[str]:
    """The engine's own samples, without times of creation."""
    return [line for line in text.splitlines() if _KEPT.match(line) and not _LEFT.search(line)]


def history(pages: list[Page], *, end_s: float) -> str:
    """All pages as one, each sample with its time, the last at `end_s`. Only the engine's own metrics, unchanged."""
    shift = end_s - pages[-1][0]
    lines = []
    for time, text in pages:
        milliseconds = round(1000.0 * (time + shift))
        lines += [f"{line} {milliseconds}\n" for line in samples_of(text)]
    return "".join(lines)


def ramp() -> list[Page]:
    """vLLM second by second while the load rose."""
    return [
        (int(name.rpartition("/")[2]) / 1000.0, text)
        for name, text in archived("vllm_ramp_1_to_9_scrapes.tar.xz").items()
    ]


@contextmanager
def shown(pages: Mapping[str, Shown]) -> Iterator[Exposition]:
    """Serve pages by path."""
    kept: dict[str, Shown] = dict(pages)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = kept.get(self.path)
            body = (page() if callable(page) else page or "").encode()
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Quiet: tests print what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Exposition(address=f"127.0.0.1:{server.server_port}", pages=kept)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

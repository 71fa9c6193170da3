"""A real browser without a window: what a page said on its console, what it asked for, and what it prints."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "the report's page is opened in a real browser, and none is here: install it, apt-get install chromium"
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
)  # fmt: skip
_ITS_OWN = "not an origin"
"""The initiator of what the browser itself asks for, such as the time; none of it leaves the machine either."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What came of opening a page."""

    dom: str
    console: list[str]
    requests: list[str]
    """Addresses that the page asked for, its own file aside."""


def browser() -> str:
    """The program. Fails where there is none: nothing of this is skipped."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found is not None, MISSING
    return found


def visit(page: Path, folder: Path, *flags: str) -> Visit:
    """Open a page, wait until it is loaded, and look at all that it did."""
    log = folder / "net-log.json"
    done = _run(page, folder, "--dump-dom", f"--log-net-log={log}", *flags)
    console = re.findall(r"^\[[^\]]*:CONSOLE[^\]]*\] (.*)$", done.stderr, re.MULTILINE)
    return Visit(dom=done.stdout, console=console, requests=_requests(log))


def printed(page: Path, folder: Path) -> bytes:
    """The page as PDF."""
    target = folder / "page.pdf"
    _run(page, folder, f"--print-to-pdf={target}", "--no-pdf-header-footer")
    return target.read_bytes()


def pages_of(pdf: bytes) -> int:
    """How many pages it has."""
    return len(re.findall(rb"/Type ?/Page\b", pdf))


def _run(page: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [browser(), *_FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def _requests(log: Path) -> list[str]:
    read = json.loads(log.read_text(encoding="utf-8"))
    start = read["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    asked = [each.get("params", {}) for each in read["events"] if each["type"] == start]
    return [each["url"] for each in asked if "url" in each and each.get("initiator") != _ITS_OWN]

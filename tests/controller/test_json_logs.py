"""What the controller says on stderr: JSON, whoever says it."""

from __future__ import annotations

import json
import subprocess
import sys

SAYS = """
import logging, threading, warnings
from controller.json_logs import log_as_json
log_as_json()
from kubernetes.leaderelection import leaderelection
leaderelection.logger.error("%s: error retrieving the lease", "one")
logging.getLogger("controller.leader").warning("leader election: %s", "TimeoutError")
logging.getLogger("urllib3.connectionpool").info("chatter")
logging.getLogger("replicast.controller").info("x/y", extra={"fields": {"decision": {"desired": 3}}})
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0, name="watch")
thread.start(); thread.join()
logging.getLogger("replicast.controller").info("%d", "no number")
"""


def test_every_line_is_an_object_whoever_says_it():
    done = subprocess.run([sys.executable, "-c", SAYS], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(each["level"], each["logger"]) for each in lines] == [
        ("error", "leaderelection"),
        ("warning", "controller.leader"),
        ("info", "replicast.controller"),
        ("warning", "py.warnings"),
        ("error", "replicast.threads"),
    ]
    assert lines[2]["decision"] == {"desired": 3}
    assert "ZeroDivisionError" in lines[4]["error"]

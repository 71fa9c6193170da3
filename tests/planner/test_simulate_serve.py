"""`planner simulate --serve`: it says where it is, serves until Ctrl-C, and refuses what has no meaning then."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from planner.cli.main import run
from tests.planner.simulated_profiles import TRITON

ROOT = Path(__file__).parents[2]
# Where the tests run in the background of a shell, Ctrl-C is ignored unless a program asks for it.
CALL = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from planner.cli.main import main; main()"
)
QUESTION = ["--profile", "llama-3.1-8b-a100-vllm", "--replicas", "2", "--input-tokens", "512", "--output-tokens", "128"]


def test_it_says_where_it_is_and_serves_until_ctrl_c():
    command = [sys.executable, "-c", CALL, "simulate", *QUESTION, "--qps", "20", "--speed", "10", "--serve", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            first, *more = [server.stdout.readline() for _ in range(5)]
            said = re.fullmatch(
                r"serving meta-llama/Llama-3\.1-8B-Instruct \(llama-3\.1-8b-a100-vllm\) at (http://127\.0\.0\.1:\d+)\n",
                first,
            )
            assert said is not None
            with urllib.request.urlopen(f"{said[1]}/status", timeout=30) as answer:
                state = json.load(answer)
            assert (state["qps"], state["speed"], list(state["replicas"])) == (20.0, 10.0, ["0", "1"])
        finally:
            server.send_signal(signal.SIGINT)
            _, err = server.communicate(timeout=30)
    assert server.returncode == 0
    assert """curl -X PUT -d '{"qps": 30}' http""" in more[1]
    assert err.endswith("stopped\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--qps", "20", "--serve", "nowhere"], "--serve 'nowhere' is not an address"),
        (["--qps", "20", "--serve", "localhost:99999"], "--serve 'localhost:99999' is not an address"),
        (["--qps", "20", "--serve", "8000", "--requests", "5000"], "--requests has no meaning with --serve"),
        (["--qps", "20", "--serve", "8000", "--slo", "ttft:p99<=1s"], "--slo has no meaning with --serve"),
        (["--qps", "20", "--serve", "8000", "-o", "json"], "-o has no meaning with --serve"),
        (["--concurrency", "20", "--serve", "8000"], "--concurrency has no meaning with --serve"),
        (["--serve", "8000"], "no load is given"),
        (["--qps", "20", "--speed", "5"], "--speed is of --serve"),
        (["--qps", "20", "--serve", "8000", "--speed", "nan"], "--speed"),
        (["--qps", "20", "--serve", "8000", "--replicas", "5000"], "5,000 replicas are too many to simulate"),
    ],
)
def test_what_has_no_meaning_is_refused(capsys, options, said):
    assert run(["simulate", *QUESTION, *options]) == 2
    assert said in capsys.readouterr().err


def test_only_vllm_has_old_names(capsys, tmp_path):
    profile = tmp_path / "reranker.yaml"
    profile.write_text(TRITON, encoding="utf-8")
    options = ["--profile", str(profile), "--replicas", "1", "--qps", "5", "--serve", "0", "--metric-names", "oldest"]
    assert run(["simulate", *options]) == 2
    assert "only vLLM renamed its metrics" in capsys.readouterr().err

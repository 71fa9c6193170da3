"""The policy type: the README's example is one, with the defaults that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from controller.capacity_policy import parse_policy

README = Path(__file__).parents[2] / "README.md"


def test_the_policy_of_the_readme_is_one():
    (text,) = re.findall(r"^```yaml\n(# chat-policy\.yaml.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    policy = parse_policy(yaml.safe_load(text))
    assert (policy.key, policy.spec.mode, policy.spec.bounds.max_gpus) == ("serving/chat", "Advise", 16)
    assert policy.spec.behavior.scale_down.stabilization_window_seconds == 300
    assert policy.spec.behavior.forecast.quantile == 0.95

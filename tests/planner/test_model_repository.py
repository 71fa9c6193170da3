"""A Triton model repository as a profile; needs the `triton` extra."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.errors import InvalidInput
from planner.cli.main import main
from planner.model_repository import profile_from_repository, read_model, read_times, up_to

FULL = """
name: "reranker"
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "X" data_type: TYPE_FP32 dims: [ 4 ] } ]
dynamic_batching { preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 10000 }
instance_group [ { kind: KIND_GPU count: 2 gpus: [ 0 ] }, { kind: KIND_GPU count: 1 gpus: [ 0 ] } ]
"""


def model(folder: Path, text: str, name: str = "reranker") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "config.pbtxt").write_text(text)
    return folder / name


def times(folder: Path, text: str = "batch,mean_ms,cv\n8,84,0.02\n1,28,0.02\n") -> Path:
    path = folder / "times.csv"
    path.write_text(text)
    return path


def test_limits_are_those_of_the_configuration(tmp_path: Path):
    model(tmp_path / "models", FULL)
    limits = profile_from_repository(tmp_path / "models", times(tmp_path), model=None, gpu="L4-24GB").spec.limits
    assert (limits.max_batch_size, limits.instances, limits.preferred_batch_sizes) == (8, 3, (4, 8))
    assert limits.max_queue_delay == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        ("max_batch_size: 8 dynamic_batching { }", 8),
        ("max_batch_size: 8", 1),  # requests are not joined
        ("max_batch_size: 0", 1),
    ],
)
def test_requests_are_joined_only_by_dynamic_batching(tmp_path: Path, text: str, largest: int):
    served = read_model(model(tmp_path, text))
    assert (served.name, served.max_batch_size, served.instances) == ("reranker", largest, 1)


def test_times_end_at_the_largest_batch(tmp_path: Path):
    assert up_to(read_times(times(tmp_path), "batch"), 4) == [(1, 0.028, 0.02), (4, pytest.approx(0.052), 0.02)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size: 8 ensemble_scheduling { }", "an ensemble has no batches"),
        ('backend: "vllm" max_batch_size: 0 model_transaction_policy { decoupled: true }', "token by token"),
        ("max_batch_size: eight", "no model configuration"),
    ],
)
def test_what_cannot_be_sized_is_told(tmp_path: Path, text: str, words: str):
    with pytest.raises(InvalidInput, match=words):
        read_model(model(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("max_batch_size: 8 sequence_batching { } instance_group [ { count: 2 } ]", 16),
        ("max_batch_size: 8 sequence_batching { oldest { max_candidate_sequences: 40 } }", 40),
        ("max_batch_size: 8 model_transaction_policy { decoupled: true } dynamic_batching { }", 8),
        ("sequence_batching { direct { } }", 1),
    ],
    ids=["direct by default", "oldest", "decoupled", "without batching"],
)
def test_sequences_and_streams_hold_slots(tmp_path: Path, text: str, slots: int):
    model(tmp_path, text)
    held = times(tmp_path, "held,mean_s\n1,12\n64,30\n")
    found = profile_from_repository(tmp_path, held, model=None, gpu="L4-24GB").to_slots()
    assert found is not None
    assert found.count == slots
    assert found.held.means_s == (12.0, 30.0)


def test_a_repository_is_sized(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    model(tmp_path / "models", FULL)
    model(tmp_path / "models", "max_batch_size: 1", "tokeniser")
    question = ["size", "--model-repository", str(tmp_path / "models"), "--profile-csv", str(times(tmp_path))]
    question += ["--qps", "300", "--slo", "e2e:p99<=200ms", "-o", "json"]
    with pytest.raises(SystemExit) as ended:
        main(question)
    assert ended.value.code == 2
    assert "--model-name: reranker, tokeniser" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*question, "--model-name", "reranker"])
    assert not ended.value.code
    plan = json.loads(capsys.readouterr().out)
    assert (plan["profile"], plan["feasible"]) == ("reranker", True)

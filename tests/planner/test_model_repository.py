"""A Triton model repository as a profile; needs the `triton` extra."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.errors import InvalidInput
from planner.cli.main import main
from planner.model_repository import model_folder, profile_from_repository, read_model, read_times, up_to

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
        ("", 1),
    ],
)
def test_requests_are_joined_only_by_dynamic_batching(tmp_path: Path, text: str, largest: int):
    served = read_model(model(tmp_path, text))
    assert (served.name, served.max_batch_size, served.instances) == ("reranker", largest, 1)
    assert any("batches of 1" in note for note in served.notes) is (largest == 1)


@pytest.mark.parametrize(
    ("groups", "instances", "gpus"),
    [
        ("", 1, 1),
        ("instance_group [ { count: 1 kind: KIND_GPU gpus: [0, 1, 2, 3] } ]", 4, 4),
        ("instance_group [ { count: 2 gpus: [0, 1] }, { count: 1 kind: KIND_GPU gpus: [1] } ]", 5, 2),
        ("instance_group [ { count: 1 kind: KIND_GPU }, { count: 2 kind: KIND_GPU passive: true } ]", 1, 1),
        ("instance_group [ { kind: KIND_CPU } ]", 1, 0),
        ('backend: "onnxruntime" instance_group [ { kind: KIND_CPU } ]', 2, 0),
        ('backend: "onnxruntime" instance_group [ { kind: KIND_CPU count: 1 } ]', 1, 0),
        ("instance_group [ { kind: KIND_MODEL count: 1 gpus: [0, 1] } ]", 1, 2),
    ],
)
def test_instances_and_the_gpus_that_they_need(tmp_path: Path, groups: str, instances: int, gpus: int):
    model(tmp_path / "models", f"max_batch_size: 8 dynamic_batching {{ }} {groups}")
    found = profile_from_repository(tmp_path / "models", times(tmp_path), model=None, gpu=None).spec
    assert (found.limits.instances, found.gpu.per_replica) == (instances, gpus)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dynamic_batching { priority_levels: 2 default_priority_level: 1 }", "priority_levels"),
        ("dynamic_batching { default_queue_policy { max_queue_size: 16 } }", "max_queue_size"),
        (
            "dynamic_batching { default_queue_policy { timeout_action: REJECT default_timeout_microseconds: 9 } }",
            "default_timeout_microseconds",
        ),
        ("dynamic_batching { } response_cache { enable: true }", "response_cache"),
        ("dynamic_batching { preserve_ordering: true }", "preserve_ordering"),
        ("dynamic_batching { } instance_group [ { passive: true }, { } ]", "passive instance groups serve nothing"),
    ],
)
def test_what_changes_the_queue_and_is_left_out_is_told(tmp_path: Path, text: str, words: str):
    model(tmp_path / "models", f"max_batch_size: 8 {text}")
    found = profile_from_repository(tmp_path / "models", times(tmp_path), model=None, gpu=None)
    assert any(words in note for note in found.spec.provenance[0].notes)


def test_times_end_at_the_largest_batch(tmp_path: Path):
    assert up_to(read_times(times(tmp_path), "batch"), 4) == [(1, 0.028, 0.02), (4, pytest.approx(0.052), 0.02)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_batch_size: 8 ensemble_scheduling { }", "an ensemble has no batches"),
        ('backend: "vllm" max_batch_size: 0 model_transaction_policy { decoupled: true }', "token by token"),
        ("max_batch_size: eight", "no model configuration"),
        ("max_batch_size: -8 dynamic_batching { }", "max_batch_size is -8"),
        ("max_batch_size: 8 instance_group [ { passive: true } ]", "every instance_group is passive"),
        ("max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 4000000000 }", "more than an hour"),
        ("max_batch_size: 8 dynamic_batching { preferred_batch_size: [ -1 ] }", "preferred_batch_size is -1"),
        ("max_batch_size: 8 dynamic_batching { preferred_batch_size: [ 16 ] }", "preferred_batch_size is 16"),
        (f'name: "{"x" * 300}" max_batch_size: 8', "name has 300 characters"),
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch,mean_ms\n1,28\n99999999999999999999,84\n", "batch is 99999999999999999999"),
        ("batch,mean_ms\n1,28\n8,inf\n", "mean inf"),
        ("batch,mean_ms\n1," + "9" * 200_000, "line 2: field larger than"),
    ],
)
def test_times_out_of_range_are_told_with_file_and_field(tmp_path: Path, text: str, words: str):
    with pytest.raises(InvalidInput, match=words) as told:
        read_times(times(tmp_path, text), "batch")
    assert "times.csv" in str(told.value)


def test_any_end_of_line_is_read(tmp_path: Path):
    path = tmp_path / "mac.csv"
    path.write_bytes(b"batch,mean_ms\r1,28\r8,84\r")
    assert [row[:2] for row in read_times(path, "batch")] == [(1, 0.028), (8, 0.084)]


def test_the_folder_of_a_model_may_be_named_itself(tmp_path: Path):
    folder = model(tmp_path / "models", FULL)
    assert model_folder(folder, "reranker") == folder
    assert model_folder(folder, None) == folder
    with pytest.raises(InvalidInput, match="does not exist"):
        model_folder(tmp_path / "nowhere", None)
    with pytest.raises(InvalidInput, match="is a file"):
        model_folder(folder / "config.pbtxt", None)


@pytest.mark.parametrize("command", ["predict", "simulate"])
def test_a_repository_is_predicted_and_simulated_and_written_as_a_profile(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
):
    model(tmp_path / "models", "max_batch_size: 8 dynamic_batching { priority_levels: 3 }")
    written = tmp_path / "reranker.yaml"
    question = ["--replicas", "1", "--qps", "40", "-o", "json"]
    repository = ["--model-repository", str(tmp_path / "models"), "--profile-csv", str(times(tmp_path))]
    with pytest.raises(SystemExit) as ended:
        main([command, *repository, "--write-profile", str(written), "--gpu", "L4-24GB", *question])
    assert not ended.value.code
    first = json.loads(capsys.readouterr().out)
    assert any("priority_levels" in note for note in first["assumptions"])
    with pytest.raises(SystemExit) as ended:
        main([command, "--profile", str(written), *question])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out) == first


def test_what_belongs_to_a_repository_needs_one(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--replicas", "1", "--qps", "4", "--profile", "x.yaml", "--write-profile", "y.yaml"])
    assert ended.value.code == 2
    assert "--write-profile belong to a --model-repository" in capsys.readouterr().err

"""Profiles of the dynamic batcher: what may stand in one, and what a window of its metrics is good for."""

import pytest

from models.errors import InvalidInput
from planner.batching_profile import BatchingLimits, learn_batching
from planner.metrics_history import Window
from planner.observed_profile import Identity
from planner.profile import EngineProfile, parse_profile
from planner.profile_document import text_of

IDENTITY = Identity(
    name="reranker", engine="triton", engine_version="2.51.0", model="r", quantization="none", gpu={"type": "A10G-24GB"}
)


def profile(engine: str = "triton", limits: str = "maxBatchSize: 8", times: str = "") -> EngineProfile:
    times = times or "[{batch: 1, mean: 28.0e-3, cv: 0.02}, {batch: 8, mean: 84.0e-3, cv: 0.02}]"
    text = f"""
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {{name: reranker}}
spec:
  engine: {engine}
  model: bge-reranker-base
  gpu: {{type: A10G-24GB, perReplica: 1}}
  limits: {{{limits}}}
  stepTime: {{base: 0.01}}
  serviceTime: {times}
"""
    return parse_profile(text, name="reranker")


def test_a_written_profile():
    found = profile(limits="maxBatchSize: 8, instances: 2, preferredBatchSizes: [4, 8], maxQueueDelay: 0.01")
    assert found.service_time.batches == (1, 8)
    assert found.service_time.cvs == (0.02, 0.02)
    limits = found.spec.limits
    assert (limits.max_batch_size, limits.instances, limits.preferred_batch_sizes) == (8, 2, (4, 8))
    assert limits.max_queue_delay == 0.01


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"limits": ""}, "the time of a batch is not known"),
        ({"times": "[]"}, "the time of a batch is not known"),
        ({"engine": "vllm", "limits": ""}, "the time of a batch is not known"),
        ({"limits": "maxBatchSize: 4"}, "spec.serviceTime has a batch of 8, spec.limits.maxBatchSize is 4"),
        ({"times": "[{batch: 2, mean: 1}, {batch: 1, mean: 1}]"}, "must ascend"),
    ],
)
def test_what_tells_no_time_of_a_batch(changes, said):
    with pytest.raises(InvalidInput, match="profile reranker") as told:
        _ = profile(**changes).service_time
    assert said in str(told.value)


def test_a_limit_of_the_batcher_is_not_quietly_ignored_for_another_engine():
    with pytest.raises(InvalidInput, match="maxBatchSize is of engine triton"):
        profile(engine="vllm").to_engine()


def window(batch: float, **changes) -> Window:
    """600 requests in batches alike, 20 ms + 8 ms a request each."""
    counted = {
        "succeeded": 600.0,
        "inferences": 600.0,
        "executions": 600.0 / batch,
        "compute_input_sum": 0.0,
        "compute_infer_sum": 600.0 * (0.02 + 0.008 * batch),
        "compute_output_sum": 0.0,
        "e2e_sum": 60.0,
    }
    return Window(replica="a", start_s=0.0, end_s=60.0, counted={**counted, **changes}, growth=500.0)


def test_windows_count_whatever_the_load_and_like_batches_are_pooled():
    learned = learn_batching(
        [window(1.0), window(1.05), window(8.0), window(1.0, succeeded=5.0)],
        identity=IDENTITY,
        limits=BatchingLimits(max_batch_size=8),
        provenance={"source": "test"},
    )
    assert [load.requests for load in learned.loads] == [1200.0, 600.0]
    assert learned.left_out == {"fewer than 20 requests": 1}
    found = parse_profile(text_of(learned.document), name="learned")
    assert found.service_time.means_s == pytest.approx([0.028, 0.036, 0.052, 0.084], rel=0.02)


def test_windows_without_the_counts_of_batches_are_left_out():
    without = window(1.0)
    less = Window(replica="a", start_s=0.0, end_s=60.0, counted={**without.counted, "executions": 0.0})
    with pytest.raises(InvalidInput, match="do not vary enough"):
        learn_batching([less], identity=IDENTITY, limits=BatchingLimits(max_batch_size=8), provenance={})


def test_batches_far_from_full_are_told():
    learned = learn_batching(
        [window(1.0), window(3.0)], identity=IDENTITY, limits=BatchingLimits(max_batch_size=8), provenance={}
    )
    assert any("batches were of 3 requests at most in the mean, of 8" in warning for warning in learned.warnings)

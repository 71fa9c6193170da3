"""Learning from real engines whose step time is known: vLLM with every step padded, /metrics before and after runs."""

import csv

import pytest

from benchmarks.exposition import DATA, archived
from benchmarks.histogram_accuracy import histogram
from models.engine import EngineLimits
from models.errors import InvalidInput
from planner.engine_metrics import VLLM, Kind
from planner.importers.benchmark_run import SetUp
from planner.metrics_history import Window
from planner.observed_profile import Identity, ObservedLoad, learn, next_load, require_spread
from planner.observed_run import StatedLengths, run_of
from planner.profile import parse_profile
from planner.profile_document import text_of
from planner.steady_load import Load

PAGES = archived("vllm_before_after.tar.xz")
LIMITS = EngineLimits(max_num_seqs=16, kv_cache_tokens=65_536, kv_block_size=128)
GPU = {"type": "CPU", "perReplica": 1, "tensorParallel": 1, "pipelineParallel": 1, "nodesPerReplica": 1}
IDENTITY = Identity(
    name="paced", engine="vllm", engine_version="0.32.0", model="tiny-llama", quantization="none", gpu=GPU
)
LOADS = ["closed_c01", "closed_c02", "closed_c04", "closed_c08", "open_f0.30_r2.31", "open_f0.70_r5.39"]


def durations() -> dict[str, float]:
    with (DATA / "vllm_client_percentiles.csv").open(encoding="utf-8", newline="") as stream:
        return {f"{row['engine']}/{row['run']}": float(row["duration_s"]) for row in csv.DictReader(stream)}


def observed(run: str) -> ObservedLoad:
    """A run as a window: its histograms and counters, running by Little (the gauges are read when it is over)."""
    before, after = PAGES[f"{run}.before"], PAGES[f"{run}.after"]
    histograms = {meaning: histogram(before, after, metric.names[0]) for meaning, metric in VLLM.of(Kind.HISTOGRAM)}
    duration_s, requests = durations()[run], histograms["e2e"].total
    window = Window(
        replica="one",
        start_s=0.0,
        end_s=duration_s,
        counted={"succeeded": requests, "output_tokens": histograms["output_length"].sum_s},
        means={"running": histograms["e2e"].sum_s / duration_s, "waiting": 0.0},
        histograms=histograms,
        scrapes=2,
    )
    load = Load(windows=(window,), standing="steady")
    return ObservedLoad(
        run=run_of(load, setup=SetUp(engine="vllm"), source=run, stated=StatedLengths()), running=load.running
    )


@pytest.fixture(scope="module")
def learned():
    loads = sorted((observed(f"paced/{name}") for name in LOADS), key=lambda load: load.running)
    return learn(loads, [observed("paced/closed_c16")], identity=IDENTITY, limits=LIMITS, provenance={"source": "test"})


@pytest.mark.parametrize("sequences", [1.0, 4.0, 8.0, 12.0])
def test_the_known_step_is_found(learned, sequences):
    """25 ms + 1.5 ms a sequence, and 3 to 7 ms between steps that the pacing leaves out."""
    known_s = 25e-3 + 1.5e-3 * sequences
    found_s = float(learned.fit.step_time.seconds(0.0, sequences, 80.0 * sequences))
    assert known_s + 2e-3 < found_s < known_s + 9e-3


def test_the_cost_of_a_prompt_token_is_of_the_known_size(learned):
    """0.1 ms; the server's TTFT also holds what HTTP and tokenising cost, which few loads tell apart."""
    seconds = learned.fit.step_time.seconds
    per_token_s = float(seconds(64.0, 1.0, 80.0) - seconds(0.0, 1.0, 80.0)) / 64.0
    assert 0.05e-3 < per_token_s < 0.3e-3


def test_it_explains_what_it_was_learned_from(learned):
    assert learned.fit.median_error < 0.06
    assert learned.fit.worst_error < 0.15


def test_the_document_is_a_profile(learned):
    profile = parse_profile(text_of(learned.document), name="paced")
    assert profile.spec.provenance[0].points == len(LOADS)
    assert [point.requests for point in profile.spec.measurements] == [40, 70, 173, 130, 220, 403, 320]
    assert {point.source for point in profile.spec.measurements} >= {f"paced/{name}" for name in LOADS}
    assert profile.to_engine().limits == LIMITS


def test_queue_percentiles_in_the_bucket_from_zero_are_not_stated():
    queue = observed("paced/open_f0.70_r5.39").run.measurement.queue
    assert queue is not None
    assert queue.mean_s is not None
    assert queue.p50_s is None


def test_one_load_teaches_nothing():
    load = observed("paced/closed_c04")
    with pytest.raises(InvalidInput, match="the data do not vary enough to learn from") as told:
        require_spread([load, load], LIMITS)
    assert "let it serve about" in (told.value.remedy or "")


def test_no_load_teaches_nothing():
    with pytest.raises(InvalidInput, match="nothing to learn from"):
        require_spread([], LIMITS)


@pytest.mark.parametrize(
    ("loads", "running"),
    [
        (["closed_c01", "closed_c02"], "5.7"),
        (["closed_c04", "closed_c08"], "1 running"),
        (["closed_c01", "closed_c08"], "2.8"),
    ],
    ids=["never busy", "never quiet", "nothing between"],
)
def test_the_next_load_fills_the_widest_gap(loads, running):
    found = next_load([observed(f"paced/{name}") for name in loads], LIMITS, None)
    assert running in found, found

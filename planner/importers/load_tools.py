"""Importers of NVIDIA's load generators and of guidellm, in the order in which they are asked."""

from __future__ import annotations

from planner.importers.aiperf import Aiperf
from planner.importers.aiperf_requests import AiperfRequests
from planner.importers.genai_perf import GenaiPerf
from planner.importers.genai_perf_requests import GenaiPerfRequests
from planner.importers.guidellm import Guidellm
from planner.importers.importer import Importer
from planner.importers.model_analyzer import ModelAnalyzer
from planner.importers.perf_analyzer import PerfAnalyzer
from planner.importers.trtllm_bench import TrtllmBench

LOAD_TOOLS: tuple[Importer, ...] = (
    Aiperf(),
    AiperfRequests(),
    GenaiPerf(),
    GenaiPerfRequests(),
    Guidellm(),
    ModelAnalyzer(),
    PerfAnalyzer(),
    TrtllmBench(),
)

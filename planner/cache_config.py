"""KV memory as engines tell it: vLLM in the labels of `vllm:cache_config_info`, TensorRT-LLM in gauges of blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KvMemory:
    """Tokens that fit and tokens of a block; None where the engine does not say."""

    tokens: int | None
    block_size: int | None


def kv_memory(labels: Mapping[str, str]) -> KvMemory:
    """From `kv_cache_size_tokens`, or from blocks times their size where older versions lack it."""
    block = _whole(labels.get("block_size"))
    tokens = _whole(labels.get("kv_cache_size_tokens"))
    blocks = _whole(labels.get("num_gpu_blocks"))
    if tokens is None and blocks is not None and block is not None:
        tokens = blocks * block
    return KvMemory(tokens=tokens, block_size=block)


def kv_memory_of_blocks(blocks: float | None, block_tokens: float | None) -> KvMemory:
    """From the number of blocks and the tokens of one."""
    if not blocks or not block_tokens:
        return KvMemory(tokens=None, block_size=None)
    return KvMemory(tokens=round(blocks * block_tokens), block_size=round(block_tokens))


def _whole(text: str | None) -> int | None:
    """A whole number above 0; labels also say `None`."""
    if text is None or not (text.isascii() and text.isdecimal() and len(text) <= 12):
        return None
    return int(text) or None

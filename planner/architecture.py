"""What a model's shape says: parameters, weight bytes, bytes of KV a token, work a token.

From the columns of `catalogue/hardware/models.csv` and the few facts they lack. Where the shape does not determine
the answer (hybrid state-space layers, compressed attention of unknown ranks) the answer is None, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

WEIGHT_BYTES = {"bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5625, "int4": 0.5625, "q4_k_m": 0.605}
"""Bytes a parameter of a linear layer; the 4-bit formats carry one byte of scale for 16 parameters. GGUF's usual form,
Q4_K_M, takes 4.84 bits (llama.cpp, examples/quantize/README.md, Llama 2 7B)."""

_EMBEDDING_BYTES = 2.0
"""Embeddings and the output head stay in 16 bits in every quantised checkpoint we know."""

_MLA_ROPE, _MLA_NOPE, _MLA_VALUE, _MLA_QUERY_RANK = 64, 128, 128, 1536
"""Latent attention of DeepSeek-V3 (arXiv 2412.19437, §4.2): rotary, plain and value widths a head, and query rank."""

_TIED = frozenset({"Qwen3-0.6B", "Qwen3-1.7B", "Qwen3-VL-2B-Instruct", "Qwen3-VL-4B-Instruct"})
"""Models whose output head is the embedding (`tie_word_embeddings` in their published configuration)."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Facts of a family of mixtures of experts that the table lacks, from the published configurations."""

    dense_layers: int = 0
    """First layers with a plain feed-forward block."""
    shared_experts: int = 0
    """Experts that every token passes, of the routed experts' width."""


_MIXTURES = {
    "Qwen3MoeForCausalLM": Mixture(),
    "Qwen3VLMoeForConditionalGeneration": Mixture(),
    "MixtralForCausalLM": Mixture(),
    "GptOssForCausalLM": Mixture(),
    "MiniMaxM2ForCausalLM": Mixture(),
    "DeepseekV3ForCausalLM": Mixture(dense_layers=3, shared_experts=1),
    "DeepseekV32ForCausalLM": Mixture(dense_layers=3, shared_experts=1),
    "KimiK25ForConditionalGeneration": Mixture(dense_layers=1, shared_experts=1),
}
_DENSE = frozenset({"LlamaForCausalLM", "Qwen3ForCausalLM", "Qwen3VLForConditionalGeneration", "MiMoForCausalLM"})
_HALF_WINDOWED = frozenset({"GptOssForCausalLM"})
"""Every second layer attends to a short window only, so its KV does not grow with the context."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Counts of parameters."""

    linear: float
    """In linear layers, all experts counted."""
    active: float
    """In linear layers, that one token passes through (the output head not counted)."""
    embedding: float
    """In the embedding."""
    head: float
    """In the output head; 0 where it is the embedding."""
    per_expert: float
    """In one expert of all layers together; 0 for a dense model."""

    @property
    def total(self) -> float:
        """All of them."""
        return self.linear + self.embedding + self.head


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """One row of the table of models; widths and counts, None where the row has none."""

    name: str
    architecture: str
    hidden: int
    layers: int | None
    heads: int
    kv_heads: int | None
    head_dim: int | None
    intermediate: int | None
    experts: int | None
    experts_per_token: int | None
    expert_intermediate: int | None
    kv_lora_rank: int | None
    vocabulary: int
    max_positions: int

    @property
    def latent_attention(self) -> bool:
        """Whether KV is one latent vector a token that every GPU of a tensor-parallel group keeps in full."""
        return self.kv_lora_rank is not None and self.architecture in _MIXTURES

    @property
    def parameters(self) -> Parameters | None:
        """Counts from the shape (norms and biases, below 0.1 %, left out), or None where the shape does not say."""
        if self.layers is None or self.architecture not in _DENSE | _MIXTURES.keys():
            return None
        attention = self._attention()
        embedding = float(self.vocabulary * self.hidden)
        head = 0.0 if self.name.rpartition("/")[2] in _TIED else embedding
        if self.experts is None:
            if self.intermediate is None:
                return None
            linear = self.layers * (attention + 3.0 * self.hidden * self.intermediate)
            return Parameters(linear=linear, active=linear, embedding=embedding, head=head, per_expert=0.0)
        return self._mixture(attention, embedding, head)

    def _mixture(self, attention: float, embedding: float, head: float) -> Parameters | None:
        width = self.expert_intermediate or self.intermediate
        if self.layers is None or self.experts is None or self.experts_per_token is None or width is None:
            return None
        facts = _MIXTURES[self.architecture]
        # Kimi-K2 shares DeepSeek's architecture name and has one dense layer (its published configuration).
        dense = 1 if "Kimi" in self.name else facts.dense_layers
        routed = self.layers - dense
        expert = 3.0 * self.hidden * width
        rest = self.layers * attention + dense * 3.0 * self.hidden * (self.intermediate or width)
        rest += routed * (facts.shared_experts * expert + self.hidden * self.experts)
        return Parameters(
            linear=rest + routed * self.experts * expert,
            active=rest + routed * self.experts_per_token * expert,
            embedding=embedding,
            head=head,
            per_expert=routed * expert,
        )

    def _attention(self) -> float:
        """Parameters of one layer's attention."""
        if self.latent_attention:
            assert self.kv_lora_rank is not None
            query = self.hidden * _MLA_QUERY_RANK + _MLA_QUERY_RANK * self.heads * (_MLA_NOPE + _MLA_ROPE)
            latent = self.hidden * (self.kv_lora_rank + _MLA_ROPE)
            expand = self.kv_lora_rank * self.heads * (_MLA_NOPE + _MLA_VALUE)
            return float(query + latent + expand + self.heads * _MLA_VALUE * self.hidden)
        width = self._head_width
        return float(2 * self.hidden * width * (self.heads + (self.kv_heads or self.heads)))

    @property
    def _head_width(self) -> int:
        return self.head_dim or self.hidden // self.heads

    def weight_bytes(self, precision: str) -> float | None:
        """Bytes of the weights of one replica at a precision of `WEIGHT_BYTES`."""
        count = self.parameters
        if count is None or precision not in WEIGHT_BYTES:
            return None
        return count.linear * WEIGHT_BYTES[precision] + (count.embedding + count.head) * _EMBEDDING_BYTES

    def kv_bytes_per_token(self, *, tensor_parallel: int = 1, bytes_per_value: float = 2.0) -> float | None:
        """Bytes of KV that one token takes on *one* GPU of a tensor-parallel group.

        Grouped-query heads are shared out, at least one a GPU; a latent vector is kept by every GPU in full.
        """
        if self.layers is None or self.parameters is None:
            return None
        if self.latent_attention:
            assert self.kv_lora_rank is not None
            return self.layers * (self.kv_lora_rank + _MLA_ROPE) * bytes_per_value
        heads = max(1.0, (self.kv_heads or self.heads) / tensor_parallel)
        growing = self.layers / 2 if self.architecture in _HALF_WINDOWED else self.layers
        return 2.0 * growing * heads * self._head_width * bytes_per_value

"""Profiles of Triton's two kinds, to be simulated."""

TRITON = """
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {name: reranker}
spec:
  engine: triton
  model: bge-reranker-base
  gpu: {type: A10G-24GB}
  limits: {maxBatchSize: 8, maxQueueDelay: 0.01}
  serviceTime: [{batch: 1, mean: 0.028, cv: 0.02}, {batch: 8, mean: 0.084, cv: 0.02}]
"""
TRTLLM = """
apiVersion: replicast.dev/v1alpha1
kind: EngineProfile
metadata: {name: chat}
spec:
  engine: triton-trtllm
  model: llama
  gpu: {type: A100-SXM4-80GB}
  limits: {maxNumSeqs: 128, maxNumBatchedTokens: 8192, kvCacheTokens: 399296, kvBlockSize: 64}
  stepTime: {base: 9.0e-3, perPrefillToken: 6.0e-5, perDecodeSequence: 8.0e-5, perKvToken: 3.0e-8}
"""

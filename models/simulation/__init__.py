"""A step simulator of continuous-batching replicas, independent of the analytic model.

It shares no formula with `models.continuous_batching`: it schedules step by step as vLLM V1 does and counts.
"""

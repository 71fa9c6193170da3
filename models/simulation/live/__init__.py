"""Simulated replicas that go on from moment to moment: who asks says until when, what was seen is counted as it comes.

The rules are those of `models.simulation`; a test holds both to the same latencies.
"""

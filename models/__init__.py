"""Pure mathematics of LLM serving capacity: numbers in, numbers out.

Nothing here reads a file, a clock, the network or the environment. Times are seconds, lengths are tokens,
rates are per second. `planner` builds on this package; this package imports neither `planner` nor `controller`.
"""

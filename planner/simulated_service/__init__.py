"""A service that a simulation serves: replicas that show what real ones do at /metrics, in the engines' own text."""

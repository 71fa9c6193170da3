"""The Kubernetes controller. So far only its way to Prometheus, which `planner profile from-prometheus` goes too."""

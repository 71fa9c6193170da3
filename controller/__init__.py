"""The Kubernetes controller. Nothing is here yet: the planner comes first, and the controller will call it."""

"""The pure rules of Kubernetes: admission, quota, rollout, eviction and controller arithmetic.

Every function takes plain manifests (``dict``) or numbers and returns values; nothing reads a clock, draws a random
number or changes its input. Each module names the upstream files it follows.
"""

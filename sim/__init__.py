"""What happens over time: placement, platform processes, requests, replications, metrics.

SimPy is the clock. This package imports ``models`` and never ``reports``.
"""

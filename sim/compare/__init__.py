"""Two platforms side by side: what changed, what that uses, and which verdicts it brings or takes away."""

from sim.compare.compare import Part, compare

__all__ = ["Part", "compare"]

"""GitOps: what Argo CD and Flux deploy from the repository that is being read, and whole trees with charts and all."""

from models.gitops.expand import expand_gitops, render_whole
from models.gitops.substitute import Variables, substitute

__all__ = ["Variables", "expand_gitops", "render_whole", "substitute"]

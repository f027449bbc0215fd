"""``buildMetadata:`` - annotations and labels that say where an object came from and what changed it.

Rules: ``api/resource/origin.go`` and ``api/krusty/kustomizer.go`` of Kustomize v5.5.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

ORIGIN_ANNOTATION = "config.kubernetes.io/origin"
TRANSFORMATIONS_ANNOTATION = "alpha.config.kubernetes.io/transformations"
MANAGED_BY = ("app.kubernetes.io/managed-by", "kustomize-v5.5.0")
"""The label that ``managedByLabel`` sets."""


@dataclass(frozen=True)
class BuildOrigin:
    """Where Kustomize says a resource, or a change to it, comes from."""

    path: str = ""
    configured_in: str = ""
    configured_by: tuple[tuple[str, str], ...] = ()

    def below(self, path: str) -> BuildOrigin:
        """The origin of what ``path`` names from here."""
        return replace(self, path=posixpath.normpath(posixpath.join(self.path, path)))

    def by_builtin(self, kustomization: str, plugin: str) -> BuildOrigin:
        """The origin of what a built-in plugin does for the kustomization file here."""
        return BuildOrigin(
            "",
            posixpath.normpath(posixpath.join(self.path, kustomization)),
            (("apiVersion", "builtin"), ("kind", plugin)),
        )

    def lines(self) -> list[str]:
        """As YAML lines."""
        lines = [f"path: {self.path}"] if self.path else []
        if self.configured_in:
            lines.append(f"configuredIn: {self.configured_in}")
        if self.configured_by:
            lines.append("configuredBy:")
            lines.extend(f"  {key}: {value}" for key, value in self.configured_by if value)
        return lines


def origin_text(origin: BuildOrigin) -> str:
    """The value of the origin annotation."""
    return "".join(f"{line}\n" for line in origin.lines())


def transformations_text(origins: list[BuildOrigin]) -> str:
    """The value of the transformations annotation."""
    text = ""
    for origin in origins:
        for index, line in enumerate(origin.lines()):
            text += f"{'  ' if index else '- '}{line}\n"
    return text

"""``buildMetadata:`` - annotations and labels that say where an object came from and what changed it.

Rules: ``api/resource/origin.go`` and ``api/krusty/kustomizer.go`` of Kustomize v5.5.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from models.yamldoc.scalars import STR, resolve

ORIGIN_ANNOTATION = "config.kubernetes.io/origin"
TRANSFORMATIONS_ANNOTATION = "alpha.config.kubernetes.io/transformations"
MANAGED_BY = ("app.kubernetes.io/managed-by", "kustomize-(devel)")
"""The label that ``managedByLabel`` sets; kubectl does not know the version of the Kustomize inside it."""


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

    def text(self, *, item: bool = False) -> str:
        """As YAML; as the item of a list when asked."""
        lines = [f"path: {self.path}"] if self.path else []
        if self.configured_in:
            lines.append(f"configuredIn: {self.configured_in}")
        if self.configured_by:
            lines.append("configuredBy:")
            lines.extend(f"  {key}: {_yaml(value)}" for key, value in self.configured_by if value)
        if item:
            lines = [("  " if index else "- ") + line for index, line in enumerate(lines)]
        return "".join(f"{line}\n" for line in lines)


def _yaml(text: str) -> str:
    """A name as Go's YAML writer puts it: in quotes when it would be read as something else."""
    return f'"{text}"' if resolve(text, True)[0] != STR else text


def origin_path(text: str) -> str:
    """The path in an origin annotation."""
    first = text.partition("\n")[0]
    return first.removeprefix("path: ") if first.startswith("path: ") else ""

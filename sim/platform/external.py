"""Systems outside the cluster that can fail: the internet connection, the edge, registries, storage, authorities."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from sim.platform.log import Story

if TYPE_CHECKING:
    from sim.platform.world import World

INTERNET, EDGE, REGISTRY, CA, STORAGE, OBJECTS, GIT = (
    "internet",
    "cloudflare",
    "registry",
    "letsencrypt",
    "nas",
    "s3",
    "git",
)
KNOWN = (INTERNET, EDGE, REGISTRY, CA, STORAGE, OBJECTS, GIT)
"""Names that scenarios use; ``nas:<server>`` is one server of network storage, matched by ``nas`` as well."""


class Externals:
    """Which outside systems are down, and why. Faults may overlap: each is counted."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._down: dict[str, list[Story]] = {}

    def fail(self, pattern: str, story: Story) -> None:
        """A system stops answering."""
        self._down.setdefault(pattern, []).append(story)
        if pattern == INTERNET:
            self.world.downlink.set_bandwidth(0.0)
        self.world.log("ExternalDown", pattern, f"{pattern} does not answer", story, "error")
        self.world.routes.external_changed()

    def restore(self, pattern: str, story: Story) -> None:
        """A system answers again, unless another fault (told by another ``story``) holds it."""
        held = self._down.get(pattern, [])
        if story in held:
            held.remove(story)
        if not held and pattern in self._down:
            del self._down[pattern]
            if pattern == INTERNET:
                self.world.downlink.set_bandwidth(self.world.scenario.spec.network.downlink)
            self.world.log("ExternalUp", pattern, f"{pattern} answers again")
            self.world.routes.external_changed()

    def why_down(self, name: str) -> Story | None:
        """Why a system does not answer, None while it does. Everything far away needs the internet."""
        for pattern, stories in self._down.items():
            if fnmatchcase(name, pattern) or name.partition(":")[0] == pattern:
                return stories[0]
        if name in (EDGE, REGISTRY, CA, OBJECTS, GIT) and INTERNET in self._down:
            return self._down[INTERNET][0]
        return None

"""The errors that are no reason to stop: something lies on the network, or something that it would bring is absent."""

from __future__ import annotations

from models.errors import Problem, RenderError, Where


class AbsentError(RenderError):
    """A step names an object that is not there; it may be one that a missing chart or remote file would bring."""


class RemoteError(RenderError):
    """A step needs a file that lies on the network; ``name`` is its address."""

    def __init__(self, where: Where, name: str) -> None:
        super().__init__(Problem(where, f"'{name}' is on the network", "put a copy into the tree"))
        self.name = name

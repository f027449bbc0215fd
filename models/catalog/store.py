"""Reading the catalogue files that ship with the package."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """A catalogue entry: immutable, and a key that is not declared is an error in the catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def load_yaml(name: str) -> dict[str, Any]:
    """The catalogue file ``name``, a YAML map."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files("models.catalog").joinpath(name).read_text(encoding="utf-8")
    value = yaml.load(text, Loader=loader)
    if not isinstance(value, dict):
        raise TypeError(f"catalogue {name} is not a map")
    return value

"""Values as a text that every YAML parser reads alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_NOT_ASCII = re.compile(r"[^\x20-\x7e]")


def as_yaml(value: Mapping[str, Any]) -> str:
    """JSON on one line, characters beyond ASCII escaped as YAML does it: JSON's pairs of surrogates are no YAML."""
    return _NOT_ASCII.sub(lambda match: f"\\U{ord(match[0]):08x}", json.dumps(value, ensure_ascii=False))

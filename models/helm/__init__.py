"""Helm charts: found in the tree, in the cache or (only when allowed) at their repository, and rendered for real."""

from models.helm.engine import EngineError, engine_name, render_chart
from models.helm.find import cache_folder, find_chart
from models.helm.lock import LOCK_FILE, Lock
from models.helm.source import ChartSource

__all__ = [
    "LOCK_FILE",
    "ChartSource",
    "EngineError",
    "Lock",
    "cache_folder",
    "engine_name",
    "find_chart",
    "render_chart",
]

"""Objects with anything anywhere: the graph is built, or says less, and never breaks."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest

from models.graph.analysis import findings
from models.graph.build import build_graph
from models.graph.export import to_graphml, to_html, to_json
from models.objects import KubeObject, Rendered
from models.platform import read_platform
from models.render import render_tree

ROOT = Path(__file__).parents[2]
JUNK: tuple[Any, ...] = (None, 3, -1, 1.5, True, "x", "{{", "*", [], {}, [None], [1], {"a": 1}, {"name": 3}, ["a", {}])


@pytest.fixture(scope="module")
def written() -> Rendered:
    return render_tree(ROOT / "scenarios/homelab/overlays/production")


def spoiled(value: Any, chance: float, source: random.Random) -> Any:
    if source.random() < chance:
        return copy.deepcopy(source.choice(JUNK))
    if isinstance(value, dict):
        return {key: spoiled(item, chance, source) for key, item in value.items()}
    if isinstance(value, list):
        return [spoiled(item, chance, source) for item in value]
    return value


@pytest.mark.parametrize("seed", range(12))
def test_spoiled_objects_never_break_the_graph(written: Rendered, seed: int) -> None:
    source = random.Random(seed)
    manifests = [spoiled(item.manifest, (0.01, 0.05, 0.15)[seed % 3], source) for item in written.objects]
    objects = [
        KubeObject(manifest, item.origin)
        for manifest, item in zip(manifests, written.objects, strict=True)
        if isinstance(manifest, dict) and isinstance(manifest.get("kind"), str)
    ]
    platform = read_platform(Rendered(tuple(objects), written.missing, written.roots))
    built = build_graph(platform)
    findings(built, platform)
    assert to_json(built)
    assert to_graphml(built)
    assert to_html(built)

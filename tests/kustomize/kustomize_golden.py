"""The feature corpus and what `kubectl kustomize` v5.5 builds from it.

Each directory of ``corpus/`` is a tree; its root is ``overlay/`` when there is one. ``expected.yaml`` is the oracle's
output, written by ``python tests/kustomize/kustomize_golden.py`` where kubectl or kustomize is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(path.name for path in CORPUS.iterdir())


class OutputLoader(yaml.CSafeLoader):
    """Reads the oracle's output; dates, ``=`` and ``<<`` are plain text there."""


OutputLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith((":timestamp", ":value", ":merge"))]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
for _first in "-+0123456789":
    # a float without a point, which PyYAML takes for text
    OutputLoader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+e[-+][0-9]+$"), [_first])


def root_of(case: str) -> Path:
    """The directory to build."""
    overlay = CORPUS / case / "overlay"
    return overlay if overlay.is_dir() else CORPUS / case


def oracle_command() -> list[str] | None:
    """The command that builds a root with the real thing, or None when it is not installed."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone"]
    if shutil.which("kustomize"):
        return ["kustomize", "build", "--load-restrictor", "LoadRestrictionsNone"]
    return None


def oracle_output(root: Path) -> str:
    """What the oracle prints for ``root``; it must be installed."""
    command = oracle_command()
    assert command is not None
    return subprocess.run([*command, str(root)], capture_output=True, text=True, check=True, timeout=60).stdout


def objects_in(text: str) -> list[Any]:
    """The objects of a multi-document YAML text."""
    return [item for item in yaml.load_all(text, OutputLoader) if item is not None]


if __name__ == "__main__":
    for name in CASES:
        (CORPUS / name / "expected.yaml").write_text(oracle_output(root_of(name)), encoding="utf-8")

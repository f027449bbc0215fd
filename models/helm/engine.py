"""The real Helm: in this process through ``helm-python-sdk`` (extra ``helm``), or the ``helm`` binary on PATH.

Neither contacts a cluster. The package knows no ``--kube-version`` and no ``--api-versions``, so that a chart that asks
for them goes to the binary when there is one.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.documents import parse_documents
from models.errors import InputError
from models.objects import Manifest
from models.yamldoc.escaped import as_yaml

_HOOK = "helm.sh/hook"
_TIMEOUT_S = 120


class EngineError(Exception):
    """Helm would not render the chart; the text is Helm's."""


def engine_name(*, capabilities: bool = False) -> str:
    """Which engine renders here: ``sdk``, ``binary``, or "" when there is none.

    ``capabilities``: the chart wants another Kubernetes version or further API versions.
    """
    binary, package = shutil.which("helm") is not None, find_spec("helm_python") is not None
    if package and not (capabilities and binary):
        return "sdk"
    return "binary" if binary else ""


def render_chart(
    chart: Path,
    values: Mapping[str, Any],
    *,
    release: str,
    namespace: str = "",
    include_crds: bool = False,
    skip_hooks: bool = False,
    skip_tests: bool = False,
    kube_version: str = "",
    api_versions: tuple[str, ...] = (),
) -> list[Manifest]:
    """What ``helm template`` makes of an unpacked chart or an archive.

    Raises:
        EngineError: there is no engine, or Helm refuses the chart or its values.
    """
    which = engine_name(capabilities=bool(kube_version or api_versions))
    if which == "sdk":
        texts = _by_package(chart, values, release, namespace or "default", include_crds)
    elif which == "binary":
        texts = _by_binary(chart, values, release, namespace or "default", include_crds, kube_version, api_versions)
    else:
        raise EngineError("there is neither the package helm-python-sdk nor a helm binary")
    objects = [item for text in texts for item in _manifests(text)]
    return [item for item in objects if not _left_out(item, skip_hooks, skip_tests)]


def _by_package(chart: Path, values: Mapping[str, Any], release: str, namespace: str, include_crds: bool) -> list[str]:
    import helm_python

    try:
        with helm_python.Chart.load(chart) as loaded:
            files = loaded.render(dict(values), name=release, namespace=namespace)
            definitions = [entry["data"] for entry in loaded.crds] if include_crds else []
    except helm_python.HelmError as error:
        raise EngineError(str(error)) from error
    return [*definitions, *(text for name, text in sorted(files.items()) if not name.endswith((".txt", ".tpl")))]


def _by_binary(
    chart: Path,
    values: Mapping[str, Any],
    release: str,
    namespace: str,
    include_crds: bool,
    kube_version: str,
    api_versions: tuple[str, ...],
) -> list[str]:
    command = ["helm", "template", release, str(chart), "--namespace", namespace]
    command += ["--include-crds"] if include_crds else []
    command += ["--kube-version", kube_version] if kube_version else []
    for version in api_versions:
        command += ["--api-versions", version]
    with tempfile.TemporaryDirectory(prefix="stowplan-") as folder:
        file = Path(folder) / "values.yaml"
        file.write_text(as_yaml(values), encoding="utf-8")
        try:
            done = subprocess.run(
                [*command, "--values", str(file)], capture_output=True, check=False, timeout=_TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"helm did not finish within {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise EngineError(done.stderr.decode("utf-8", "replace").strip())
    return [done.stdout.decode("utf-8", "replace")]


def _manifests(text: str) -> Iterator[Manifest]:
    try:
        documents = parse_documents(text, file="the rendered chart")
    except InputError as error:
        raise EngineError(str(error)) from error
    for document in documents:
        value = document.value
        if not isinstance(value, dict) or not value.get("kind"):
            continue
        if str(value["kind"]).endswith("List") and isinstance(value.get("items"), list):
            yield from (item for item in value["items"] if isinstance(item, dict) and item.get("kind"))
        else:
            yield value


def _left_out(item: Manifest, skip_hooks: bool, skip_tests: bool) -> bool:
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    hooks = {part.strip() for part in str(annotations.get(_HOOK) or "").split(",")} - {""}
    return bool(hooks) and (skip_hooks or (skip_tests and bool(hooks & {"test", "test-success", "test-failure"})))

"""``explain``: what would happen to the pods in some files, before they exist."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import typer

from models.cluster import build_cluster
from models.documents import Document, parse_documents, read_documents
from models.errors import InputError, Problem, Where
from models.objects import Manifest, Rendered
from models.render import KUSTOMIZATION_FILES, display_path, find_repository, objects_of, without_secrets
from models.scenario import Cluster
from reports.commands.inspect import parse_nodes
from reports.commands.reading import read_paths
from reports.explain.data import to_data
from reports.explain.text import describe
from sim.explain import explain
from sim.explain.stock import READ_KINDS, take_stock

_GROUPS: Final = {
    "apps/v1": ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"),
    "batch/v1": ("Job", "CronJob"),
    "policy/v1": ("PodDisruptionBudget",),
    "scheduling.k8s.io/v1": ("PriorityClass",),
    "node.k8s.io/v1": ("RuntimeClass",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "storage.k8s.io/v1": ("StorageClass", "CSINode", "CSIDriver", "CSIStorageCapacity", "VolumeAttachment"),
    "kubescheduler.config.k8s.io/v1": ("KubeSchedulerConfiguration",),
    "apiserver.config.k8s.io/v1": ("AdmissionConfiguration", "ResourceQuotaConfiguration"),
}
_VERSIONS: Final = dict.fromkeys(sorted(READ_KINDS), "v1") | {
    kind: version for version, kinds in _GROUPS.items() for kind in kinds
}
"""The apiVersion of every kind that is read, for objects that leave it out."""

_INDENTED: Final = 200
"""So many pods are printed with indentation; more would take long to print and nobody reads them by eye."""


def explain_paths(
    paths: Sequence[Path], nodes: Sequence[str], seed: int, as_json: bool, *, root: Path | None = None
) -> None:
    """Print the answers. Raises InputError with every problem found."""
    rendered = read_objects(paths, root)
    stock = take_stock(rendered, _hardware(nodes))
    explanation = explain(stock, seed=seed)
    if as_json:
        indent = 2 if len(explanation.pods) <= _INDENTED else None
        typer.echo(json.dumps(to_data(explanation, rendered.missing), indent=indent, ensure_ascii=False))
    else:
        typer.echo("\n".join(describe(explanation)))
        for note in explanation.notes:
            typer.echo(f"note: {note}", err=True)
        for kind, count in explanation.ignored.items():
            typer.echo(f"ignored: {count} {kind}: no answer depends on it", err=True)
        for entry in rendered.missing:
            typer.echo(f"not seen: {entry.kind} {entry.what} ({entry.origin}): {entry.reason}", err=True)


def read_objects(paths: Sequence[Path], root: Path | None = None) -> Rendered:
    """The objects of files, folders and standard input (``-``), in order.

    In a file every document must be an object; the apiVersion of a kind that is read may be left out. Raises
    InputError with every problem found.
    """
    total = Rendered()
    problems: list[Problem] = []
    for path in paths:
        try:
            if str(path) == "-":
                total += _objects(parse_documents(sys.stdin.buffer.read(), file="stdin"))
            elif path.is_file() and path.name not in KUSTOMIZATION_FILES:
                display = display_path(path, (root or find_repository(path)).resolve())
                total += _objects(read_documents(path, display=display))
            else:
                total += read_paths([path], root=root)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    return total


def _objects(documents: Sequence[Document]) -> Rendered:
    problems: list[Problem] = []
    completed = [replace(item, value=_completed(item.value, item, (), problems)) for item in documents]
    if problems:
        raise InputError(problems)
    return without_secrets(objects_of(completed, documents[0].file if documents else ""))


def _completed(value: Any, document: Document, path: tuple[str | int, ...], problems: list[Problem]) -> Any:
    """The object, or list of objects, with every apiVersion that goes without saying."""
    where = Where(document.file, document.line_of(path) if path else document.line, ".".join(map(str, path)) or None)
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or not kind:
        problems.append(Problem(where, "this is not a Kubernetes object: it has no kind", "write kind and apiVersion"))
        return value
    items = value.get("items")
    if kind.endswith("List") and isinstance(items, list):
        listed = [_completed(item, document, (*path, "items", index), problems) for index, item in enumerate(items)]
        return {"apiVersion": "v1", **value, "items": listed}
    if value.get("apiVersion"):
        return value
    if kind not in _VERSIONS:
        problems.append(
            Problem(where, f"the {kind} has no apiVersion", "write it: this kind is not one of Kubernetes'")
        )
        return value
    return {"apiVersion": _VERSIONS[kind], **{key: item for key, item in value.items() if key != "apiVersion"}}


def _hardware(nodes: Sequence[str]) -> list[Manifest]:
    """Node objects for ``3xm920q:server`` and the like."""
    if not nodes:
        return []
    return [node.manifest for node in build_cluster(Cluster(nodes=parse_nodes(nodes))).nodes]

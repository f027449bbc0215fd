"""Kustomize in pure Python: what ``kubectl kustomize --load-restrictor LoadRestrictionsNone`` (v5.5) builds.

Charts, remote files and plugins are listed as missing instead of stopping the build; everything else is kept.
"""

from __future__ import annotations

from pathlib import Path

from models.errors import Problem, RenderError, Where
from models.kustomize.accumulator import Accumulator
from models.kustomize.charts import ChartRenderer, ChartRequest
from models.kustomize.fieldspecs import ORDER_FIRST, ORDER_LAST
from models.kustomize.kustomization import Kustomization
from models.kustomize.loader import KUSTOMIZATION_NAMES, Files, enclosing_repository
from models.kustomize.metadata import (
    MANAGED_BY,
    ORIGIN_ANNOTATION,
    TRANSFORMATIONS_ANNOTATION,
    BuildOrigin,
)
from models.kustomize.names import add_hashes, set_string_entries
from models.kustomize.references import fix_references
from models.kustomize.resource import Gvk, ResMap, Resource, validated
from models.kustomize.state import BuildState
from models.kustomize.target import METADATA_LABELS, Target
from models.kustomize.variables import resolve_vars
from models.objects import KubeObject, Manifest, Rendered

__all__ = ["KUSTOMIZATION_NAMES", "ChartRenderer", "ChartRequest", "build", "is_kustomization_root"]

LOCAL_CONFIG = "config.kubernetes.io/local-config"
BUILD_METADATA = ("managedByLabel", "originAnnotations", "transformerAnnotations")


def is_kustomization_root(directory: Path) -> bool:
    """Whether ``directory`` holds a kustomization file."""
    return any((directory / name).is_file() for name in KUSTOMIZATION_NAMES)


def build(
    root: Path,
    *,
    repository: Path | None = None,
    restrict: bool = False,
    charts: ChartRenderer | None = None,
    beside: Path | None = None,
) -> Rendered:
    """Build the kustomization in ``root``.

    Args:
        root: a directory with a kustomization file (or that file).
        repository: nothing outside of it is read; the enclosing git work tree by default.
        restrict: refuse files that are not below the kustomization that names them, as Kustomize does by default.
        charts: renders ``helmCharts``; what it returns None for is listed as missing.
        beside: another directory that may be read.

    Returns:
        The objects in Kustomize's order, each with its file (relative to the repository) and line, and what is missing.

    Raises:
        InputError: the tree cannot be read.
        RenderError: Kustomize could not build it either, for another reason than a chart, a remote file or a plugin;
            or something nests too deeply to be followed.
    """
    try:
        return _build(root, repository, restrict, charts, beside)
    except RecursionError as error:
        what = "something in this tree, a path or what patches made, nests too deeply"
        raise RenderError(Problem(Where(str(root)), what, "flatten it")) from error


def _build(
    root: Path, repository: Path | None, restrict: bool, charts: ChartRenderer | None, beside: Path | None
) -> Rendered:
    real = root.resolve()
    if real.is_file() and real.name in KUSTOMIZATION_NAMES:
        real = real.parent
    if not real.is_dir():
        raise RenderError(Problem(Where(str(root)), "must build at directory", "name a directory"))
    confined = repository.resolve() if repository is not None else enclosing_repository(real)
    files = Files(confined, restrict, beside.resolve() if beside is not None else None)
    if not files.may_read(real):
        raise RenderError(Problem(Where(str(root)), f"lies outside of the repository {confined}", "name a wider root"))
    state = BuildState(files, charts)
    target = Target(real, state)
    kustomization = target.kustomization
    state.build_metadata = tuple(kustomization.items("buildMetadata"))
    if state.build_metadata:
        target.origin = BuildOrigin()
    target.use_schema(root=True)
    gathered = target.accumulate(Accumulator())
    add_hashes(gathered.resources)
    fix_references(gathered.resources, gathered.config.name_reference)
    resolve_vars(gathered.resources, gathered.variables, gathered.config.var_reference, state)
    for item in gathered.resources:
        validated(item.tree, Where(item.origin.file, item.origin.line))
    resources = ResMap()
    resources.append_all(item for item in gathered.resources if not _is_local(item))
    ordered = _ordered(resources, kustomization)
    _label_manager(ordered, state)
    objects = tuple(KubeObject(_finished(item, state), item.origin) for item in ordered)
    return Rendered(objects, tuple(state.missing), (state.files.display(real),))


def _is_local(item: Resource) -> bool:
    return item.annotations.get(LOCAL_CONFIG, "false") != "false"


def _label_manager(resources: ResMap, state: BuildState) -> None:
    if "managedByLabel" in state.build_metadata:
        set_string_entries(resources, dict([MANAGED_BY]), [METADATA_LABELS])


def _finished(item: Resource, state: BuildState) -> Manifest:
    annotations = item.annotations
    if "originAnnotations" not in state.build_metadata:
        annotations.pop(ORIGIN_ANNOTATION, None)
    if "transformerAnnotations" not in state.build_metadata:
        annotations.pop(TRANSFORMATIONS_ANNOTATION, None)
    item.set_string_map("annotations", annotations)
    return item.finish()


def _ordered(resources: ResMap, kustomization: Kustomization) -> ResMap:
    """The resources in Kustomize's legacy order, or as ``sortOptions`` says."""
    options = kustomization.get("sortOptions")
    first, last = list(ORDER_FIRST), list(ORDER_LAST)
    if options is not None:
        order = options.get("order") or ""
        legacy = options.get("legacySortOptions")
        if order not in ("fifo", "legacy"):
            raise kustomization.error(
                "the field 'sortOptions.order' must be one of [fifo, legacy]", "sortOptions", "order"
            )
        if order == "fifo":
            if legacy is not None:
                raise kustomization.error(
                    "the field 'sortOptions.legacySortOptions' is set but the selected sort order is 'fifo',"
                    " not 'legacy'",
                    "sortOptions",
                )
            return resources
        if legacy is not None:
            first, last = legacy.get("orderFirst") or [], legacy.get("orderLast") or []
    rank = {kind: index - len(first) for index, kind in enumerate(first)}
    rank.update({kind: index + 1 for index, kind in enumerate(last)})

    def key(item: Resource) -> tuple[int, str, str]:
        gvk: Gvk = item.gvk
        # of things called Namespace, the real ones come first
        no_group = "" if gvk.kind == "Namespace" else "~G"
        sort_text = f"{gvk.group or no_group}_{gvk.version or '~V'}_{gvk.kind or '~K'}"
        return rank.get(gvk.kind, 0), sort_text, f"{gvk}|{item.namespace or '~X'}|{item.name or '~N'}"

    return ResMap(sorted(resources, key=key))

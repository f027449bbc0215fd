"""From the objects of a tree to everything that its GitOps controllers make of them.

Each Application, Flux Kustomization and HelmRelease is followed once; what it brings may hold further ones. An object
that the tree already renders is not added a second time.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.gitops import argo, flux, k3s
from models.gitops.clusters import is_cluster
from models.gitops.folders import Tree, read_file
from models.gitops.unlisted import unlisted
from models.gitops.wrappers import chart_folders, install
from models.helm.source import ChartSource
from models.objects import KubeObject, Missing, ObjectKey, Origin, Rendered, dig
from models.operators.kinds import CLUSTER_SCOPED
from models.render import (
    NothingHereError,
    find_repository,
    kustomization_file,
    render_tree,
    walk_manifests,
    without_secrets,
)
from models.yamldoc.lines import Lines

_ROUNDS = 20
"""How deep Applications may bring Applications; more is a cycle of generated names."""
_LOOSE_BYTES = 1_000_000
"""Larger files are not searched for GitOps objects that no kustomization lists."""


def render_whole(
    path: Path,
    *,
    repository: Path | None = None,
    renderer: str = "builtin",
    fetch: bool = False,
    model: bool = True,
    expand: bool = True,
    show_secrets: bool = False,
    cache: Path | None = None,
) -> Rendered:
    """What ``path`` renders to with its charts, and what GitOps controllers deploy from there.

    Args:
        fetch: download pinned charts that are neither in the tree nor in the cache.
        model: let the chart catalogue stand in for charts that cannot be had.
        expand: follow Argo CD's and Flux's objects.
        cache: the folder of downloaded charts.

    Raises:
        InputError: as :func:`models.render.render_tree`.
    """
    root = (repository or find_repository(path)).resolve()
    charts = ChartSource(root, model=model, fetch=fetch, cache=cache)
    lone = chart_folders(path.resolve()) if expand else []
    # A patch may name an object that the real chart makes and its model does not: then do without models there.
    # What no root of several can do without is told of it alone.
    spare = ChartSource(root, fetch=fetch, cache=cache) if model else None
    try:
        rendered = render_tree(
            path, repository=root, renderer=renderer, charts=charts, show_secrets=True, keep_going=True, spare=spare
        )
    except NothingHereError:
        if not lone:
            raise
        rendered = Rendered(roots=(".",))
    if expand:
        loose = _with_loose(rendered, path, Tree(root, charts))
        extra = {id(item) for item in loose.objects[len(rendered.objects) :]}
        rendered = _once(expand_gitops(loose, root, charts, lone), extra)
        rendered += Rendered((), tuple(unlisted(path.resolve(), root, rendered)))
    rendered = replace(charts.account(rendered), lines=Lines((str(root),)))
    return rendered if show_secrets else without_secrets(rendered)


def expand_gitops(rendered: Rendered, repository: Path, charts: ChartSource, lone: Sequence[Path] = ()) -> Rendered:
    """``rendered`` and all that its Applications, Flux Kustomizations and HelmReleases add to it.

    ``lone``: charts of the tree, each of which is installed by itself when nothing else has installed it by then.
    """
    state = _State(Tree(repository.resolve(), charts), list(rendered.objects), list(rendered.missing))
    state.known = flux.index(state.objects)
    state.tree.clusters.learn(rendered.objects)
    for item in rendered.objects:
        state.initial.setdefault(item.origin, []).append(item)
    state.keys = {item.key for item in rendered.objects}
    state.done = set(rendered.roots) - {".", ""}
    state.roots = list(rendered.roots)
    _follow_all(state)
    for folder in lone:
        if folder.resolve() not in charts.used:
            state.add(install(state.tree, folder), folder.name)
            _follow_all(state)
    return Rendered(tuple(state.objects), tuple(state.missing), tuple(state.roots))


def _follow_all(state: _State) -> None:
    for _ in range(_ROUNDS):
        before = len(state.followed)
        bringers = [item for item in state.objects if not _is_release(item)]
        for item in state.first(bringers):
            state.follow(item)
        if len(state.followed) == before:
            # Some variables come from nowhere in the tree.
            for item in state.first(bringers, patient=False):
                state.follow(item)
        if len(state.followed) == before:
            # What is left waits for one another.
            for item in bringers:
                state.follow(item)
        if len(state.followed) > before:
            # Releases wait until every Kustomization that may patch or fill them has had its turn.
            continue
        for item in list(state.objects):
            state.follow(item)
        if len(state.followed) == before:
            break


def _with_loose(rendered: Rendered, path: Path, tree: Tree) -> Rendered:
    """``rendered`` with the Applications and Flux Kustomizations that stand in files no kustomization lists.

    So do the charts that k3s installs from a folder of its servers, and Argo CD's cluster Secrets. A folder of such
    Kustomizations is what Flux was started with: its variables and sources count as well.
    """
    if not path.is_dir():
        return rendered
    keys = {item.key for item in rendered.objects}
    found: list[KubeObject] = []
    for folder in walk_manifests(path.resolve()):
        if kustomization_file(folder) is not None:
            continue
        files = [file for file in sorted(folder.iterdir()) if file.suffix in (".yaml", ".yml") and file.is_file()]
        bringers = [
            item
            for file in files
            if _mentions_gitops(file)
            for item in read_file(tree, file).objects
            if (_brings_folders(item) or is_cluster(item) or item.group == k3s.GROUP) and item.key not in keys
        ]
        found += bringers
        if any(flux.is_kustomization(item) for item in bringers):
            found += [
                item
                for file in files
                if file.stat().st_size <= _LOOSE_BYTES
                for item in read_file(tree, file).objects
                if _fills_variables(item) and item.key not in keys
            ]
    return rendered + Rendered(tuple(found), _several_clusters((*rendered.objects, *found)))


def _once(rendered: Rendered, extra: Container[int]) -> Rendered:
    """Without those of the ``extra`` objects (by identity) that are there already: several clusters have the same."""
    keys: set[ObjectKey] = set()
    kept = []
    for item in rendered.objects:
        if item.key not in keys or id(item) not in extra:
            kept.append(item)
        keys.add(item.key)
    return replace(rendered, objects=tuple(kept))


def _fills_variables(item: KubeObject) -> bool:
    return item.group == flux.SOURCE_GROUP or (item.group == "" and item.kind in ("ConfigMap", "Secret"))


def _several_clusters(objects: Sequence[KubeObject]) -> tuple[Missing, ...]:
    """One entry when Kustomizations of one name apply different folders: a tree of several clusters read as one."""
    first: dict[ObjectKey, KubeObject] = {}
    for item in objects:
        other = first.setdefault(item.key, item)
        if flux.is_kustomization(item) and item.spec.get("path") != other.spec.get("path"):
            what = f"difference between {other.origin.file} and {item.origin.file}"
            reason = f"both have Kustomization {item.key.namespace}/{item.name}: several clusters are read as one"
            hides = "objects that the clusters call the same; name the folder of one cluster to see it alone"
            return (Missing("generator", what, item.origin, reason, hides),)
    return ()


def _mentions_gitops(file: Path) -> bool:
    try:
        content = file.read_bytes() if file.stat().st_size <= _LOOSE_BYTES else b""
    except OSError:
        return False
    return any(group.encode() in content for group in (flux.KUSTOMIZE_GROUP, argo.GROUP, k3s.GROUP))


def _is_release(item: KubeObject) -> bool:
    return flux.is_helm_release(item) or k3s.is_helm_chart(item)


def _brings_folders(item: KubeObject) -> bool:
    return flux.is_kustomization(item) or (item.group == argo.GROUP and item.kind in ("Application", "ApplicationSet"))


@dataclass
class _State:
    """What is known so far."""

    tree: Tree
    objects: list[KubeObject]
    missing: list[Missing]
    keys: set[ObjectKey] = field(default_factory=set)
    done: set[str] = field(default_factory=set)
    roots: list[str] = field(default_factory=list)
    followed: set[tuple[ObjectKey, str]] = field(default_factory=set)
    known: dict[tuple[str, str, str], list[KubeObject]] = field(default_factory=dict)
    """The objects as Flux looks them up."""
    initial: dict[Origin, list[KubeObject]] = field(default_factory=dict)
    """What the tree rendered by itself, by the place where it stands."""

    def first(self, items: list[KubeObject], *, patient: bool = True) -> list[KubeObject]:
        """Those of ``items`` whose files no other Kustomization will apply that has not had its turn.

        A parent may patch its children (with variables, or with patches of their releases), so that it goes first; so
        does, for the ``patient``, whoever may bring the variables of another one.
        """
        parents = [
            (item, path.strip("/").removeprefix("./"))
            for item in items
            if flux.is_kustomization(item)
            and (path := str(item.spec.get("path") or "").rstrip("/")) not in ("", ".")
            and (item.key, item.origin.file) not in self.followed
        ]

        def waits(item: KubeObject) -> bool:
            file = item.origin.file
            if patient and not flux.has_sources(item, self.known):
                return True
            return any(file.startswith(f"{path}/") for parent, path in parents if parent is not item)

        return [item for item in items if not flux.is_kustomization(item) or not waits(item)]

    def follow(self, item: KubeObject) -> None:
        """Add what one object brings, the first time it is seen."""
        for bringer in self._bringers(item):
            mark = (bringer.key, bringer.origin.file)
            if mark in self.followed:
                continue
            self.followed.add(mark)
            if bringer.group == argo.GROUP:
                namespace = str(dig(bringer.manifest, "spec", "destination", "namespace") or "")
                for found in argo.application_objects(self.tree, bringer, self.done):
                    self.add(found, namespace)
            elif flux.is_kustomization(bringer):
                self._flux(bringer)
            elif k3s.is_helm_chart(bringer):
                found = k3s.helm_chart_objects(self.tree, bringer, self.objects)
                self.add(found, str(bringer.spec.get("targetNamespace") or bringer.namespace))
            else:
                found = flux.helm_release_objects(self.tree, bringer, self.known)
                self.add(found, str(bringer.spec.get("targetNamespace") or bringer.namespace))

    def _bringers(self, item: KubeObject) -> Iterator[KubeObject]:
        if item.group == argo.GROUP:
            yield from argo.applications(self.tree, item)
        elif flux.is_kustomization(item) or _is_release(item):
            yield item

    def _flux(self, item: KubeObject) -> None:
        found = flux.kustomization_objects(self.tree, item, self.known)
        self.add(found, str(item.spec.get("targetNamespace") or ""))

    def add(self, found: Rendered, namespace: str) -> None:
        """Add objects; what the tree itself rendered of the same lines, less determined, gives way to them."""
        arrived = [_placed(item, namespace) for item in found.objects]
        stale = {
            id(entry): entry for item in arrived for entry in self.initial.get(item.origin, ()) if _is_raw(entry, item)
        }
        if stale:
            self.keys -= {entry.key for entry in stale.values()}
            self.objects = [entry for entry in self.objects if id(entry) not in stale]
            for key, left in flux.index(stale.values()).items():
                # A list that becomes empty must go: the keys are counted.
                kept = [entry for entry in self.known.pop(key, []) if not any(entry is gone for gone in left)]
                if kept:
                    self.known[key] = kept
            for origin in {entry.origin for entry in stale.values()}:
                self.initial[origin] = [entry for entry in self.initial[origin] if id(entry) not in stale]
        self.tree.clusters.learn(arrived)
        for placed in arrived:
            if placed.key not in self.keys:
                self.keys.add(placed.key)
                self.objects.append(placed)
                self.known.setdefault((placed.kind, placed.namespace, placed.name), []).append(placed)
        self.missing += [entry for entry in found.missing if entry not in self.missing]
        self.roots += [root for root in found.roots if root and root not in self.roots]


def _is_raw(raw: KubeObject, item: KubeObject) -> bool:
    """Whether ``raw`` is ``item`` as it stands in the file: the same object, or one without namespace or variables."""
    if raw.kind != item.kind:
        return False
    # A prefix or suffix leaves the name in it.
    same_name = raw.name in item.name or "${" in raw.name
    return raw.key == item.key or (same_name and (raw.namespace in ("", item.namespace) or "${" in raw.namespace))


def _placed(item: KubeObject, namespace: str) -> KubeObject:
    if (
        not namespace
        or item.namespace
        or item.kind in CLUSTER_SCOPED
        or not isinstance(item.manifest.get("metadata"), dict)
    ):
        return item
    return KubeObject({**item.manifest, "metadata": {**item.metadata, "namespace": namespace}}, item.origin)

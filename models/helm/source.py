"""One object that answers every request for a chart: the real chart if it can be had, else its model, else nothing.

It remembers what it modelled and why, and :meth:`ChartSource.account` marks those objects in what was rendered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.charts import Modelled, UnreadableValuesError, model_chart
from models.errors import Problem, RenderError, Where
from models.helm.dependencies import missing_dependencies
from models.helm.engine import EngineError, engine_name, render_chart
from models.helm.fetch import fetch_chart, sha256
from models.helm.find import base_name, cache_folder, cached_archive, find_chart
from models.helm.libraries import without_unknown_calls
from models.helm.lock import Lock
from models.kustomize.charts import Approximate, ChartRequest
from models.objects import KubeObject, Manifest, Missing, Origin, Rendered


class ChartSource:
    """Renders charts; give it as ``charts`` to the renderer of a tree.

    Args:
        repository: the root of the tree; charts are looked up in it, and its lock file is kept there.
        model: let the chart catalogue stand in for charts that cannot be had.
        fetch: download pinned charts that are neither in the tree nor in the cache.
        cache: the folder of downloaded charts.
    """

    def __init__(
        self, repository: Path, *, model: bool = False, fetch: bool = False, cache: Path | None = None
    ) -> None:
        self.repository = repository.resolve()
        self.model, self.fetch = model, fetch
        self.cache = cache or cache_folder()
        self.used: set[Path] = set()
        """The folders of the tree's own charts that something asked for."""
        self._modelled: dict[Origin, list[tuple[ChartRequest, Modelled]]] = {}
        self._lacking: dict[Origin, list[ChartRequest]] = {}
        self._reasons: dict[Origin, str] = {}
        self._left_out: dict[Origin, tuple[Path, ...]] = {}

    def __call__(self, request: ChartRequest) -> list[Manifest] | None:
        """The objects of a chart, or None when it can neither be had nor modelled."""
        chart = self._found(request)
        if chart is not None:
            self.used.add(chart.resolve())
        real = self._rendered(request, chart) if chart is not None else None
        if real is None and chart is not None:
            real = self._without_library(request, chart)
        if real is not None and chart is not None:
            return [*real, *self._dependencies(request, chart)]
        made = self._model(request) if self.model else None
        if made is None:
            return None
        self._modelled.setdefault(request.origin, []).append((request, made))
        return Approximate(made.objects)

    def _model(self, request: ChartRequest) -> Modelled | None:
        try:
            return model_chart(request)
        except UnreadableValuesError as error:
            self._reasons.setdefault(request.origin, str(error))
            return None

    def _dependencies(self, request: ChartRequest, chart: Path) -> list[Manifest]:
        """What the dependencies bring that the chart does not carry; those that cannot be had are noted."""
        found: list[Manifest] = []
        for needed in missing_dependencies(chart, request):
            made = self(needed)
            if made is None:
                self._lacking.setdefault(request.origin, []).append(needed)
            found += made or []
        return found

    def _found(self, request: ChartRequest) -> Path | None:
        try:
            return self._locate(request)
        except EngineError as error:
            self._explain(request, error)
            return None

    def _rendered(self, request: ChartRequest, chart: Path) -> list[Manifest] | None:
        try:
            return render_chart(
                chart,
                request.values,
                release=request.release or base_name(request.name),
                namespace=request.namespace,
                include_crds=request.include_crds,
                skip_hooks=request.skip_hooks,
                skip_tests=request.skip_tests,
                kube_version=request.kube_version,
                api_versions=request.api_versions,
            )
        except EngineError as error:
            self._explain(request, error)
            return None

    def _without_library(self, request: ChartRequest, chart: Path) -> list[Manifest] | None:
        """What a chart of the tree makes without the library that it calls and that is not here."""
        if not chart.is_dir() or not any(missing_dependencies(chart, request)):
            return None
        with without_unknown_calls(chart) as found:
            made = self._rendered(request, found[0]) if found is not None else None
        if made is not None and found is not None:
            self._reasons.pop(request.origin, None)
            self._left_out[request.origin] = found[1]
        return made

    def _explain(self, request: ChartRequest, error: EngineError) -> None:
        self._reasons[request.origin] = f"Helm does not render it: {' '.join(str(error).split())}"

    def _locate(self, request: ChartRequest) -> Path | None:
        found = find_chart(request, self.repository, self.cache)
        stored = cached_archive(request, self.cache)
        if found is None and self.fetch and request.repo:
            found = fetch_chart(request, self.cache)
        if found is None:
            return None
        if found == stored:
            self._check(request, found)
        if not engine_name(capabilities=bool(request.kube_version or request.api_versions)):
            raise EngineError("there is neither the package helm-python-sdk nor a helm binary")
        return found

    def _check(self, request: ChartRequest, archive: Path) -> None:
        """Compare a downloaded archive with the lock; note it there when it is new and downloads are allowed."""
        lock, digest = Lock.load(self.repository), sha256(archive)
        key = (base_name(request.name), request.repo, request.version)
        known = lock.sums.get(key)
        if known is None and self.fetch:
            lock.with_sum(key, digest).save(self.repository)
        elif known is not None and known != digest:
            raise RenderError(
                Problem(
                    Where(request.origin.file, request.origin.line),
                    f"the archive of chart {request} has the sum {digest}, but stowplan.lock says {known}",
                    f"find out why it changed; to accept it, delete {archive} and its entry in stowplan.lock",
                )
            )

    def account(self, rendered: Rendered) -> Rendered:
        """``rendered`` with the modelled objects marked as such and their charts listed as missing, but modelled."""
        objects = tuple(self._marked(item) for item in rendered.objects)
        missing = [self._explained(entry) for entry in rendered.missing]
        missing += [entry for entry in self._entries(rendered) if entry not in missing]
        return Rendered(objects, tuple(missing), rendered.roots)

    def _marked(self, item: KubeObject) -> KubeObject:
        made = self._modelled.get(item.origin)
        if not made:
            return item
        by = "; ".join(dict.fromkeys(entry.by for _, entry in made))
        return KubeObject(item.manifest, replace(item.origin, provenance="modelled", by=by))

    def _explained(self, entry: Missing) -> Missing:
        reason = self._reasons.get(entry.origin)
        return replace(entry, reason=reason) if reason and not entry.modelled else entry

    def _entries(self, rendered: Rendered) -> Iterator[Missing]:
        used = {item.origin for item in rendered.objects}
        for origin, made in self._modelled.items():
            if origin in used:
                yield from (missing_chart(request, self._reasons.get(origin, ""), entry) for request, entry in made)
        for requests in self._lacking.values():
            yield from (missing_chart(request) for request in requests)
        for origin, files in self._left_out.items():
            for file in files:
                name = file.relative_to(self.repository).as_posix()
                reason = "it calls templates of a library chart that is not in the tree"
                yield Missing("file", name, origin, reason, "whatever it declares")


def missing_chart(request: ChartRequest, reason: str = "", made: Modelled | None = None) -> Missing:
    """The entry for a chart that could not be had; ``made`` is what stands in for it."""
    release = request.release or base_name(request.name)
    if not reason:
        reason = "its repository is on the network" if request.repo else "it is not in the tree"
    hides = f"everything that release {release} runs"
    if made is not None:
        basis = "" if made.model.verified else ", which was not compared with the chart's templates"
        hides = f"at least {made.model.hides} (modelled after version {made.model.version}{basis})"
    return Missing(
        "chart",
        str(request),
        request.origin,
        reason,
        hides,
        modelled=made is not None,
        release=release,
        namespace=request.namespace,
        values=request.values,
    )

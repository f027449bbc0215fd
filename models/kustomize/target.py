"""One kustomization: gather its resources, generate, compose, transform.

The order of the steps is that of ``api/internal/target/kusttarget.go`` of Kustomize v5.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.errors import InputError, Problem, RenderError, Where
from models.kustomize.absent import AbsentError
from models.kustomize.accumulator import Accumulator, absorb
from models.kustomize.fieldspecs import (
    EMPTY,
    Config,
    ConflictError,
    FieldSpec,
    config_from,
    default_config,
    merge_specs,
    spec_from,
)
from models.kustomize.generators import generate, merged_options
from models.kustomize.images import set_images, set_replicas
from models.kustomize.kustomization import COMPONENT, Kustomization, load_kustomization
from models.kustomize.loader import KUSTOMIZATION_NAMES, Files, is_remote, parse_config, parse_manifests
from models.kustomize.metadata import BuildOrigin, origin_path
from models.kustomize.names import add_affix, add_namespace, set_string_entries
from models.kustomize.openapi import config_from_crds, schema_from
from models.kustomize.patches import apply_json6902, apply_merge_list, apply_patch, read_patch
from models.kustomize.plugins import GENERATORS, inflate, is_builtin, plugin_from, run_generator, run_transformer
from models.kustomize.replacements import read_replacements, replace_fields
from models.kustomize.resource import Gvk, ResMap, Resource
from models.kustomize.state import BuildState
from models.kustomize.variables import declare, merge_vars, var_from
from models.objects import Origin

BUILTIN_OPENAPI = "v1.21.2"
"""The one OpenAPI document that Kustomize v5.5 carries (kyaml/openapi/kubernetesapi)."""
METADATA_LABELS = FieldSpec(Gvk(), "metadata/labels", create=True)


class Target:
    """A kustomization file being built.

    Args:
        directory: the real path of its directory.
        state: what the whole build shares.
        chain: the directories of the kustomizations that led here, for finding cycles.
        origin: where Kustomize would say we are, when the build wants to know.
    """

    def __init__(
        self, directory: Path, state: BuildState, chain: tuple[Path, ...] = (), origin: BuildOrigin | None = None
    ) -> None:
        self.directory = directory
        self.state = state
        self.files: Files = state.files
        self.chain = (*chain, directory)
        self.origin = origin
        path = find_kustomization(directory, self.files)
        self.kustomization: Kustomization = load_kustomization(
            self.files.text(path), directory, self.files.display(path)
        )
        self.file_name = path.name

    def use_schema(self, *, root: bool) -> None:
        """Put the ``openapi:`` file in force."""
        settings = self.kustomization.get("openapi") or {}
        version = settings.get("version") or ""
        open_ = root or not self.state.schema_chosen
        if open_ and "version" in settings and settings.get("path"):
            raise self.kustomization.error(
                "builtin version and custom schema provided, cannot use both", "openapi", way_out="keep one of the two"
            )
        if version and open_:
            if version != BUILTIN_OPENAPI:
                raise self.kustomization.error(
                    f"the specified OpenAPI version {version} is not built in",
                    "openapi",
                    "version",
                    way_out=f"Kustomize v5.5 knows {BUILTIN_OPENAPI} only; remove the field",
                )
            self.state.choose_schema(None, root=root)
        if settings.get("path"):
            where = self.kustomization.where("openapi", "path")
            with self.state.tolerant():
                path = self.files.file(self.directory, settings["path"], where)
                try:
                    schema = schema_from(parse_config(self.files.text(path), self.files.display(path)))
                except ValueError as error:
                    raise RenderError(
                        Problem(where, f"invalid schema file: {error}", "name an OpenAPI document")
                    ) from error
                self.state.choose_schema(schema, root=root)

    def accumulate(self, gathered: Accumulator) -> Accumulator:
        """Build this kustomization on top of what is ``gathered``. Raises InputError."""
        kustomization = self.kustomization
        gathered = self._resources(gathered, kustomization.items("resources"), "resources")
        gathered.config = self._configured(gathered.config)
        self._generate(gathered)
        for index, path in enumerate(kustomization.items("components")):
            gathered = self._directory(gathered, path, kustomization.where("components", index), component=True)
        self._transform(gathered)
        self._validate(gathered)
        incoming = [
            var_from(value, kustomization.where("vars", index))
            for index, value in enumerate(kustomization.items("vars"))
        ]
        declare(gathered.resources, gathered.variables, incoming)
        return gathered

    def _configured(self, config: Config) -> Config:
        kustomization = self.kustomization
        own = default_config()
        for name, reader in (("configurations", config_from), ("crds", config_from_crds)):
            more = EMPTY
            for index, file in enumerate(kustomization.items(name)):
                where = kustomization.where(name, index)
                if is_remote(file):
                    self._remote(file, where, "field specifications")
                    continue
                path = self.files.file(self.directory, file, where)
                shown = self.files.display(path)
                try:
                    more = more.merge(reader(parse_config(self.files.text(path), shown)))
                except ValueError as error:
                    raise RenderError(Problem(Where(shown, 1), str(error), f"listed at {where}")) from error
            try:
                own = own.merge(more)
            except ConflictError as error:
                raise kustomization.error(str(error), name) from error
        try:
            return config.merge(own)
        except ConflictError as error:
            raise kustomization.error(str(error), "configurations") from error

    # -- gathering -----------------------------------------------------------------------------------------------

    def _remote(self, path: str, where: Where, hides: str) -> None:
        self.state.lacks("remote", path, Origin(where.file, where.line), "it is on the network", hides)

    def _resources(self, gathered: Accumulator, paths: Sequence[str], field_name: str) -> Accumulator:
        for index, path in enumerate(paths):
            where = self.kustomization.where(field_name, index)
            if not path:
                raise RenderError(Problem(where, "an entry is empty", "remove it"))
            local = self.directory / path
            if is_remote(path) and not local.exists():
                self._remote(path, where, "all its objects")
                continue
            real = self.files.confined(self.directory, path, where)
            if real.is_dir():
                gathered = self._directory(gathered, path, where, component=False)
                continue
            real = self.files.file(self.directory, path, where)
            shown = self.files.display(real)
            origin = self.origin.below(path) if self.origin is not None else None
            items = [Resource(item.tree, Origin(shown, item.line)) for item in self.files.manifests(real)]
            self.state.count_objects(len(items), where)
            if origin is not None:
                for item in items:
                    item.set_origin(origin)
            gathered.resources.append_all(items)
        return gathered

    def _directory(self, gathered: Accumulator, path: str, where: Where, *, component: bool) -> Accumulator:
        if is_remote(path) and not (self.directory / path).exists():
            self._remote(path, where, "what the component changes and adds" if component else "all its objects")
            return gathered
        if Path(path).is_absolute():
            raise RenderError(Problem(where, f"new root '{path}' cannot be absolute", "write a relative path"))
        real = self.files.confined(self.directory, path, where)
        if not real.is_dir():
            raise RenderError(Problem(where, f"'{path}' is a file; must build at directory", "name the directory"))
        for visited in self.chain:
            if visited.is_relative_to(real):
                raise RenderError(
                    Problem(
                        where,
                        f"cycle detected: candidate root '{self.files.display(real)}' contains visited root"
                        f" '{self.files.display(visited)}'",
                        "a kustomization cannot be part of itself; remove one of the entries",
                    )
                )
        self.state.count_build(where)
        origin = self.origin.below(path) if self.origin is not None else None
        target = Target(real, self.state, self.chain, origin)
        if target.kustomization.is_component != component:
            kind = target.kustomization.text("kind")
            expected = f"kind '{COMPONENT}'" if component else f"kind != '{COMPONENT}'"
            raise RenderError(
                Problem(
                    where,
                    f"expected {expected} for path '{self.files.display(real)}' but got '{kind}'",
                    "list components under `components:` and everything else under `resources:`",
                )
            )
        target.use_schema(root=False)
        # a component works on what was gathered before it, and its result is gathered anew
        inner = target.accumulate(gathered if component else Accumulator())
        if component:
            gathered = Accumulator()
        gathered.resources.append_all(inner.resources)
        try:
            gathered.config = gathered.config.merge(inner.config)
        except ConflictError as error:
            raise RenderError(Problem(where, str(error), "make the configurations agree")) from error
        merge_vars(gathered.variables, inner.variables)
        return gathered

    # -- generating ----------------------------------------------------------------------------------------------

    def _generate(self, gathered: Accumulator) -> None:
        kustomization = self.kustomization
        common = kustomization.get("generatorOptions")
        for name, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
            for index, args in enumerate(kustomization.items(name)):
                where = kustomization.where(name, index)
                options = merged_options(args.get("options"), common)
                with self.state.tolerant():
                    made = generate(kind, args, options, self.directory, self.files, where)
                    self._absorb(gathered, [made], f"{kind}Generator", where)
        globals_ = kustomization.get("helmGlobals") or {}
        for index, chart in enumerate(kustomization.items("helmCharts")):
            where = kustomization.where("helmCharts", index)
            with self.state.tolerant():
                objects = inflate(chart or {}, globals_, self.directory, self.state, where)
                self._absorb(gathered, objects, "HelmChartInflationGenerator", where)
        for item in self._plugins("generators"):
            plugin = plugin_from(item, self.directory)
            if plugin.kind not in GENERATORS:
                raise RenderError(Problem(plugin.where, f"plugin {plugin.kind} not a generator", "list it elsewhere"))
            change = _change_by(item)
            with self.state.tolerant():
                objects = run_generator(plugin, self.state)
                if change is not None:
                    for one in objects:
                        one.set_origin(change)
                self._absorb(gathered, objects, None, plugin.where)

    def _absorb(self, gathered: Accumulator, made: list[Resource], builtin: str | None, where: Where) -> None:
        for item in made:
            if self.origin is not None and builtin is not None and item.built_from() is None:
                item.set_origin(self.origin.by_builtin(self.file_name, builtin))
            try:
                absorb(gathered.resources, item, where)
            except AbsentError:
                if not self.state.partial:
                    raise
                # what it is to be merged with is missing; its own part is better than nothing
                gathered.resources.append_all([item])

    def _plugins(self, field_name: str) -> list[Resource]:
        """The built-in plugins that a field lists, inline ones first; others are noted as missing."""
        inline = Accumulator()
        paths: list[str] = []
        for index, text in enumerate(self.kustomization.items(field_name)):
            where = self.kustomization.where(field_name, index)
            try:
                loaded = parse_manifests(text, where.file, where.line or 1)
            except InputError:
                paths.append(text)
                continue
            resources = [Resource(item.tree, Origin(where.file, where.line)) for item in loaded]
            if self.origin is not None:
                for item in resources:
                    item.set_origin(self.origin.below(self.file_name))
            inline.resources.append_all(resources)
        gathered = self._resources(inline, paths, field_name)
        result: list[Resource] = []
        for item in gathered.resources:
            if is_builtin(item):
                result.append(item)
                continue
            hides = "the objects that it makes" if field_name == "generators" else "the changes that it makes"
            self.state.lacks("plugin", item.describe(), item.origin, "it is a program that would have to be run", hides)
        return result

    # -- transforming --------------------------------------------------------------------------------------------

    def _changed(self, gathered: Accumulator, plugin: str) -> None:
        resources = gathered.resources
        resources.drop_empty()
        if self.origin is not None:
            change = self.origin.by_builtin(self.file_name, plugin)
            for item in resources:
                item.note_change(change)

    def _transform(self, gathered: Accumulator) -> None:
        kustomization, config = self.kustomization, gathered.config
        resources = gathered.resources
        merges = kustomization.items("patchesStrategicMerge")
        if merges:
            where = kustomization.where("patchesStrategicMerge")
            with self.state.tolerant():
                apply_merge_list(resources, merges, self.directory, self.state, where)
            self._changed(gathered, "PatchStrategicMergeTransformer")
        # all patches are read before the first one is applied, as upstream configures before it transforms
        patches = []
        for index, value in enumerate(kustomization.items("patches")):
            with self.state.tolerant():
                where = kustomization.where("patches", index)
                patches.append(read_patch(value or {}, self.directory, self.files, where))
        for patch in patches:
            apply_patch(resources, patch, self.state)
            self._changed(gathered, "PatchTransformer")
        namespace = kustomization.text("namespace")
        if namespace:
            add_namespace(resources, namespace, config.namespace)
            self._changed(gathered, "NamespaceTransformer")
        for name, specs, plugin in (
            ("namePrefix", config.name_prefix, "PrefixTransformer"),
            ("nameSuffix", config.name_suffix, "SuffixTransformer"),
        ):
            if affix := kustomization.text(name):
                add_affix(resources, affix, specs, suffix=name == "nameSuffix")
                self._changed(gathered, plugin)
        self._label(gathered)
        annotations = kustomization.get("commonAnnotations")
        if annotations:
            set_string_entries(resources, _texts(annotations), config.common_annotations)
            self._changed(gathered, "AnnotationsTransformer")
        for index, value in enumerate(kustomization.items("patchesJson6902")):
            where = kustomization.where("patchesJson6902", index)
            with self.state.tolerant():
                apply_json6902(resources, value or {}, self.directory, self.files, where)
            self._changed(gathered, "PatchJson6902Transformer")
        for index, value in enumerate(kustomization.items("replicas")):
            with self.state.tolerant():
                set_replicas(resources, value or {}, config.replicas, kustomization.where("replicas", index))
            self._changed(gathered, "ReplicaCountTransformer")
        for index, value in enumerate(kustomization.items("images")):
            set_images(resources, value or {}, config.images, kustomization.where("images", index))
            self._changed(gathered, "ImageTagTransformer")
        self._replace(gathered)
        for item in self._plugins("transformers"):
            plugin_ = plugin_from(item, self.directory)
            if plugin_.kind in GENERATORS:
                raise RenderError(
                    Problem(plugin_.where, f"plugin {plugin_.kind} not a transformer", "list it elsewhere")
                )
            run_transformer(plugin_, resources, self.state)
            self._changed_by_file(gathered, item)

    def _changed_by_file(self, gathered: Accumulator, item: Resource) -> None:
        gathered.resources.drop_empty()
        change = _change_by(item)
        if change is not None:
            for resource in gathered.resources:
                resource.note_change(change)

    def _label(self, gathered: Accumulator) -> None:
        kustomization, config = self.kustomization, gathered.config
        entries, common = kustomization.items("labels"), kustomization.get("commonLabels")
        if not entries and not common:
            return
        for index, entry in enumerate(entries):
            entry = entry or {}
            try:
                specs = merge_specs([spec_from(value) for value in entry.get("fields") or []], config.labels)
                if entry.get("includeSelectors"):
                    specs = merge_specs(specs, config.common_labels)
                else:
                    if entry.get("includeTemplates"):
                        specs = merge_specs(specs, config.template_labels)
                    specs = merge_specs(specs, [METADATA_LABELS])
            except ConflictError as error:
                raise kustomization.error(f"failed to merge labels: {error}", "labels", index) from error
            set_string_entries(gathered.resources, _texts(entry.get("pairs")), specs)
            self._changed(gathered, "LabelTransformer")
        set_string_entries(gathered.resources, _texts(common), config.common_labels)
        self._changed(gathered, "LabelTransformer")

    def _replace(self, gathered: Accumulator) -> None:
        entries = self.kustomization.items("replacements")
        if not entries:
            return
        read: list[tuple[Mapping[str, Any], Where]] = []
        for index, entry in enumerate(entries):
            where = self.kustomization.where("replacements", index)
            with self.state.tolerant():
                found = read_replacements(entry or {}, self.directory, self.files, where)
                read.extend((replacement, where) for replacement in found)
        for replacement, where in read:
            with self.state.tolerant():
                replace_fields(gathered.resources, replacement, where)
        self._changed(gathered, "ReplacementTransformer")

    def _validate(self, gathered: Accumulator) -> None:
        for item in self._plugins("validators"):
            plugin = plugin_from(item, self.directory)
            trial = ResMap(resource.copy() for resource in gathered.resources)
            run_transformer(plugin, trial, self.state)
            before = [resource.copy().finish() for resource in gathered.resources]
            if [resource.finish() for resource in trial] != before:
                raise RenderError(Problem(plugin.where, "validator shouldn't modify the resource map", "remove it"))


def _change_by(plugin: Resource) -> BuildOrigin | None:
    """What a plugin file leaves as the origin of what it makes or changes."""
    origin = plugin.built_from()
    if origin is None:
        return None
    names = {"apiVersion": plugin.api_version, "kind": plugin.kind, "name": plugin.name, "namespace": plugin.namespace}
    return BuildOrigin("", origin_path(origin), tuple(names.items()))


def _texts(values: dict[str, Any] | None) -> dict[str, str]:
    return {key: "" if value is None else value for key, value in (values or {}).items()}


def find_kustomization(directory: Path, files: Files) -> Path:
    """The kustomization file in ``directory``. Raises RenderError when there is none or more than one."""
    found = [directory / name for name in KUSTOMIZATION_NAMES if (directory / name).is_file()]
    shown = files.display(directory)
    if not found:
        names = ", ".join(KUSTOMIZATION_NAMES)
        raise RenderError(
            Problem(Where(shown), f"unable to find one of {names} in directory '{shown}'", "add one, or name its files")
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise RenderError(Problem(Where(shown), f"Found multiple kustomization files: {names}", "keep one"))
    return files.confined(directory, found[0].name, Where(shown))

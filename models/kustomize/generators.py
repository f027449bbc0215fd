"""configMapGenerator and secretGenerator: literals, files and env files as objects.

Rules: ``api/internal/generators``, ``api/kv`` and ``kyaml/yaml/datamap.go`` of Kustomize v5.5.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from models.errors import Problem, RenderError, Where
from models.kustomize.loader import Files
from models.kustomize.nodes import Tree, new_key, new_string
from models.kustomize.resource import BEHAVIOR, NEEDS_HASH, Resource
from models.objects import Origin
from models.yamldoc.scalars import BOOL, Quoted, Scalar

BEHAVIORS = ("create", "merge", "replace")
_SPACES = " \t\n\v\f\r\x85\xa0"


def merged_options(local: Mapping[str, Any] | None, common: Mapping[str, Any] | None) -> dict[str, Any]:
    """Generator options with the kustomization's own ``generatorOptions`` under them."""
    local, common = local or {}, common or {}
    result: dict[str, Any] = {}
    for key in ("labels", "annotations"):
        values = {**(common.get(key) or {}), **(local.get(key) or {})}
        if values:
            result[key] = values
    for key in ("disableNameSuffixHash", "immutable"):
        result[key] = bool(local.get(key) or common.get(key))
    return result


def generate(
    kind: str, args: Mapping[str, Any], options: Mapping[str, Any], base: Path, files: Files, where: Where
) -> Resource:
    """The ConfigMap or Secret that ``args`` describe. Raises RenderError for a missing file or a malformed entry."""
    name = args.get("name") or ""
    if not name:
        raise RenderError(Problem(where, f"a {kind} generator must have a name", "add `name:`"))
    metadata: Tree = {"name": new_string(name)}
    if args.get("namespace"):
        metadata["namespace"] = new_string(args["namespace"])
    for key in ("labels", "annotations"):
        if options.get(key):
            metadata[key] = {label: new_string(_string(options[key][label])) for label in sorted(options[key])}
    tree: Tree = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    data = _data(args, base, files, where)
    if kind == "Secret":
        tree["type"] = new_string(args.get("type") or "Opaque")
        tree["data"] = {new_key(key): Quoted(_wrapped(data[key])) for key in sorted(data)}
    else:
        for key in sorted(data):
            try:
                tree.setdefault("data", {})[new_key(key)] = Quoted(data[key].decode("utf-8"))
            except UnicodeDecodeError:
                tree.setdefault("binaryData", {})[new_key(key)] = Quoted(_wrapped(data[key]))
    if options.get("immutable"):
        tree["immutable"] = Scalar(BOOL, "true")
    resource = Resource(tree, Origin(where.file, where.line, "generated", f"Kustomize {kind} generator"))
    if not options.get("disableNameSuffixHash"):
        resource.enable(NEEDS_HASH)
    behavior = args.get("behavior") or ""
    resource.enable(BEHAVIOR, behavior if behavior in BEHAVIORS else "unspecified")
    return resource


def _string(value: Any) -> str:
    return "" if value is None else str(value)


def _wrapped(content: bytes) -> str:
    """Base 64, in lines of 70 characters when there is more than one."""
    text = base64.b64encode(content).decode("ascii")
    if len(text) < 70:
        return text
    return "".join(text[start : start + 70] + "\n" for start in range(0, len(text), 70))


def _data(args: Mapping[str, Any], base: Path, files: Files, where: Where) -> dict[str, bytes]:
    pairs: list[tuple[str, bytes]] = []
    for name in args.get("envs") or []:
        pairs.extend(_env_file(files.read(base, name, where), name, where))
    pairs.extend(_literal(literal, where) for literal in args.get("literals") or [])
    for source in args.get("files") or []:
        key, path = _file_source(source, where)
        pairs.append((key, files.read(base, path, where)))
    data: dict[str, bytes] = {}
    for key, value in pairs:
        if key in data:
            raise RenderError(
                Problem(
                    where, f"generator {args.get('name')!r} illegally repeats the key `{key}`", "give each key once"
                )
            )
        data[key] = value
    return data


def _literal(source: str, where: Where) -> tuple[str, bytes]:
    key, found, value = source.partition("=")
    if not found or not key:
        raise RenderError(Problem(where, f"invalid literal source {source}, expected key=value", "write key=value"))
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    return key, value.encode("utf-8")


def _file_source(source: str, where: Where) -> tuple[str, str]:
    count = source.count("=")
    if count == 0:
        return PurePosixPath(source).name, source
    key, _, path = source.partition("=")
    if count > 1:
        raise RenderError(Problem(where, f"source {source!r} key name or file path contains '='", "rename the file"))
    if not key:
        raise RenderError(Problem(where, f"missing key name for file path {path!r} in source {source!r}", "add it"))
    if not path:
        raise RenderError(Problem(where, f"missing file path for key name {key!r} in source {source!r}", "add it"))
    return key, path


def _env_file(content: bytes, name: str, where: Where) -> list[tuple[str, bytes]]:
    pairs: list[tuple[str, bytes]] = []
    for number, raw in enumerate(content.split(b"\n"), start=1):
        line = raw[:-1] if raw.endswith(b"\r") else raw
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RenderError(
                Problem(where, f"{name}: line {number} has invalid utf8 bytes", "save it as UTF-8")
            ) from error
        if number == 1:
            text = text.removeprefix("﻿")
        text = text.lstrip(_SPACES)
        if not text or text.startswith("#"):
            continue
        key, _, value = text.partition("=")
        if key:
            pairs.append((key, value.encode("utf-8")))
    return pairs

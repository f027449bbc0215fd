"""Pod templates of the bjw-s common library: options, containers, volumes and mounts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from models.charts import parts
from models.charts.apptemplate.names import enabled
from models.charts.apptemplate.probes import probes
from models.charts.apptemplate.release import CLAIM, Release, claim_fields, number, protocol, volume_type
from models.charts.scope import merge_values
from models.objects import dig

_OPTIONS = (
    *parts.POD_FIELDS,
    "dnsConfig",
    "hostAliases",
    "hostPID",
    "hostIPC",
    "hostname",
    "hostUsers",
    "resources",
    "resourceClaims",
    "restartPolicy",
    "schedulingGates",
    "securityContext",
    "shareProcessNamespace",
    "imagePullSecrets",
)
_PASSED = ("command", "args", "envFrom", "resources", "securityContext", "workingDir", "lifecycle", "restartPolicy")
_EMPTY: tuple[Any, ...] = (None, "", {}, [])


def template(release: Release, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """``template`` of the controller ``key``: metadata and spec of its pods."""
    options = _options(release, entry)
    spec: dict[str, Any] = {name: options[name] for name in _OPTIONS if options.get(name) not in _EMPTY}
    account = _service_account(release, entry)
    if account:
        spec["serviceAccountName"] = account
    initial = _containers(release, key, entry, "initContainers")
    if initial:
        spec["initContainers"] = initial
    spec["containers"] = _containers(release, key, entry, "containers")
    volumes = [_volume(release, name, item) for name, item in _volumes_of(release, key)]
    if volumes:
        spec["volumes"] = volumes
    shared: dict[str, Any] = {}
    if dig(release.values, "global", "propagateGlobalMetadataToPods"):
        shared = dig(release.values, "global", "labels") or {}
    labels = {**shared, **(options.get("labels") or {}), **release.selector(key)}
    return {"metadata": {"labels": labels, "annotations": dict(options.get("annotations") or {})}, "spec": spec}


def _options(release: Release, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A controller's ``pod`` over ``defaultPodOptions``.

    An option replaces the default one, unless ``defaultPodOptionsStrategy`` is ``merge`` (``lib/pod/_getOption.tpl``).
    """
    defaults, own = release.values.get("defaultPodOptions") or {}, entry.get("pod") or {}
    if release.values.get("defaultPodOptionsStrategy") == "merge":
        return merge_values(defaults, own)
    given = {key: value for key, value in own.items() if value not in _EMPTY or value is False}
    return {**defaults, **given}


def _service_account(release: Release, entry: Mapping[str, Any]) -> str:
    named = dig(entry, "serviceAccount", "name")
    if named:
        return str(release.scope.expand(named))
    given = release.values.get("serviceAccount")
    if release.major < 4:
        accounts: Mapping[str, Any] = given if isinstance(given, dict) else {}
        made = str(accounts.get("name") or release.names.fullname)
        return made if accounts.get("create") else str(accounts.get("name") or "")
    accounts = enabled(given)
    identifier = dig(entry, "serviceAccount", "identifier")
    if isinstance(identifier, str) and identifier in accounts:
        return release.names.of("serviceAccount", identifier, accounts)
    if release.major >= 5 and len(accounts) == 1:
        return release.names.of("serviceAccount", next(iter(accounts)), accounts)
    return ""


def _containers(release: Release, controller: str, entry: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    found = enabled(entry.get(field))
    made: list[dict[str, Any]] = []
    for key in _order(found):
        item = found[key]
        if item.get("raw"):
            made.append(_plain(key, item))
            continue
        made.append(_container(release, controller, key, _settings(entry, item, field), field))
    return made


def _order(containers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Identifiers in the order of rendering: alphabetical (version 2: by ``order``), after what each depends on.

    ``dependsOn`` names a container or several; those in a cycle come last, as they stand.
    """
    waiting = sorted(containers, key=lambda key: f"{containers[key].get('order', 99)}-{key}")
    ordered: list[str] = []
    while waiting:
        ready = next((key for key in waiting if _needed(containers[key]) & set(waiting) <= {key}), None)
        if ready is None:
            return ordered + waiting
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _needed(item: Mapping[str, Any]) -> set[str]:
    named = item.get("dependsOn") or []
    return {named} if isinstance(named, str) else {str(name) for name in named}


def _settings(entry: Mapping[str, Any], item: Mapping[str, Any], field: str) -> dict[str, Any]:
    """A container over the controller's ``defaultContainerOptions``, which it replaces option by option."""
    defaults = entry.get("defaultContainerOptions") or {}
    if field == "initContainers" and entry.get("applyDefaultContainerOptionsToInitContainers") is False:
        return dict(item)
    if entry.get("defaultContainerOptionsStrategy") == "merge":
        return merge_values(defaults, item)
    return {**defaults, **{key: value for key, value in item.items() if value not in _EMPTY or value is False}}


def _plain(key: str, item: Mapping[str, Any]) -> dict[str, Any]:
    made = {name: value for name, value in item.items() if name not in ("raw", "enabled", "env")}
    made = {"name": key, **made, "image": parts.image(item.get("image"))}
    variables = parts.environment(item.get("env"))
    return {**made, "env": variables} if variables else made


def _container(release: Release, controller: str, key: str, settings: Mapping[str, Any], field: str) -> dict[str, Any]:
    first = release.major < 2 and key == "main" and field == "containers"
    name = release.names.fullname if first else str(settings.get("nameOverride") or key)
    made: dict[str, Any] = {"name": name, "image": parts.image(settings.get("image"))}
    made.update({option: settings[option] for option in _PASSED if settings.get(option) not in _EMPTY})
    for option in ("command", "args"):
        if option in made and not isinstance(made[option], list):
            made[option] = [str(made[option])]
    if isinstance(made.get("envFrom"), list):
        made["envFrom"] = [_source(release, source) for source in made["envFrom"]]
    variables = parts.environment(settings.get("env"))
    if variables:
        made["env"] = [_variable(release, variable) for variable in variables]
    ports = settings.get("ports") or (_service_ports(release) if first else [])
    if ports:
        made["ports"] = ports
    made.update(probes(release, controller, settings.get("probes")))
    mounts = list(_mounts(release, controller, key))
    if mounts:
        made["volumeMounts"] = mounts
    return made


def _service_ports(release: Release) -> list[dict[str, Any]]:
    """Version 1 gave its container the ports of all services; later ones have the ports that they are given."""
    found: list[dict[str, Any]] = []
    for entry in release.services.values():
        for name, port in enabled(entry.get("ports")).items():
            value = number(port.get("targetPort") or port.get("port"))
            if isinstance(value, int):
                found.append({"name": name, "containerPort": value, "protocol": protocol(port)})
    return found


def _identified(release: Release, kind: str, reference: Any) -> str:
    """The name of a ConfigMap or Secret referred to by identifier, or by its own name."""
    several = enabled(release.values.get(f"{kind}s"))
    if isinstance(reference, str):
        known = reference in several
        return release.names.of(kind, reference, several) if known else str(release.scope.expand(reference))
    if isinstance(dig(reference, "identifier"), str):
        return release.names.of(kind, reference["identifier"], several)
    return str(release.scope.expand(dig(reference, "name", default="")))


def _source(release: Release, source: Any) -> Any:
    """An ``envFrom`` entry; the library also takes a bare ``secret:`` or ``configMap:``, and identifiers."""
    if not isinstance(source, dict):
        return source
    for kind in ("configMap", "secret"):
        for field in (kind, f"{kind}Ref"):
            if field in source:
                extra = {name: source[name] for name in ("prefix",) if name in source}
                return {f"{kind}Ref": {"name": _identified(release, kind, source[field])}, **extra}
    return source


def _variable(release: Release, variable: Mapping[str, Any]) -> dict[str, Any]:
    """A variable whose key references may name a ConfigMap or Secret of the release by identifier."""
    made = dict(variable)
    for kind in ("configMap", "secret"):
        reference = dig(variable, "valueFrom", f"{kind}KeyRef")
        if isinstance(dig(reference, "identifier"), str):
            plain = {name: value for name, value in reference.items() if name != "identifier"}
            made["valueFrom"] = {f"{kind}KeyRef": {"name": _identified(release, kind, reference), **plain}}
    return made


def _volumes_of(release: Release, controller: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The persistence items of a controller: all but those that mount only into others (``lib/pod/fields``)."""
    for key, entry in sorted(release.persistence.items()):
        advanced = entry.get("advancedMounts")
        if entry.get("globalMounts") or not advanced or dig(advanced, controller):
            yield key, entry


def _volume(release: Release, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    kind = volume_type(entry)
    if kind == CLAIM:
        claimed = entry.get("existingClaim") or release.names.of("pvc", key, release.claims)
        return {"name": key, CLAIM: {"claimName": str(claimed)}}
    if kind == "nfs":
        return {"name": key, "nfs": {"server": entry.get("server"), "path": entry.get("path")}}
    if kind == "hostPath":
        return {"name": key, "hostPath": _present(path=entry.get("hostPath"), type=entry.get("hostPathType"))}
    if kind in ("configMap", "secret"):
        name = _identified(release, kind, entry if entry.get("identifier") or entry.get("name") else "")
        chosen = {"name" if kind == "configMap" else "secretName": name}
        return {"name": key, kind: {**chosen, **_present(items=entry.get("items"))}}
    if kind == "custom":
        given = entry.get("volumeSpec")
        return {**(given if isinstance(given, dict) else {}), "name": key}
    if kind == "ephemeral":
        return {"name": key, "ephemeral": {"volumeClaimTemplate": {"spec": parts.claim_spec(claim_fields(entry))}}}
    if kind == "image":
        given = entry.get("image")
        return {"name": key, "image": {"reference": parts.image(given)}}
    return {"name": key, "emptyDir": _present(medium=entry.get("medium"), sizeLimit=entry.get("sizeLimit"))}


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _mounts(release: Release, controller: str, container: str) -> Iterator[dict[str, Any]]:
    """Mounts of a container: an item's ``globalMounts`` and its own ``advancedMounts``; without any, ``/<key>``."""
    for key, entry in _volumes_of(release, controller):
        usual = str(entry.get("hostPath")) if volume_type(entry) == "hostPath" else f"/{key}"
        yield from _mount(key, entry, dig(entry, "advancedMounts", controller, container), usual)
    for item in dig(release.controllers, controller, "statefulset", "volumeClaimTemplates") or []:
        if isinstance(item, dict) and item.get("name") and item.get("enabled", True) is not False:
            name = str(item["name"])
            yield from _mount(name, item, dig(item, "advancedMounts", container), f"/{name}")


def _mount(key: str, entry: Mapping[str, Any], own: Any, usual: str) -> Iterator[dict[str, Any]]:
    if not entry.get("globalMounts") and not entry.get("advancedMounts"):
        yield {"name": key, "mountPath": usual}
        return
    wanted = [*(entry.get("globalMounts") or []), *(own or [])]
    for mount in wanted:
        path = mount.get("path", usual) if isinstance(mount, dict) else None
        if path:
            extra = {name: mount[name] for name in ("subPath", "readOnly", "mountPropagation") if mount.get(name)}
            yield {"name": key, "mountPath": path, **extra}

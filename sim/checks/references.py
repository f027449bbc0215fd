"""Is everything there that the pods name?

Secrets, ConfigMaps and claims that are missing as a whole are found by the dependency graph (GRAPH-MISSING-REF).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.findings import Severity
from models.objects import KubeObject
from models.operators.make import mapping, maps
from models.platform import Workload
from sim.checks.check import Check, Defect, subject_of
from sim.checks.look import Look, Slot, pod_field
from sim.checks.patch import container_patch


@dataclass(frozen=True)
class _KeyUse:
    """A key of a ConfigMap or Secret that something reads: who, where, and the patch for another key or none."""

    user: KubeObject
    field: str
    kind: str
    name: str
    key: str
    slot: Slot | None = None
    variable: str = ""


def service_account_missing(look: Look) -> Iterator[Defect]:
    """A pod that runs as a ServiceAccount that nobody makes: the API server refuses it."""
    for workload in look.written:
        name = str(workload.pod_spec.get("serviceAccountName") or workload.pod_spec.get("serviceAccount") or "default")
        if name == "default" or look.platform.get("ServiceAccount", workload.namespace, name) is not None:
            continue
        hidden = look.unseen(workload.namespace)
        other = look.declared_elsewhere("ServiceAccount", name)
        yield Defect(
            f"A pod of {workload.id} is refused when it is created again: ServiceAccount {name} does not exist",
            workload.object,
            f"{pod_field(workload)}.serviceAccountName",
            (
                f'error looking up service account {workload.namespace}/{name}: serviceaccount "{name}" not found',
                *([f"the repository has one of that name at {other}, outside of this tree"] if other else []),
                *(f"not read: {item}" for item in hidden[:3]),
            ),
            f"add the ServiceAccount {workload.namespace}/{name}, or leave serviceAccountName out",
            severity=Severity.INFO if hidden or other else None,
        )


def key_missing(look: Look) -> Iterator[Defect]:
    """A key that its ConfigMap or Secret does not have: the container never starts."""
    for use in _key_uses(look):
        held = look.platform.get(use.kind, use.user.namespace, use.name)
        keys = _keys(look, held) if held is not None else None
        if held is None or keys is None or use.key in keys:
            continue
        close = difflib.get_close_matches(use.key, sorted(keys), n=1, cutoff=0.6)
        yield Defect(
            f"{use.kind} {use.user.namespace}/{use.name} has no key {use.key}, which {subject_of(use.user)} reads",
            use.user,
            use.field,
            (
                f"couldn't find key {use.key} in {use.kind} {use.user.namespace}/{use.name}",
                f"keys of {subject_of(held)} ({held.origin}): {', '.join(sorted(keys))}",
            ),
            f"name the key {close[0]}"
            if close
            else "add the key, name one that exists, or mark the reference optional",
            _key_patch(use, close[0] if close else ""),
        )


def _key_uses(look: Look) -> Iterator[_KeyUse]:
    for workload in look.written:
        for slot in look.slots(workload):
            for entry in maps(slot.manifest.get("env")):
                source = mapping(entry.get("valueFrom"))
                for kind, part in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                    chosen = mapping(source.get(part))
                    if chosen.get("name") and chosen.get("key") and chosen.get("optional") is not True:
                        field = f"{slot.field}.env[{entry.get('name')}].valueFrom.{part}.key"
                        variable = str(entry.get("name"))
                        yield _KeyUse(
                            workload.object, field, kind, str(chosen["name"]), str(chosen["key"]), slot, variable
                        )
        yield from _volume_keys(workload)
    for kind, group in (
        ("Cluster", "postgresql.cnpg.io"),
        ("ObjectStore", "barmancloud.cnpg.io"),
        ("Issuer", "cert-manager.io"),
    ):
        for item in look.platform.by_kind(kind, group):
            for place, named in _selectors(item.manifest.get("spec"), "spec"):
                yield _KeyUse(item, f"{place}.key", "Secret", str(named["name"]), str(named["key"]))


def _volume_keys(workload: Workload) -> Iterator[_KeyUse]:
    """Keys that volumes pick; a volume that takes all keys needs none in particular, unless a file of it is mounted."""
    base = pod_field(workload)
    for volume in maps(workload.pod_spec.get("volumes")):
        field = f"{base}.volumes[{volume.get('name')}]"
        sources: list[tuple[Mapping[str, Any], str]] = [(volume, field)]
        for index, entry in enumerate(maps(mapping(volume.get("projected")).get("sources"))):
            sources.append((entry, f"{field}.projected.sources[{index}]"))
        for source, place in sources:
            for kind, part in (("ConfigMap", "configMap"), ("Secret", "secret")):
                chosen = mapping(source.get(part))
                name = chosen.get("name") or chosen.get("secretName")
                if name and chosen.get("optional") is not True:
                    for index, entry in enumerate(maps(chosen.get("items"))):
                        yield _KeyUse(
                            workload.object,
                            f"{place}.{part}.items[{index}].key",
                            kind,
                            str(name),
                            str(entry.get("key")),
                        )


def _selectors(value: Any, field: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every ``{name, key}`` below a custom resource's spec: its way to say a key of a Secret."""
    if isinstance(value, dict):
        if set(value) == {"name", "key"} and all(isinstance(text, str) for text in value.values()):
            if "configMap" not in field:
                yield field, value
            return
        for key, item in value.items():
            if key != "privateKeySecretRef":
                yield from _selectors(item, f"{field}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _selectors(item, f"{field}[{index}]")


def _keys(look: Look, held: KubeObject) -> set[str] | None:
    """The keys of a ConfigMap or Secret; None when they are not all known."""
    if held.origin.provenance == "modelled":
        return None
    maker = held.origin.by.rpartition(" ")[0]
    if maker == "ExternalSecret":
        namespace, _, name = held.origin.by.rpartition(" ")[2].rpartition("/")
        source = look.platform.get("ExternalSecret", namespace, name)
        if source is None or source.spec.get("dataFrom") or source.get("spec", "target", "template", "templateFrom"):
            return None
    if held.kind == "Secret" and held.manifest.get("type") == "kubernetes.io/service-account-token":
        return None
    found: set[str] = set()
    for part in ("data", "stringData", "binaryData"):
        found |= {str(key) for key in mapping(held.manifest.get(part))}
    # A Secret or ConfigMap without any key is a stub that something fills at run time, or whose values were taken out.
    return found or None


def _key_patch(use: _KeyUse, key: str) -> str:
    if use.slot is None:
        return ""
    part = "configMapKeyRef" if use.kind == "ConfigMap" else "secretKeyRef"
    chosen: dict[str, Any] = (
        {"name": use.name, "key": key} if key else {"name": use.name, "key": use.key, "optional": True}
    )
    env = [{"name": use.variable, "valueFrom": {part: chosen}}]
    return container_patch(use.slot.workload, [(use.slot.group, use.slot.name, {"env": env})])


CHECKS = (
    Check(
        "SERVICEACCOUNT-MISSING",
        Severity.ERROR,
        "a pod runs as a ServiceAccount that does not exist: it is refused at its next restart",
        service_account_missing,
    ),
    Check(
        "KEY-MISSING", Severity.ERROR, "something reads a key that its ConfigMap or Secret does not have", key_missing
    ),
)

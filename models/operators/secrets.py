"""Secrets that controllers make, by name and key and never by value.

SealedSecret (Bitnami sealed-secrets), ExternalSecret (external-secrets.io), Certificate and annotated Ingresses and
Gateways (cert-manager), and the copies that the reflector annotation on any of them asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.objects import KubeObject, string_map
from models.operators.make import derived, mapping, maps, said_by, secret

_TLS_KEYS = ("ca.crt", "tls.crt", "tls.key")
_REFLECTOR = "reflector.v1.k8s.emberstack.com/"


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """Secrets (and implied Certificates) of the objects; reflected copies come last."""
    made: list[KubeObject] = []
    for item in objects:
        if item.kind == "SealedSecret" and item.group == "bitnami.com":
            made.append(_sealed(item))
        elif item.kind == "ExternalSecret" and item.group == "external-secrets.io":
            made.append(_external(item))
        elif item.kind == "Certificate" and item.group == "cert-manager.io":
            made.extend(_certificate(item))
        elif item.kind in ("Ingress", "Gateway"):
            made.extend(_implied(item, objects))
    yield from made
    taken = {(item.namespace, item.name) for item in [*objects, *made] if item.kind == "Secret"}
    namespaces = sorted({item.name for item in objects if item.kind == "Namespace"})
    for item in [*objects, *made]:
        if item.kind == "Secret":
            yield from _reflected(item, namespaces, taken)


def _sealed(item: KubeObject) -> KubeObject:
    template = mapping(item.spec.get("template"))
    metadata = mapping(template.get("metadata"))
    keys = sorted(
        {str(key) for field in (item.spec.get("encryptedData"), template.get("data")) for key in mapping(field)}
    )
    return secret(
        item,
        str(metadata.get("name") or item.name),
        keys,
        by=said_by(item, "SealedSecret"),
        secret_type=str(template.get("type") or "Opaque"),
        labels=string_map(metadata.get("labels")),
        annotations=string_map(metadata.get("annotations")),
    )


def _external(item: KubeObject) -> KubeObject:
    target = mapping(item.spec.get("target"))
    template = mapping(target.get("template"))
    keys = {str(entry.get("secretKey")) for entry in maps(item.spec.get("data")) if entry.get("secretKey")}
    templated = {str(key) for key in mapping(template.get("data"))}
    if templated and template.get("mergePolicy") != "Merge":
        keys = templated
    metadata = mapping(template.get("metadata"))
    return secret(
        item,
        str(target.get("name") or item.name),
        sorted(keys | templated),
        by=said_by(item, "ExternalSecret"),
        labels=string_map(metadata.get("labels")),
        annotations=string_map(metadata.get("annotations")),
    )


def _certificate(item: KubeObject) -> Iterator[KubeObject]:
    name = item.spec.get("secretName")
    if name:
        template = mapping(item.spec.get("secretTemplate"))
        yield secret(
            item,
            str(name),
            _TLS_KEYS,
            by=said_by(item, "Certificate"),
            secret_type="kubernetes.io/tls",
            labels=string_map(template.get("labels")),
            annotations=string_map(template.get("annotations")),
        )


def _implied(item: KubeObject, objects: Iterable[KubeObject]) -> Iterator[KubeObject]:
    """The Certificates that cert-manager makes for an annotated Ingress or Gateway, with their Secrets."""
    issuer = item.annotations.get("cert-manager.io/issuer")
    cluster = item.annotations.get("cert-manager.io/cluster-issuer")
    if not issuer and not cluster:
        return
    written = {(other.namespace, other.name) for other in objects if other.kind == "Certificate"}
    for name, hosts in _tls_names(item):
        if (item.namespace, name) in written:
            continue
        certificate = derived(
            item,
            "Certificate",
            name,
            by=said_by(item, f"cert-manager annotation on {item.kind}"),
            api_version="cert-manager.io/v1",
            spec={
                "secretName": name,
                "dnsNames": hosts,
                "issuerRef": {
                    "name": issuer or cluster,
                    "kind": item.annotations.get(
                        "cert-manager.io/issuer-kind", "Issuer" if issuer else "ClusterIssuer"
                    ),
                },
            },
        )
        yield certificate
        yield from _certificate(certificate)


def _tls_names(item: KubeObject) -> Iterator[tuple[str, list[str]]]:
    if item.kind == "Ingress":
        for entry in maps(item.spec.get("tls")):
            if entry.get("secretName"):
                hosts = entry.get("hosts")
                yield str(entry["secretName"]), [str(host) for host in hosts] if isinstance(hosts, list) else []
        return
    found: dict[str, list[str]] = {}
    for listener in maps(item.spec.get("listeners")):
        for reference in maps(mapping(listener.get("tls")).get("certificateRefs")):
            if reference.get("name") and reference.get("kind", "Secret") == "Secret":
                hosts = found.setdefault(str(reference["name"]), [])
                if listener.get("hostname"):
                    hosts.append(str(listener["hostname"]))
    yield from found.items()


def _reflected(item: KubeObject, namespaces: list[str], taken: set[tuple[str, str]]) -> Iterator[KubeObject]:
    """Copies that emberstack's reflector makes when it may do so by itself."""
    annotations = item.annotations
    if annotations.get(_REFLECTOR + "reflection-auto-enabled") != "true":
        return
    if annotations.get(_REFLECTOR + "reflection-allowed") != "true":
        return
    asked = annotations.get(_REFLECTOR + "reflection-auto-namespaces") or ",".join(namespaces)
    for namespace in (part.strip() for part in asked.split(",")):
        if namespace and namespace != item.namespace and (namespace, item.name) not in taken:
            taken.add((namespace, item.name))
            yield secret(
                item,
                item.name,
                mapping(item.manifest.get("data")),
                by=said_by(item, "reflector copy of Secret"),
                namespace=namespace,
                secret_type=str(item.manifest.get("type") or "Opaque"),
            )

"""The reverse proxies of a platform: which workload, behind which Service and address, with which entry points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from models.objects import KubeObject, Origin
from models.operators.make import items, mapping, maps
from models.platform import Platform, Workload

_IMAGES = (
    ("traefik", re.compile(r"(^|/)traefik(:|@|$)")),
    ("nginx", re.compile(r"ingress-nginx/controller|ingress-nginx-controller|nginx-ingress(-controller)?(:|@|$)")),
    ("haproxy", re.compile(r"kubernetes-ingress(:|@|$)|haproxy-ingress")),
    ("contour", re.compile(r"(^|/)contour(:|@|$)")),
    ("envoy-gateway", re.compile(r"(^|/)envoyproxy/gateway(:|@|$)")),
    ("caddy", re.compile(r"caddy/ingress(:|@|$)")),
    ("kong", re.compile(r"kong/kubernetes-ingress-controller(:|@|$)")),
)
_CONTROLLERS = {
    "traefik.io/ingress-controller": "traefik",
    "traefik.io/gateway-controller": "traefik",
    "k8s.io/ingress-nginx": "nginx",
    "nginx.org/ingress-controller": "nginx",
    "haproxy.org/ingress-controller": "haproxy",
    "haproxy-ingress.github.io/controller": "haproxy",
    "caddy.io/ingress-controller": "caddy",
    "ingress-controllers.konghq.com/kong": "kong",
}
_ARGUMENT = re.compile(r"^--?([A-Za-z][\w.\-\[\]]*)(?:[= ](.*))?$", re.DOTALL)
_ENTRY = re.compile(r"^entrypoints\.([\w\-]+)\.(.+)$", re.IGNORECASE)


@dataclass(frozen=True)
class EntryPoint:
    """An entry point of Traefik: port in the pod, middlewares on all its routers, TLS, redirect target."""

    name: str
    port: int | None = None
    middlewares: tuple[str, ...] = ()
    tls: bool = False
    redirect_to: str = ""
    redirect_scheme: str = ""
    default: bool = False
    udp: bool = False


@dataclass(frozen=True, eq=False)
class Proxy:
    """A reverse proxy: ``kind`` "traefik", "nginx", …; ``service``: what clients reach (LoadBalancer first)."""

    kind: str
    workload: Workload | None
    service: KubeObject | None
    addresses: tuple[str, ...]
    ingress_class: str = ""
    entry_points: Mapping[str, EntryPoint] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)

    @property
    def service_id(self) -> str | None:
        """Node id of the Service."""
        return None if self.service is None else f"Service {self.service.namespace}/{self.service.name}"


def find_proxies(platform: Platform) -> tuple[Proxy, ...]:
    """Every reverse proxy that the platform runs, in the order of the tree."""
    found = []
    for workload in platform.workloads:
        for container in workload.containers:
            image = str(container.get("image") or "")
            kind = next((name for name, pattern in _IMAGES if pattern.search(image)), None)
            if kind is not None:
                found.append(_proxy(platform, workload, container, kind))
                break
    return tuple(found)


def proxy_of_class(platform: Platform, proxies: tuple[Proxy, ...], name: str) -> Proxy | None:
    """The proxy that serves an ingress class (or gateway class); with "" the default class, then the only proxy."""
    classes = [*platform.by_kind("IngressClass"), *platform.by_kind("GatewayClass")]
    if not name:
        marker = "ingressclass.kubernetes.io/is-default-class"
        name = next((item.name for item in classes if item.annotations.get(marker) == "true"), "")
    exact = [item for item in proxies if item.ingress_class == name and name]
    if exact:
        return exact[0]
    declared = next((item for item in classes if item.name == name), None)
    if declared is not None and declared.origin.provenance in ("chart", "modelled"):
        # A release makes its class and its controller together, whatever it calls them.
        place = (declared.origin.file, declared.origin.line)
        same = [item for item in proxies if (item.origin.file, item.origin.line) == place]
        if len(same) == 1:
            return same[0]
    controller = str((declared.spec.get("controller") or declared.spec.get("controllerName") or "") if declared else "")
    kind = _CONTROLLERS.get(controller) or next((known for known, _ in _IMAGES if name and known in name), "")
    same = [item for item in proxies if item.kind == kind]
    if name and same:
        return next(
            (item for item in same if item.workload and name in (item.workload.name, item.workload.namespace)), same[0]
        )
    return proxies[0] if len(proxies) == 1 and not name else None


def _proxy(platform: Platform, workload: Workload, container: Mapping[str, Any], kind: str) -> Proxy:
    settings = dict(_settings(platform, workload, container))
    service = _front(platform, workload)
    addresses = platform.load_balancer_addresses.get(service.key, ()) if service is not None else ()
    classes = (
        settings.get("providers.kubernetescrd.ingressclass")
        or settings.get("providers.kubernetesingress.ingressclass")
        or settings.get("ingress-class")
        or ""
    )
    return Proxy(
        kind,
        workload,
        service,
        addresses,
        str(classes),
        _entry_points(settings) if kind == "traefik" else {},
        workload.object.origin,
    )


def _front(platform: Platform, workload: Workload) -> KubeObject | None:
    """The Service that clients use: LoadBalancer, NodePort, then any that is not headless or for metrics."""
    behind = [item for item in platform.services if workload in platform.service_workloads(item)]
    rank = {"LoadBalancer": 0, "NodePort": 1}

    def order(item: KubeObject) -> tuple[int, bool, bool]:
        side = any(word in item.name for word in ("metrics", "dashboard", "admission", "headless", "webhook"))
        return rank.get(str(item.spec.get("type")), 2), side, item.spec.get("clusterIP") == "None"

    return min(behind, key=order, default=None)


def _settings(platform: Platform, workload: Workload, container: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Traefik's static configuration as dotted lower-case keys: files, then TRAEFIK_ variables, then arguments."""
    for volume in maps(workload.pod_spec.get("volumes")):
        name = mapping(volume.get("configMap")).get("name")
        config = platform.get("ConfigMap", workload.namespace, str(name)) if name else None
        if config is not None:
            for key, text in mapping(config.get("data")).items():
                if str(key).endswith((".yml", ".yaml")) and isinstance(text, str) and "ntry" in text:
                    yield from _flat(_yaml(text), "")
    for entry in maps(container.get("env")):
        name = str(entry.get("name") or "")
        if name.startswith("TRAEFIK_") and entry.get("value") is not None:
            yield name.removeprefix("TRAEFIK_").replace("_", ".").lower(), str(entry["value"])
    for text in [*items(container.get("command")), *items(container.get("args"))]:
        match = _ARGUMENT.match(str(text))
        if match:
            yield match[1].lower(), "true" if match[2] is None else match[2]


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text) if len(text) < 200_000 and "&" not in text else None
    except yaml.YAMLError:
        return None


def _flat(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}".lstrip(".").lower())
    elif isinstance(value, list):
        yield prefix, ",".join(str(item) for item in value)
    elif value is not None:
        yield prefix, str(value).lower() if isinstance(value, bool) else str(value)
    else:
        yield prefix, ""


def _entry_points(settings: Mapping[str, Any]) -> dict[str, EntryPoint]:
    found: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        match = _ENTRY.match(key)
        if not match:
            continue
        point = found.setdefault(match[1], {})
        rest, text = match[2], str(value)
        if rest == "address":
            number = text.rpartition(":")[2].partition("/")[0]
            point["port"] = int(number) if number.isdigit() else None
            point["udp"] = text.endswith("/udp")
        elif rest == "http.middlewares":
            point["middlewares"] = tuple(part.strip() for part in text.split(",") if part.strip())
        elif rest == "http.tls" or rest.startswith("http.tls."):
            point["tls"] = text.lower() != "false"
        elif rest == "http.redirections.entrypoint.to":
            point["redirect_to"] = text
        elif rest == "http.redirections.entrypoint.scheme":
            point["redirect_scheme"] = text
        elif rest == "asdefault":
            point["default"] = text.lower() == "true"
    return {name: EntryPoint(name, **values) for name, values in found.items()}

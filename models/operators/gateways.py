"""Services that Gateway API implementations make for a ``Gateway``, where their names are fixed rules.

Cilium: ``cilium-gateway-NAME``; Istio: ``NAME-CLASS``; NGINX Gateway Fabric: ``NAME-CLASS``; Envoy Gateway:
``envoy-NAMESPACE-NAME-HASH`` in its own namespace. Traefik and Kong serve a Gateway with their own Service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from models.objects import KubeObject
from models.operators.make import derived, mapping, maps, said_by, whole

_ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"


def derive(objects: list[KubeObject]) -> Iterator[KubeObject]:
    """One LoadBalancer Service per Gateway whose class says which implementation serves it."""
    controllers = {
        item.name: str(item.spec.get("controllerName") or "") for item in objects if item.kind == "GatewayClass"
    }
    for item in objects:
        if item.kind != "Gateway" or item.group != "gateway.networking.k8s.io":
            continue
        place = _place(item, controllers)
        if place is not None:
            namespace, name = place
            infrastructure = mapping(item.spec.get("infrastructure"))
            spec = {"type": "LoadBalancer", "ports": _ports(item)}
            addresses = [str(entry["value"]) for entry in maps(item.spec.get("addresses")) if entry.get("value")]
            if addresses:
                spec["loadBalancerIP"] = addresses[0]
            yield derived(
                item,
                "Service",
                name,
                by=said_by(item, "Gateway"),
                namespace=namespace,
                labels={
                    **mapping(infrastructure.get("labels")),
                    "gateway.networking.k8s.io/gateway-name": item.name,
                },
                annotations={str(k): str(v) for k, v in mapping(infrastructure.get("annotations")).items()},
                spec=spec,
            )


def _place(item: KubeObject, controllers: dict[str, str]) -> tuple[str, str] | None:
    """Namespace and name of the Service for a Gateway, None when the class does not make one."""
    name = str(item.spec.get("gatewayClassName") or "")
    controller = controllers.get(name, "")
    if controller == "io.cilium/gateway-controller" or (not controller and name == "cilium"):
        return item.namespace, f"cilium-gateway-{item.name}"
    if controller == "istio.io/gateway-controller" or (not controller and name == "istio"):
        return item.namespace, f"{item.name}-{name}"
    if controller == "gateway.nginx.org/nginx-gateway-controller":
        return item.namespace, f"{item.name}-{name}"
    if controller == _ENVOY:
        full = f"{item.namespace}/{item.name}"
        digest = hashlib.sha256(full.encode()).hexdigest()[:8]
        return "envoy-gateway-system", f"envoy-{full.replace('/', '-')[:48]}-{digest}"
    return None


def _ports(item: KubeObject) -> list[dict[str, object]]:
    ports: dict[int, dict[str, object]] = {}
    for listener in maps(item.spec.get("listeners")):
        number = whole(listener.get("port"), 0)
        if number and number not in ports:
            ports[number] = {"name": f"port-{number}", "port": number, "protocol": "TCP"}
    return list(ports.values())

"""Ways into a platform, whatever kind of object declares them."""

from __future__ import annotations

import pytest
from graphs import deployment, graph, platform

from models.graph.matchers import Match, parse_rule
from models.graph.middlewares import (
    BasicAuth,
    ForwardAuth,
    InFlightReq,
    IpAllowList,
    RateLimit,
    Redirect,
    Retry,
    Unresolved,
)
from models.graph.routes import EntryRoute, entry_routes

TRAEFIK = """
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: traefik, namespace: infra}
spec:
  selector: {matchLabels: {app: traefik}}
  template:
    metadata: {labels: {app: traefik}}
    spec:
      containers:
        - name: traefik
          image: docker.io/traefik:v3.5
          args:
            - --entryPoints.web.address=:80
            - --entryPoints.web.http.redirections.entryPoint.to=websecure
            - --entryPoints.websecure.address=:443
            - --entryPoints.websecure.http.tls=true
            - --entryPoints.websecure.http.middlewares=infra-limit@kubernetescrd
---
apiVersion: v1
kind: Service
metadata: {name: traefik, namespace: infra}
spec: {type: LoadBalancer, loadBalancerIP: 192.168.1.240, selector: {app: traefik}, ports: [{port: 443}]}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: limit, namespace: infra}
spec: {rateLimit: {average: 120, period: 1m, burst: 40}}
"""


def routes(text: str) -> dict[str, EntryRoute]:
    return {item.id: item for item in entry_routes(platform(text))}


def ingress_route(spec: str, extra: str = "") -> str:
    return (
        "---\napiVersion: traefik.io/v1alpha1\nkind: IngressRoute\n"
        f"metadata: {{name: app, namespace: x{extra}}}\nspec: {spec}\n"
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("Host(`a.org`)", [Match("a.org")]),
        ("Host(`a.org`, `b.org`)", [Match("a.org"), Match("b.org")]),
        ("Host(`A.org`) && PathPrefix(`/x`)", [Match("a.org", "/x")]),
        ("(Host(`a.org`) || Host(`b.org`)) && !Path(`/no`)", [Match("a.org"), Match("b.org")]),
        ("Host(`a.org`) && (PathPrefix(`/x`) || Path(`/y`))", [Match("a.org", "/x"), Match("a.org", "/y")]),
        ("HostRegexp(`^[a-z]+\\.a\\.org$`)", [Match("*.a.org")]),
        ("HostSNI(`*`)", [Match("*")]),
        ("PathPrefix(`/only`)", [Match("*", "/only")]),
        ("Host(`a.org", [Match("*")]),
        ("((((", [Match("*")]),
    ],
)
def test_rule_of_a_router_is_its_hosts_and_paths(rule: str, expected: list[Match]) -> None:
    assert list(parse_rule(rule)) == expected


def test_traefik_route_has_entry_point_middlewares_chains_weights_and_default_certificate() -> None:
    text = (
        TRAEFIK
        + deployment("blue", port=8080)
        + deployment("green", port=8080)
        + deployment("auth", "infra", port=9091)
        + ingress_route(
            "{entryPoints: [websecure], routes: [{match: Host(`app.example.org`), "
            "middlewares: [{name: chain, namespace: infra}], services: [{name: split, kind: TraefikService}]}]}"
        )
        + """
---
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: split, namespace: x}
spec: {weighted: {services: [{name: blue, port: http, weight: 3}, {name: green, port: 8080, weight: 1}]}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: chain, namespace: infra}
spec: {chain: {middlewares: [{name: lan}, {name: auth}, {name: again}]}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: lan, namespace: infra}
spec: {ipAllowList: {sourceRange: [192.168.0.0/16, 100.64.0.0/10]}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: auth, namespace: infra}
spec: {forwardAuth: {address: "http://auth.infra.svc.cluster.local:9091/api/verify"}}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: again, namespace: infra}
spec: {retry: {attempts: 4, initialInterval: 100ms}}
---
apiVersion: traefik.io/v1alpha1
kind: TLSStore
metadata: {name: default, namespace: infra}
spec: {defaultCertificate: {secretName: wild}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: wildcard, namespace: infra}
spec: {secretName: wild, issuerRef: {name: le}}
"""
    )
    route = routes(text)["app.example.org"]
    limit, lan, auth, again = route.middlewares
    assert isinstance(limit, RateLimit)
    assert (limit.average_rps, limit.burst) == (2.0, 40)
    assert isinstance(lan, IpAllowList)
    assert lan.private_only
    assert isinstance(auth, ForwardAuth)
    assert (auth.service, auth.port) == ("Service infra/auth", 9091)
    assert isinstance(again, Retry)
    assert (again.attempts, again.initial_interval_s) == (4, 0.1)
    assert [(item.service, item.port, item.weight) for item in route.backends] == [
        ("Service x/blue", 8080, 0.75),
        ("Service x/green", 8080, 0.25),
    ]
    assert (route.load_balancer, route.entry_service) == ("192.168.1.240", "Service infra/traefik")
    assert (route.tls_secret, route.certificate) == ("Secret infra/wild", "Certificate infra/wildcard")
    assert not route.external


def test_missing_middleware_is_kept_as_unresolved_and_a_chain_in_a_ring_ends() -> None:
    ring = """
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: ring, namespace: x}
spec: {chain: {middlewares: [{name: ring}]}}
"""
    text = ring + ingress_route(
        "{routes: [{match: Host(`a.org`), middlewares: [{name: gone}, {name: ring}], services: []}]}"
    )
    found = routes(text)["a.org"].middlewares
    assert [type(item) for item in found] == [Unresolved, Unresolved]


def test_plain_entry_point_redirects_and_internal_service_is_no_backend() -> None:
    spec = (
        "{entryPoints: [web], routes: [{match: Host(`a.org`), services: [{name: api@internal, kind: TraefikService}]}]}"
    )
    route = routes(TRAEFIK + ingress_route(spec))["a.org"]
    assert [type(item) for item in route.middlewares] == [Redirect]
    assert (route.backends, route.internal) == ((), "api@internal")


def test_tunnel_makes_its_hosts_external_and_the_catch_all_404_does_not() -> None:
    text = (
        TRAEFIK
        + deployment("app", port=80)
        + ingress_route(
            "{routes: [{match: Host(`app.example.org`), services: [{name: app, port: 80}]}, "
            "{match: Host(`lan.example.org`), services: [{name: app, port: 80}]}]}"
        )
        + """
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tunnel, namespace: infra}
data:
  config.yaml: |
    ingress:
      - {hostname: app.example.org, service: "https://traefik.infra.svc:443"}
      - {hostname: direct.example.org, service: "http://app.x.svc:80"}
      - service: http_status:404
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cloudflared, namespace: infra}
spec:
  template:
    spec:
      containers: [{name: c, image: "cloudflare/cloudflared:2025.8.1"}]
      volumes: [{name: c, configMap: {name: tunnel}}]
"""
    )
    found = routes(text)
    assert {name: (item.external, item.edge) for name, item in found.items()} == {
        "app.example.org": (True, "cloudflare"),
        "lan.example.org": (False, None),
        "direct.example.org": (True, "cloudflare"),
    }
    assert found["direct.example.org"].entry_workload == "Deployment infra/cloudflared"


@pytest.mark.parametrize(
    ("annotations", "external", "edge"),
    [
        ('external-dns.alpha.kubernetes.io/cloudflare-proxied: "true"', True, "cloudflare"),
        ('external-dns.alpha.kubernetes.io/target: "192.168.1.240"', False, None),
        ('external-dns.alpha.kubernetes.io/target: "abc.cfargotunnel.com"', True, "cloudflare"),
        ('external-dns.alpha.kubernetes.io/target: "203.0.114.7"', True, None),
        ('a: "b"', False, None),
    ],
)
def test_record_decides_who_can_reach_the_name(annotations: str, external: bool, edge: str | None) -> None:
    spec = "{routes: [{match: Host(`a.org`), services: []}]}"
    route = routes(TRAEFIK + ingress_route(spec, f", annotations: {{{annotations}}}"))["a.org"]
    assert (route.external, route.edge) == (external, edge)


def test_nginx_ingress_annotations_are_guards() -> None:
    text = (
        deployment("app", port=80)
        + deployment("auth", "infra", port=80)
        + """
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
  namespace: x
  annotations:
    nginx.ingress.kubernetes.io/auth-url: http://auth.infra.svc.cluster.local/verify
    nginx.ingress.kubernetes.io/limit-rps: "10"
    nginx.ingress.kubernetes.io/limit-connections: "7"
    nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8
    nginx.ingress.kubernetes.io/auth-type: basic
    nginx.ingress.kubernetes.io/auth-secret: users
spec:
  ingressClassName: nginx
  tls: [{secretName: tls}]
  rules:
    - host: app.example.org
      http: {paths: [{path: /, backend: {service: {name: app, port: {name: http}}}}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ingress-nginx-controller, namespace: ingress-nginx}
spec:
  template:
    metadata: {labels: {app: nginx}}
    spec: {containers: [{name: c, image: registry.k8s.io/ingress-nginx/controller:v1.13.0}]}
---
apiVersion: v1
kind: Service
metadata: {name: ingress-nginx-controller, namespace: ingress-nginx}
spec: {type: LoadBalancer, loadBalancerIP: 10.0.0.5, selector: {app: nginx}, ports: [{port: 443}]}
"""
    )
    route = routes(text)["app.example.org"]
    kinds = {type(item) for item in route.middlewares}
    assert kinds == {ForwardAuth, RateLimit, InFlightReq, IpAllowList, BasicAuth}
    assert (route.load_balancer, route.tls_secret) == ("10.0.0.5", "Secret x/tls")
    assert [(item.service, item.port) for item in route.backends] == [("Service x/app", 80)]


def test_gateway_route_goes_through_the_service_that_cilium_makes() -> None:
    text = (
        deployment("app", port=80)
        + """
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: external, namespace: kube-system}
spec:
  gatewayClassName: cilium
  addresses: [{value: 192.168.1.9}]
  listeners:
    - {name: https, port: 443, hostname: "*.example.org", tls: {certificateRefs: [{name: wild}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app, namespace: x}
spec:
  parentRefs: [{name: external, namespace: kube-system, sectionName: https}]
  hostnames: [app.example.org]
  rules: [{matches: [{path: {value: /}}, {path: {value: /api}}], backendRefs: [{name: app, port: 80, weight: 2}]}]
"""
    )
    found = routes(text)
    assert list(found) == ["app.example.org", "app.example.org/api"]
    route = found["app.example.org"]
    assert (route.entry_service, route.load_balancer) == ("Service kube-system/cilium-gateway-external", "192.168.1.9")
    assert (route.tls_secret, route.external) == ("Secret kube-system/wild", True)


def test_two_objects_with_one_host_keep_two_ids() -> None:
    spec = "{routes: [{match: Host(`a.org`), services: []}]}"
    other = ingress_route(spec).replace("name: app", "name: other")
    assert list(routes(ingress_route(spec) + other)) == ["a.org", "a.org (x/other)"]


def test_a_gateway_that_is_not_there_is_told_of_for_every_route_that_names_it() -> None:
    head = "apiVersion: gateway.networking.k8s.io/v1\nmetadata: {namespace: x, name: "
    route = "spec: {parentRefs: [{name: here}, {name: gone, namespace: net}, {kind: Service, name: mesh}]}\n"
    gateway = "spec: {gatewayClassName: c, listeners: [{name: a, port: 80, protocol: HTTP}]}\n"
    text = f"{head}web}}\nkind: HTTPRoute\n{route}---\n{head}here}}\nkind: Gateway\n{gateway}"
    found = [(item.source, item.target, item.namespace) for item in graph(text).graph["dangling"]]
    assert found == [("HTTPRoute x/web", "Gateway net/gone", "net")]

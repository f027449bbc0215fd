"""Verdicts of network policies, from the examples of the Kubernetes and Cilium documentation."""

from __future__ import annotations

import pytest
from graphs import deployment, edges, graph, platform

from models.graph.netpol import Endpoint, Verdict, verdict

PODS = deployment("web", "a", port=8080) + deployment("client", "b") + deployment("other", "a")
DENY = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: a}
spec: {podSelector: {}, policyTypes: [Ingress]}
"""


def ask(text: str, source: str = "Deployment b/client", target: str = "Deployment a/web", port: int = 8080) -> Verdict:
    read = platform(text)
    return verdict(read, read.workload_by_id[source], read.workload_by_id[target], port)


def allow(peer: str, ports: str = "[]") -> str:
    return f"""
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: allow, namespace: a}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  ingress: [{{from: [{peer}], ports: {ports}}}]
"""


def test_without_a_policy_everything_is_allowed() -> None:
    assert ask(PODS).allowed


def test_default_deny_refuses_and_names_the_policy() -> None:
    answer = ask(PODS + DENY)
    assert (answer.allowed, answer.policies, answer.direction) == (False, ("a/deny",), "ingress")


@pytest.mark.parametrize(
    ("peer", "ports", "allowed"),
    [
        ("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: b}}}", "[]", True),
        ("{namespaceSelector: {}}", "[]", True),
        ("{podSelector: {}}", "[]", False),
        ("{namespaceSelector: {}, podSelector: {matchLabels: {app: client}}}", "[]", True),
        ("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: c}}, podSelector: {}}", "[]", False),
        ("{namespaceSelector: {}}", "[{port: 8080}]", True),
        ("{namespaceSelector: {}}", "[{port: http}]", True),
        ("{namespaceSelector: {}}", "[{port: 9090}]", False),
        ("{namespaceSelector: {}}", "[{port: 8000, endPort: 8100}]", True),
        ("{namespaceSelector: {}}", "[{port: 8080, protocol: UDP}]", False),
        ("{ipBlock: {cidr: 0.0.0.0/0}}", "[]", True),
        ("{ipBlock: {cidr: 192.168.1.0/24}}", "[]", False),
    ],
)
def test_rule_lets_in_what_it_says(peer: str, ports: str, allowed: bool) -> None:
    assert ask(PODS + DENY + allow(peer, ports)).allowed is allowed


def test_both_sides_must_agree() -> None:
    deny_out = DENY.replace("namespace: a", "namespace: b").replace("Ingress", "Egress")
    answer = ask(PODS + deny_out)
    assert (answer.allowed, answer.direction, answer.policies) == (False, "egress", ("b/deny",))


def test_egress_rules_without_policy_types_isolate_both_directions() -> None:
    text = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: both, namespace: a}
spec: {podSelector: {matchLabels: {app: web}}, egress: [{}]}
"""
    assert ask(PODS + text).direction == "ingress"
    assert ask(PODS + text, "Deployment a/web", "Deployment b/client", 80).allowed


def test_address_block_with_a_hole_decides_about_hosts_outside() -> None:
    text = """
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: b}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]
"""
    read = platform(PODS + text)
    client = read.workload_by_id["Deployment b/client"]
    assert verdict(read, client, Endpoint(address="1.1.1.1"), 443).allowed
    assert not verdict(read, client, Endpoint(address="10.1.2.3"), 443).allowed


def test_cilium_policy_with_a_namespace_label_lets_that_namespace_in() -> None:
    text = """
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: c, namespace: a}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
    - fromEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": NS, app: client}}]
      toPorts: [{ports: [{port: "8080", protocol: TCP}]}]
"""
    assert ask(PODS + text.replace("NS", "b")).allowed
    assert not ask(PODS + text.replace("NS", "c")).allowed
    assert not ask(PODS + text.replace("NS", "b"), port=9).allowed
    assert not ask(PODS + text.replace("NS", "b"), "Deployment a/other").allowed


def test_verdict_is_on_the_edge_with_the_port_of_the_pod() -> None:
    caller = deployment("caller", "b", extra='env: [{name: URL, value: "http://web.a.svc:8080"}]')
    built = graph(PODS + caller + DENY)
    assert ("Deployment b/caller", "Service a/web", "calls") in edges(built)
    data = built.edges["Deployment b/caller", "Service a/web", "calls"]
    assert (data["allowed"], data["policy"], data["policy_direction"]) == (False, "a/deny", "ingress")


PAIR = deployment("db", image="postgres", port=5432) + deployment("api", extra="env: [{name: DB_HOST, value: db}]")


def cilium(spec: str, *, wide: bool = False) -> str:
    kind, space = ("CiliumClusterwideNetworkPolicy", "") if wide else ("CiliumNetworkPolicy", ", namespace: x")
    return f"\n---\napiVersion: cilium.io/v2\nkind: {kind}\nmetadata: {{name: p{space}}}\nspec: {spec}\n"


@pytest.mark.parametrize(
    ("spec", "wide", "allowed"),
    [
        ("{endpointSelector: {matchLabels: {app: db}}, ingress: [{}]}", False, False),
        ("{endpointSelector: {matchLabels: {app: db}}, ingress: [{fromEndpoints: [{}]}]}", False, True),
        (
            "{endpointSelector: {}, ingress: [{fromEntities: [cluster]}], egress: [{toEntities: [cluster]}]}",
            False,
            True,
        ),
        ("{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: http}]}]}]}", False, True),
        ("{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '5000', endPort: 6000}]}]}]}", False, True),
        ("{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: '80'}]}]}]}", False, False),
        (
            (
                "{endpointSelector: {}, ingress: [{fromEndpoints: [{}]}],"
                " ingressDeny: [{fromEndpoints: [{matchLabels: {app: api}}]}]}"
            ),
            False,
            False,
        ),
        ("{endpointSelector: {}, ingressDeny: [{fromEndpoints: [{matchLabels: {app: other}}]}]}", False, False),
        (
            (
                "{endpointSelector: {}, enableDefaultDeny: {ingress: false},"
                " ingress: [{fromEndpoints: [{matchLabels: {app: other}}]}]}"
            ),
            False,
            True,
        ),
        (
            (
                "{endpointSelector: {matchLabels: {app: api}},"
                " egress: [{toServices: [{k8sService: {serviceName: db, namespace: x}}]}]}"
            ),
            False,
            True,
        ),
        (
            (
                "{endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': x}},"
                " ingress: [{fromEndpoints: [{matchLabels: {'k8s:io.kubernetes.pod.namespace': other}}]}]}"
            ),
            True,
            False,
        ),
    ],
)
def test_cilium_policies_allow_deny_and_default_to_deny(spec: str, wide: bool, allowed: bool) -> None:
    built = graph(PAIR + cilium(spec, wide=wide))
    assert built.edges["Deployment x/api", "Service x/db", "queries"]["allowed"] is allowed
    policy = "CiliumClusterwideNetworkPolicy p" if wide else "CiliumNetworkPolicy x/p"
    assert any(target == policy for _, target, kind in built.edges(keys=True) if kind == "governed-by")


def test_what_a_policy_without_default_deny_allows_counts_beside_one_that_denies() -> None:
    deny = cilium("{endpointSelector: {}, ingress: [{}]}").replace("name: p,", "name: deny,")
    allow = cilium("{endpointSelector: {}, enableDefaultDeny: {ingress: false}, ingress: [{fromEndpoints: [{}]}]}")
    assert graph(PAIR + deny).edges["Deployment x/api", "Service x/db", "queries"]["allowed"] is False
    assert graph(PAIR + deny + allow).edges["Deployment x/api", "Service x/db", "queries"]["allowed"] is True

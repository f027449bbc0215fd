"""The reference platform renders, and everything in it that points at something points at something that is there."""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
import yaml
from homelab_tree import (
    OVERLAYS,
    TREE,
    Doc,
    Pods,
    amount,
    backends,
    matches,
    mission,
    node_of,
    of_kind,
    pod_port,
    rendered,
    services,
    workloads,
)

pytestmark = pytest.mark.oracle
overlays = pytest.mark.parametrize("overlay", OVERLAYS)
TRACKED = ("requests.cpu", "requests.memory", "limits.memory")


def _refs(spec: Any) -> set[tuple[str, str, bool]]:
    """(kind, name, optional) of every ConfigMap and Secret that a pod's spec names."""
    found: set[tuple[str, str, bool]] = set()
    for c in [*spec.get("initContainers", []), *spec["containers"]]:
        for source in c.get("envFrom", []):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    found.add((kind, source[key]["name"], source[key].get("optional", False)))
        for env in c.get("env", []):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if ref := env.get("valueFrom", {}).get(key):
                    found.add((kind, ref["name"], ref.get("optional", False)))
    for volume in spec.get("volumes", []):
        if "configMap" in volume:
            found.add(("ConfigMap", volume["configMap"]["name"], volume["configMap"].get("optional", False)))
        if "secret" in volume:
            found.add(("Secret", volume["secret"]["secretName"], volume["secret"].get("optional", False)))
    return found


def _secrets(docs: tuple[Doc, ...]) -> dict[tuple[str, str], set[str]]:
    """Secrets that will exist, with their keys: unsealed ones, and those that cert-manager and CloudNativePG make."""
    made: dict[tuple[str, str], set[str]] = {}
    for doc in of_kind(docs, "SealedSecret"):
        template = doc["spec"]["template"]["metadata"]["name"]
        assert template == doc["metadata"]["name"]
        made[doc["metadata"]["namespace"], template] = set(doc["spec"]["encryptedData"])
    for doc in of_kind(docs, "Certificate"):
        made[doc["metadata"]["namespace"], doc["spec"]["secretName"]] = {"tls.crt", "tls.key"}
    for doc in of_kind(docs, "Cluster"):
        keys = {"username", "password", "dbname", "host", "port", "uri", "jdbc-uri", "pgpass"}
        made[doc["metadata"]["namespace"], f"{doc['metadata']['name']}-app"] = keys
    return made


@overlays
def test_no_object_is_rendered_twice_and_every_namespaced_one_has_a_namespace_of_the_tree(overlay: str) -> None:
    docs = rendered(overlay)
    keys = [(d["apiVersion"], d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in docs]
    assert len(keys) == len(set(keys))
    namespaces = {d["metadata"]["name"] for d in of_kind(docs, "Namespace")}
    assert namespaces == {"argocd", "htpc", "infra", "monitoring", "utils"}
    assert {key[2] for key in keys} - {None} <= namespaces


@overlays
def test_nothing_is_left_of_what_an_environment_must_set(overlay: str) -> None:
    text = str(rendered(overlay))
    assert "set-by-environment" not in text
    hosts = set(re.findall(r"Host\(`([^`]+)`\)", text))
    domain = {"production": ".home.example.org", "staging": ".staging.home.example.org"}[overlay]
    assert len(hosts) == 18
    assert all(host.endswith(domain) and host.count(".") == domain.count(".") for host in hosts)


@overlays
def test_every_name_in_an_annotation_is_the_name_in_the_rule(overlay: str) -> None:
    for doc in of_kind(rendered(overlay), "IngressRoute"):
        rules = [r["match"] for r in doc["spec"]["routes"]]
        hostname = doc["metadata"]["annotations"].get("external-dns.alpha.kubernetes.io/hostname")
        if doc["metadata"]["name"] == "plain-http":
            assert (rules, hostname) == (["PathPrefix(`/`)"], None)
        else:
            assert rules == [f"Host(`{hostname}`)"]


@overlays
def test_the_tunnel_lists_exactly_the_names_that_are_proxied(overlay: str) -> None:
    docs = rendered(overlay)
    prefix = "external-dns.alpha.kubernetes.io"
    proxied = {
        d["metadata"]["annotations"][f"{prefix}/hostname"]
        for d in of_kind(docs, "IngressRoute")
        if d["metadata"]["annotations"].get(f"{prefix}/cloudflare-proxied") == "true"
    }
    (config,) = (d for d in of_kind(docs, "ConfigMap") if d["metadata"]["name"].startswith("cloudflared-config-"))
    listed = set(re.findall(r"hostname: (\S+)", config["data"]["config.yaml"]))
    assert listed == proxied
    assert len(listed) == 6


@pytest.mark.parametrize("system", mission(), ids=lambda s: s["system"])
def test_every_system_of_the_mission_is_in_the_tree(system: Doc) -> None:
    nodes = {node_of(doc) for doc in rendered("production")}
    assert system["objects"]
    assert [name for name in system["objects"] if name not in nodes] == []
    assert {"fault", "operation", "finding"} & set(system)


@overlays
def test_every_container_says_what_it_needs_and_how_much_memory_it_may_take(overlay: str) -> None:
    for pods in workloads(rendered(overlay)):
        for c in pods.containers:
            resources = c["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), f"{pods.node} {c['name']}"
            assert "memory" in resources["limits"], f"{pods.node} {c['name']}"
            for name, limit in resources["limits"].items():
                assert amount(resources["requests"][name]) <= amount(limit), f"{pods.node} {c['name']} {name}"


@overlays
def test_every_container_of_an_app_has_readiness_and_liveness_probes_on_ports_that_it_opens(overlay: str) -> None:
    for doc in of_kind(rendered(overlay), "Deployment", "StatefulSet", "DaemonSet"):
        pod = doc["spec"]["template"]["spec"]
        sidecars = [c for c in pod.get("initContainers", []) if c.get("restartPolicy") == "Always"]
        in_pod = [p["containerPort"] for c in pod["containers"] for p in c.get("ports", [])]
        for c in pod["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= set(c), f"{node_of(doc)} {c['name']}"
        assert all("livenessProbe" in c and "startupProbe" in c for c in sidecars)
        for c in [*pod["containers"], *sidecars]:
            own = [p["name"] for p in c.get("ports", [])]  # a probe's port name is looked up in its own container
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for how in ("httpGet", "tcpSocket"):
                    if port := c.get(probe, {}).get(how, {}).get("port"):
                        assert port in (own if isinstance(port, str) else in_pod), f"{node_of(doc)} {port}"


@overlays
def test_every_image_is_pinned(overlay: str) -> None:
    for doc in rendered(overlay):
        for image in re.findall(r"'image(?:Name)?': '([^']+)'", str(doc)):
            if doc["kind"] != "Plan":  # its version is a field of its own
                assert re.search(r":v?\d", image), f"{node_of(doc)} {image}"


@overlays
def test_every_selector_selects_and_every_named_port_exists(overlay: str) -> None:
    docs = rendered(overlay)
    for service in services(docs):
        found = backends(docs, service)
        assert len(found) == 1, f"{node_of(service)} -> {[p.node for p in found]}"
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            assert pod_port(found[0], target) in found[0].ports.values(), f"{node_of(service)} {target}"
    for doc in of_kind(docs, "Deployment", "StatefulSet", "DaemonSet"):
        assert matches(doc["spec"]["selector"]["matchLabels"], doc["spec"]["template"]["metadata"]["labels"])
    for doc in of_kind(docs, "PodDisruptionBudget"):
        assert len(backends(docs, {**doc, "spec": {"selector": doc["spec"]["selector"]["matchLabels"]}})) == 1
    for doc in of_kind(docs, "PodMonitor"):
        (pods,) = backends(docs, {**doc, "spec": {"selector": doc["spec"]["selector"]["matchLabels"]}})
        assert all(end["port"] in pods.ports for end in doc["spec"]["podMetricsEndpoints"]), node_of(doc)
    for doc in of_kind(docs, "ServiceMonitor"):
        wanted = doc["spec"]["selector"]["matchLabels"]
        (service,) = (
            s
            for s in of_kind(docs, "Service")
            if s["metadata"]["namespace"] == doc["metadata"]["namespace"] and matches(wanted, s["metadata"]["labels"])
        )
        assert {e["port"] for e in doc["spec"]["endpoints"]} <= {p["name"] for p in service["spec"]["ports"]}


@overlays
def test_every_route_leads_to_a_service_port_and_through_middlewares_that_exist(overlay: str) -> None:
    docs = rendered(overlay)
    ports = {(s["metadata"]["namespace"], s["metadata"]["name"]): s["spec"]["ports"] for s in services(docs)}
    middlewares = {(d["metadata"]["namespace"], d["metadata"]["name"]) for d in of_kind(docs, "Middleware")}
    for doc in of_kind(docs, "IngressRoute"):
        for route in doc["spec"]["routes"]:
            assert route["middlewares"], f"{node_of(doc)} is not guarded by anything"
            assert {(m["namespace"], m["name"]) for m in route["middlewares"]} <= middlewares
            for target in route["services"]:
                if target["kind"] == "TraefikService":
                    assert target["name"] in ("api@internal", "noop@internal")
                    continue
                names = {p["name"] for p in ports[doc["metadata"]["namespace"], target["name"]]}
                assert target["port"] in names, node_of(doc)
    for doc in of_kind(docs, "Middleware"):
        for member in doc["spec"].get("chain", {}).get("middlewares", []):
            assert (doc["metadata"]["namespace"], member["name"]) in middlewares


@overlays
def test_every_configmap_secret_claim_class_account_and_priority_that_is_named_exists(overlay: str) -> None:
    docs = rendered(overlay)
    secrets = _secrets(docs)
    there = {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in docs}
    for pods in workloads(docs):
        for kind, name, optional in _refs(pods.spec):
            exists = (pods.namespace, name) in secrets if kind == "Secret" else (kind, pods.namespace, name) in there
            assert exists or optional, f"{pods.node} -> {kind} {name}"
        for volume in pods.spec.get("volumes", []):
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", pods.namespace, claim["claimName"]) in there, pods.node
        if account := pods.spec.get("serviceAccountName"):
            assert ("ServiceAccount", pods.namespace, account) in there, pods.node
        if priority := pods.spec.get("priorityClassName"):
            assert ("PriorityClass", None, priority) in there, pods.node
        mounted = {m["name"] for c in pods.containers for m in c.get("volumeMounts", [])}
        claims = {"data", "storage"} if pods.node.startswith("StatefulSet") else set()
        volumes = {v["name"] for v in pods.spec.get("volumes", [])}
        assert volumes <= mounted <= volumes | claims, pods.node
    for class_name in re.findall(r"'storageClass(?:Name)?': '([^']+)'", str(docs)):
        assert ("StorageClass", None, class_name) in there
    for class_name in re.findall(r"'volumeSnapshotClassName': '([^']+)'", str(docs)):
        assert ("VolumeSnapshotClass", None, class_name) in there


@overlays
def test_every_secret_key_that_is_read_is_in_the_secret(overlay: str) -> None:
    docs = rendered(overlay)
    secrets = _secrets(docs)
    for pods in workloads(docs):
        for c in pods.containers:
            for env in c.get("env", []):
                if ref := env.get("valueFrom", {}).get("secretKeyRef"):
                    assert ref["key"] in secrets[pods.namespace, ref["name"]], f"{pods.node} {env['name']}"
                if ref := env.get("valueFrom", {}).get("configMapKeyRef"):
                    (data,) = (d["data"] for d in of_kind(docs, "ConfigMap") if d["metadata"]["name"] == ref["name"])
                    assert ref["key"] in data, f"{pods.node} {env['name']}"


@overlays
def test_every_binding_joins_an_account_and_a_role_that_exist(overlay: str) -> None:
    docs = rendered(overlay)
    there = {(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in docs}
    bindings = list(of_kind(docs, "RoleBinding", "ClusterRoleBinding"))
    assert bindings
    for doc in bindings:
        role = doc["roleRef"]
        namespace = doc["metadata"]["namespace"] if role["kind"] == "Role" else None
        assert (role["kind"], namespace, role["name"]) in there
        for subject in doc["subjects"]:
            assert ("ServiceAccount", subject["namespace"], subject["name"]) in there


def _need(pods: Pods) -> dict[str, Decimal]:
    """Effective requests and limits of one pod: the larger of what runs together and what each init step takes."""
    total: dict[str, Decimal] = {"pods": Decimal(1)}
    for key in TRACKED:
        group, _, resource = key.partition(".")
        values = {c["name"]: amount(c["resources"][group][resource]) for c in pods.containers}
        together = sum((values[c["name"]] for c in pods.running), Decimal(0))
        total[key] = max([together, *values.values()])
    return total


def _storage(docs: tuple[Doc, ...]) -> dict[str, list[Decimal]]:
    claims: dict[str, list[Decimal]] = defaultdict(list)
    for doc in docs:
        spec, namespace = doc.get("spec", {}), doc["metadata"].get("namespace", "")
        if doc["kind"] == "PersistentVolumeClaim":
            claims[namespace].append(amount(spec["resources"]["requests"]["storage"]))
        for template in spec.get("volumeClaimTemplates", []):
            claims[namespace].append(amount(template["spec"]["resources"]["requests"]["storage"]))
        if doc["kind"] == "Cluster":
            claims[namespace] += [amount(spec["storage"]["size"])] * spec["instances"]
        if doc["kind"] in ("Prometheus", "Alertmanager"):
            template = spec["storage"]["volumeClaimTemplate"]["spec"]
            claims[namespace].append(amount(template["resources"]["requests"]["storage"]))
    return claims


@overlays
def test_every_quota_admits_the_largest_rollout_beside_all_jobs_and_a_fully_scaled_out_namespace(overlay: str) -> None:
    docs = rendered(overlay)
    scaled = {d["metadata"]["name"]: d["spec"]["maxReplicas"] for d in of_kind(docs, "HorizontalPodAutoscaler")}
    claims = _storage(docs)
    quotas = list(of_kind(docs, "ResourceQuota"))
    assert len(quotas) == 5
    for quota in quotas:
        namespace, hard = quota["metadata"]["namespace"], quota["spec"]["hard"]
        assert set(hard) == {*TRACKED, "pods", "persistentvolumeclaims", "requests.storage"}
        own = [p for p in workloads(docs) if p.namespace == namespace]
        for key in (*TRACKED, "pods"):
            most = sum(_need(p)[key] * max(p.replicas, scaled.get(p.node.split("/")[1], 1)) for p in own)
            largest_surge = max(_need(p)[key] * p.surge for p in own)
            assert most + largest_surge <= amount(hard[key]), f"{namespace} {key}: {most} + {largest_surge}"
        assert len(claims[namespace]) <= amount(hard["persistentvolumeclaims"])
        assert sum(claims[namespace]) <= amount(hard["requests.storage"])


@overlays
def test_every_limit_range_lets_the_containers_and_claims_of_its_namespace_through(overlay: str) -> None:
    docs = rendered(overlay)
    claims = _storage(docs)
    for doc in of_kind(docs, "LimitRange"):
        for item in doc["spec"]["limits"]:
            if item["type"] == "Container":
                limits = [
                    amount(c["resources"]["limits"]["memory"])
                    for p in workloads(docs)
                    if p.namespace == doc["metadata"]["namespace"]
                    for c in p.containers
                ]
                assert max(limits) <= amount(item["max"]["memory"])
            else:
                sizes = claims[doc["metadata"]["namespace"]]
                assert amount(item["min"]["storage"]) <= min(sizes)
                assert max(sizes) <= amount(item["max"]["storage"])


def test_production_asks_for_six_to_eight_cores_so_that_two_of_three_machines_can_carry_it() -> None:
    docs = rendered("production")
    cores = sum(_need(p)["requests.cpu"] * p.replicas for p in workloads(docs))
    memory_gib = sum(_need(p)["requests.memory"] * p.replicas for p in workloads(docs)) / 2**30
    assert 6 <= cores <= 8
    assert memory_gib <= 2 * 32 / 2
    highest = max(_need(p)["requests.cpu"] for p in workloads(docs))
    assert highest <= 1


def test_staging_asks_for_less_than_production_of_everything() -> None:
    for key in (*TRACKED, "pods"):
        rest = [sum(_need(p)[key] * p.replicas for p in workloads(rendered(o))) for o in OVERLAYS]
        assert rest[1] < rest[0], key


def test_replicated_workloads_have_a_budget_and_are_kept_apart() -> None:
    docs = rendered("production")
    budgets = [d["spec"]["selector"]["matchLabels"] for d in of_kind(docs, "PodDisruptionBudget")]
    replicated = [d for d in of_kind(docs, "Deployment") if d["spec"].get("replicas", 1) > 1]
    assert {d["metadata"]["name"] for d in replicated} == {"traefik", "cloudflared", "homepage"}
    for doc in replicated:
        template = doc["spec"]["template"]
        assert any(matches(selector, template["metadata"]["labels"]) for selector in budgets)
        spread = template["spec"].get("topologySpreadConstraints", [])
        apart = template["spec"].get("affinity", {}).get("podAntiAffinity", {})
        assert spread or apart


def test_a_claim_on_one_node_is_never_updated_by_two_pods_at_once() -> None:
    docs = rendered("production")
    modes = {
        (d["metadata"]["namespace"], d["metadata"]["name"]): d["spec"]["accessModes"]
        for d in of_kind(docs, "PersistentVolumeClaim")
    }
    for doc in of_kind(docs, "Deployment"):
        volumes = doc["spec"]["template"]["spec"].get("volumes", [])
        claims = [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]
        if any(modes[doc["metadata"]["namespace"], claim] == ["ReadWriteOnce"] for claim in claims):
            assert doc["spec"]["strategy"] == {"type": "Recreate"}, node_of(doc)


def test_the_tree_needs_no_network_and_no_chart() -> None:
    for path in sorted(TREE.rglob("*.yaml")):
        text = path.read_text()
        assert "helmCharts" not in text, path
        if path.name == "kustomization.yaml":
            listed = yaml.safe_load(text)
            sources = [*listed.get("resources", []), *listed.get("components", [])]
            assert [s for s in sources if "//" in s or not (path.parent / s).exists()] == [], path

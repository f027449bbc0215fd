"""Names, selectors and ports of modelled charts, each as the chart's own templates or its live objects have it.

The upstream file or release is named at each expectation.
"""

from __future__ import annotations

from typing import Any

import pytest
from modelled import made
from pydantic import ValidationError

from models.charts import load_model, model_names
from models.charts.catalogue import ChartModel
from models.charts.scope import Scope


def ports(service: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Name to port and target of a Service."""
    return {port["name"]: (port["port"], port["targetPort"]) for port in service["spec"]["ports"]}


def containers(workload: dict[str, Any]) -> list[str]:
    return [container["name"] for container in workload["spec"]["template"]["spec"]["containers"]]


SERVICES = [
    # grafana/helm-charts charts/grafana/templates/service.yaml: targetPort is a number of the values.
    ("grafana", "", "grafana", {"service": (80, 3000)}),
    # live objects of argo-cd 9.2.4 (release argocd): both ports lead to 8080.
    ("argo-cd", "", "argo-cd-argocd-server", {"http": (80, 8080), "https": (443, 8080)}),
    # cert-manager templates/cainjector-service.yaml and webhook-service.yaml, prometheus.servicemonitor.targetPort.
    ("cert-manager", "", "cert-manager-cainjector", {"http-metrics": (9402, "http-metrics")}),
    ("cert-manager", "", "cert-manager-webhook", {"https": (443, "https"), "metrics": (9402, "http-metrics")}),
    (
        "cert-manager",
        "prometheus: {podmonitor: {enabled: true}}",
        "cert-manager-webhook",
        {"https": (443, "https")},
    ),
    # prometheus-operator/service.yaml: https with TLS, http on 8080 without.
    ("kube-prometheus-stack", "", "kube-prometheus-stack-operator", {"https": (443, "https")}),
    (
        "kube-prometheus-stack",
        "prometheusOperator: {tls: {enabled: false}}",
        "kube-prometheus-stack-operator",
        {"http": (8080, "http")},
    ),
    # the operator's own Service of the kubelets, prometheusOperator.kubeletService.
    (
        "kube-prometheus-stack",
        "",
        "kube-prometheus-stack-kubelet",
        {"https-metrics": (10250, 10250), "http-metrics": (10255, 10255), "cadvisor": (4194, 4194)},
    ),
    # exporters/kube-etcd/service.yaml, exporters/kube-scheduler/service.yaml
    ("kube-prometheus-stack", "", "kube-prometheus-stack-kube-etcd", {"http-metrics": (2381, 2381)}),
    ("kube-prometheus-stack", "", "kube-prometheus-stack-kube-scheduler", {"http-metrics": (10259, 10259)}),
    # external-dns templates/service.yaml with providerName webhook
    (
        "external-dns",
        "provider: {name: webhook, webhook: {image: {repository: x}}}",
        "external-dns",
        {"http": (7979, "http"), "http-webhook": (8080, "http-webhook")},
    ),
    # coredns/helm _helpers.tpl coredns.servicePorts: one pair per server, numbers as targets
    (
        "coredns",
        "servers: [{port: 5353, servicePort: 53}]",
        "coredns",
        {"udp-5353": (53, 5353), "tcp-5353": (53, 5353)},
    ),
    # bitnami/valkey templates/primary/service.yaml
    ("valkey", "", "valkey-primary", {"tcp-redis": (6379, "redis")}),
    # bitnami/postgresql templates/primary/svc.yaml
    ("postgresql", "", "postgresql", {"tcp-postgresql": (5432, "tcp-postgresql")}),
    # ingress-nginx templates/controller-service.yaml
    ("ingress-nginx", "", "ingress-nginx-controller", {"http": (80, "http"), "https": (443, "https")}),
    ("ingress-nginx", "", "ingress-nginx-controller-admission", {"https-webhook": (443, "webhook")}),
    # kedacore/charts keda/templates/metrics-server/service.yaml
    ("keda", "", "keda-operator-metrics-apiserver", {"https": (443, 6443), "metrics": (8080, 8080)}),
    # spegel charts/spegel/templates/service.yaml
    ("spegel", "", "spegel-registry", {"registry": (5000, "registry")}),
    # goauthentik/helm charts/authentik/templates/server/service.yaml
    ("authentik", "", "authentik-server", {"http": (80, 9000), "https": (443, 9443)}),
    # minio helm/minio/templates/service.yaml
    ("minio", "mode: standalone", "minio", {"http": (9000, 9000)}),
    # cilium templates/cilium-envoy/service.yaml
    ("cilium", "", "cilium-envoy", {"envoy-metrics": (9964, "envoy-metrics")}),
    # alloy templates/service.yaml with extraPorts
    (
        "alloy",
        "alloy: {extraPorts: [{name: syslog, port: 514, targetPort: 1514, protocol: UDP}]}",
        "alloy",
        {"http-metrics": (12345, 12345), "syslog": (514, 1514)},
    ),
]


@pytest.mark.parametrize(("chart", "values", "name", "expected"), SERVICES)
def test_service_ports_are_those_of_the_chart(
    chart: str, values: str, name: str, expected: dict[str, tuple[Any, Any]]
) -> None:
    assert ports(made(chart, values)["Service", name]) == expected


CONTAINERS = [
    # traefik templates/_podtemplate.tpl: the container is named after the release.
    ("traefik", "edge", ("Deployment", "edge-traefik"), ["edge-traefik"]),
    # reloader: live manifests patch Deployment reloader-reloader, container reloader-reloader.
    ("reloader", "reloader", ("Deployment", "reloader-reloader"), ["reloader-reloader"]),
    # metallb/frr-k8s charts/frr-k8s/templates/controller.yaml
    ("metallb", "metallb", ("DaemonSet", "metallb-frr-k8s"), ["controller", "frr", "reloader", "frr-metrics"]),
    # volsync helm/volsync/templates/deployment-controller.yaml
    ("volsync", "volsync", ("Deployment", "volsync"), ["kube-rbac-proxy", "manager"]),
    # csi-driver-nfs templates/csi-nfs-controller.yaml
    (
        "csi-driver-nfs",
        "nfs",
        ("Deployment", "csi-nfs-controller"),
        ["csi-provisioner", "csi-snapshotter", "liveness-probe", "nfs"],
    ),
    # prometheus-smartctl-exporter templates/daemonset.yaml: instances are numbered.
    ("prometheus-smartctl-exporter", "smart", ("DaemonSet", "smart-prometheus-smartctl-exporter-0"), ["main"]),
    # gha-runner-scale-set-controller _helpers.tpl: its base name is gha-rs-controller.
    ("gha-runner-scale-set-controller", "arc", ("Deployment", "arc-gha-rs-controller"), ["manager"]),
]


@pytest.mark.parametrize(("chart", "release", "key", "expected"), CONTAINERS)
def test_containers_are_named_as_in_the_chart(
    chart: str, release: str, key: tuple[str, str], expected: list[str]
) -> None:
    assert containers(made(chart, release=release)[key]) == expected


def test_kube_prometheus_stack_shortens_resource_names_but_not_services() -> None:
    """_helpers.tpl prometheus.crname and cleanPrometheusOperatorObjectNames."""
    found = made("kube-prometheus-stack", "cleanPrometheusOperatorObjectNames: true", release="kps")
    full = "kps-kube-prometheus-stack"
    assert {("Prometheus", full), ("Alertmanager", full), ("Service", f"{full}-prometheus")} <= set(found)
    chosen = found["Service", f"{full}-prometheus"]["spec"]["selector"]
    assert chosen == {"app.kubernetes.io/name": "prometheus", "operator.prometheus.io/name": full}


def test_control_plane_services_with_endpoints_select_nothing() -> None:
    """exporters/kube-etcd/service.yaml: the selector is left out when kubeEtcd.endpoints are given."""
    name = ("Service", "kube-prometheus-stack-kube-etcd")
    assert made("kube-prometheus-stack")[name]["spec"]["selector"] == {"component": "etcd"}
    assert "selector" not in made("kube-prometheus-stack", "kubeEtcd: {endpoints: [10.0.0.1]}")[name]["spec"]
    assert name not in made("kube-prometheus-stack", "kubeEtcd: {enabled: false}")


def test_prometheus_takes_the_monitor_selector_of_its_values() -> None:
    name = ("Prometheus", "kube-prometheus-stack-prometheus")
    given = "prometheus: {prometheusSpec: {serviceMonitorSelector: {matchLabels: {team: home}}}}"
    assert made("kube-prometheus-stack", given)[name]["spec"]["serviceMonitorSelector"] == {
        "matchLabels": {"team": "home"}
    }
    all_of_them = "prometheus: {prometheusSpec: {serviceMonitorSelectorNilUsesHelmValues: false}}"
    assert made("kube-prometheus-stack", all_of_them)[name]["spec"]["serviceMonitorSelector"] == {}


def test_gateway_routes_of_the_stack_lead_to_the_service_of_the_same_part() -> None:
    """kube-prometheus-stack templates/prometheus/route.yaml, charts/grafana/templates/route.yaml."""
    values = """
    prometheus: {route: {main: {enabled: true, hostnames: [p.example.org], parentRefs: [{name: gw}]}}}
    grafana: {route: {main: {enabled: true, hostnames: [g.example.org]}, other: {enabled: false}}}
    """
    found = made("kube-prometheus-stack", values)
    routes = {name for kind, name in found if kind == "HTTPRoute"}
    assert routes == {"kube-prometheus-stack-prometheus", "kube-prometheus-stack-grafana"}
    rule = found["HTTPRoute", "kube-prometheus-stack-prometheus"]["spec"]["rules"][0]
    assert rule == {"backendRefs": [{"name": "kube-prometheus-stack-prometheus", "port": 9090}]}


def test_grafana_is_a_stateful_set_with_a_headless_service_when_it_keeps_its_own_volume() -> None:
    """charts/grafana/templates/statefulset.yaml and headless-service.yaml."""
    found = made("grafana", "persistence: {enabled: true, type: statefulset}")
    assert found["StatefulSet", "grafana"]["spec"]["serviceName"] == "grafana-headless"
    assert ("Service", "grafana-headless") in found
    assert ("Deployment", "grafana") not in found
    assert ("Deployment", "grafana") in made("grafana", "persistence: {enabled: true, existingClaim: mine}")


def test_http3_has_a_port_only_where_its_entry_point_is_exposed() -> None:
    """traefik templates/_service.tpl: http3 is within the condition of expose."""
    values = "ports: {websecure: {http3: {enabled: true}}, web: {http3: {enabled: true}, expose: {default: false}}}"
    assert set(ports(made("traefik", values)["Service", "traefik"])) == {"websecure", "websecure-http3"}


@pytest.mark.parametrize(
    ("version", "kinds", "frr"),
    [("0.16.1", {"metallb-speaker", "metallb-frr-k8s"}, False), ("0.14.9", {"metallb-speaker"}, True)],
)
def test_metallb_runs_its_routing_daemon_apart_since_0_16(version: str, kinds: set[str], frr: bool) -> None:
    """charts/metallb/values.yaml: frrk8s.enabled became the default and speaker.frr.enabled false."""
    found = made("metallb", version=version)
    assert {name for kind, name in found if kind == "DaemonSet"} == kinds
    assert ("frr" in containers(found["DaemonSet", "metallb-speaker"])) is frr


def test_loki_caches_ask_for_a_fifth_more_than_they_allocate() -> None:
    """production/helm/loki: 8192 MB of chunks cache are 9830Mi, and its ports are 11211 and 9150 (6.16 as rendered)."""
    for allocated, expected in ((8192, "9830Mi"), (1024, "1229Mi")):
        values = f"{{deploymentMode: SingleBinary, chunksCache: {{allocatedMemory: {allocated}}}}}"
        pod = made("loki", values)["StatefulSet", "loki-chunks-cache"]["spec"]["template"]["spec"]
        assert pod["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": expected}


def test_bitnami_databases_have_a_preset_of_requests_unless_it_is_turned_off() -> None:
    """bitnami/common _resources.tpl: preset nano, the default since redis 19 and postgresql 15."""
    nano = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "50Mi"}

    def requests(values: str, version: str) -> Any:
        found = made("redis", values, version=version)["StatefulSet", "redis-master"]
        return found["spec"]["template"]["spec"]["containers"][0].get("resources", {}).get("requests")

    assert requests("", "20.1.0") == nano
    assert requests("", "18.4.0") is None
    assert requests("master: {resourcesPreset: none}", "20.1.0") is None
    assert requests("master: {resources: {requests: {cpu: 1}}, resourcesPreset: none}", "20.1.0") == {"cpu": 1}


def test_crowdsec_selects_by_two_labels_and_its_services_by_three() -> None:
    """charts/crowdsec/templates/lapi-deployment.yaml and lapi-service.yaml."""
    found = made("crowdsec")
    deployment = found["Deployment", "crowdsec-lapi"]["spec"]
    assert deployment["selector"]["matchLabels"] == {"k8s-app": "crowdsec", "type": "lapi"}
    chosen = found["Service", "crowdsec-service"]["spec"]["selector"]
    assert chosen == {"k8s-app": "crowdsec", "type": "lapi", "version": "v1"}
    assert chosen.items() <= deployment["template"]["metadata"]["labels"].items()
    agent = found["DaemonSet", "crowdsec-agent"]["spec"]["template"]["spec"]
    assert [container["name"] for container in agent["initContainers"]] == ["wait-for-lapi-and-register"]


def test_the_ingress_of_argo_cd_uses_the_plain_port_only_when_the_server_is_insecure() -> None:
    values = "{server: {ingress: {enabled: true}}, global: {domain: cd.example.org}%s}"

    def backend(more: str) -> Any:
        rule = made("argo-cd", values % more, release="argocd")["Ingress", "argocd-server"]["spec"]["rules"][0]
        assert rule["host"] == "cd.example.org"
        return rule["http"]["paths"][0]["backend"]["service"]["port"]

    assert backend("") == {"number": 443}
    assert backend(', configs: {params: {"server.insecure": true}}') == {"number": 80}


def test_homepage_follows_the_first_version_of_the_common_library() -> None:
    """jameswynn/helm-charts charts/homepage/values.yaml and templates/_hardcodedValues.tpl."""
    found = made("homepage", "ingress: {main: {enabled: true, hosts: [{host: h.example.org, paths: [{path: /}]}]}}")
    deployment = found["Deployment", "homepage"]["spec"]
    assert deployment["strategy"]["type"] == "RollingUpdate"
    assert deployment["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "homepage",
        "app.kubernetes.io/instance": "homepage",
    }
    assert containers(found["Deployment", "homepage"]) == ["homepage"]
    assert ports(found["Service", "homepage"]) == {"http": (3000, 3000)}
    assert ("Ingress", "homepage") in found


def test_a_replicated_postgresql_names_its_primary_apart() -> None:
    """bitnami/postgresql postgresql.v1.primary.fullname."""
    found = made("postgresql", "architecture: replication", release="db-postgresql")
    assert {name for kind, name in found if kind == "StatefulSet"} == {"db-postgresql-primary", "db-postgresql-read"}
    assert ("StatefulSet", "pg-postgresql") in made("postgresql", release="pg")


def test_rook_brings_the_csi_operator_since_1_18() -> None:
    assert ("Deployment", "ceph-csi-controller-manager") in made("rook-ceph", version="v1.18.4")
    assert ("Deployment", "ceph-csi-controller-manager") not in made("rook-ceph", version="v1.17.0")


def test_ingress_nginx_exposes_the_tcp_services_of_its_values() -> None:
    found = made("ingress-nginx", '{tcp: {"5432": db/pg:5432}, controller: {kind: DaemonSet}}', release="edge")
    assert ("DaemonSet", "edge-ingress-nginx-controller") in found
    assert ports(found["Service", "edge-ingress-nginx-controller"])["5432-tcp"] == (5432, "5432-tcp")


def test_victoria_logs_is_a_stateful_set_unless_its_mode_says_deployment() -> None:
    """charts/victoria-logs-single/templates/server.yaml and vm.plain.fullname, vm.selectorLabels of its library."""
    found = made("victoria-logs-single", release="logs")
    name = "logs-victoria-logs-single-server"
    assert set(found) == {("StatefulSet", name), ("Service", name)}
    spec = found["StatefulSet", name]["spec"]
    assert spec["selector"]["matchLabels"] == {
        "app": "server",
        "app.kubernetes.io/name": "victoria-logs-single",
        "app.kubernetes.io/instance": "logs",
    }
    assert [claim["spec"]["resources"]["requests"]["storage"] for claim in spec["volumeClaimTemplates"]] == ["10Gi"]
    assert (found["Service", name]["spec"]["clusterIP"], ports(found["Service", name])) == (
        "None",
        {"http": (9428, "http")},
    )
    values = "server: {mode: deployment, fullnameOverride: vlogs, persistentVolume: {enabled: %s}}"
    found = made("victoria-logs-single", values % "true")
    assert set(found) == {("Deployment", "vlogs"), ("PersistentVolumeClaim", "vlogs"), ("Service", "vlogs")}
    found = made("victoria-logs-single", values % "false")
    volumes = found["Deployment", "vlogs"]["spec"]["template"]["spec"]["volumes"]
    assert volumes == [{"name": "server-volume", "emptyDir": {}}]


def test_fluent_bit_mounts_the_nodes_logs_only_as_a_daemon_set() -> None:
    """charts/fluent-bit/templates/_pod.tpl and service.yaml; Talos replaces daemonSetVolumes."""
    extra = "extraPorts: [{name: tcp, port: 5170, containerPort: 5170, protocol: TCP}]"
    found = made("fluent-bit", "daemonSetVolumes: [{name: varlog, hostPath: {path: /var/log}}]\n" + extra)
    pod = found["DaemonSet", "fluent-bit"]["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == ["config", "varlog"]
    assert ports(found["Service", "fluent-bit"]) == {"http": (2020, 2020), "tcp": (5170, 5170)}
    found = made("fluent-bit", "{kind: Deployment, replicaCount: 2}")
    deployment = found["Deployment", "fluent-bit"]["spec"]
    assert (deployment["replicas"], len(deployment["template"]["spec"]["volumes"])) == (2, 1)


def test_trust_manager_is_named_after_its_chart_whatever_the_release() -> None:
    """deploy/charts/trust-manager: trust-manager.name, webhook.yaml and metrics-service.yaml."""
    found = made("trust-manager", release="anything")
    assert set(found) == {
        ("Deployment", "trust-manager"),
        ("Service", "trust-manager"),
        ("Service", "trust-manager-metrics"),
    }
    assert found["Deployment", "trust-manager"]["spec"]["selector"]["matchLabels"] == {"app": "trust-manager"}
    assert ports(found["Service", "trust-manager"]) == {"webhook": (443, 6443)}
    assert ports(found["Service", "trust-manager-metrics"]) == {"metrics": (9402, 9402)}


def test_small_operators_have_the_names_and_ports_of_their_templates() -> None:
    """templates/deployment.yaml and service.yaml of kubelet-csr-approver, grafana-operator and dragonfly-operator."""
    found = made("kubelet-csr-approver")
    assert ports(found["Service", "kubelet-csr-approver"]) == {"metrics": (8080, "metrics")}
    assert set(made("kubelet-csr-approver", "metrics: {enable: false}")) == {("Deployment", "kubelet-csr-approver")}
    found = made("grafana-operator", release="g")
    assert set(found) == {("Deployment", "g-grafana-operator"), ("Service", "g-grafana-operator-metrics-service")}
    dragonfly = made("dragonfly-operator")["Deployment", "dragonfly-operator"]
    assert containers(dragonfly) == ["kube-rbac-proxy", "manager"]
    assert dragonfly["spec"]["selector"]["matchLabels"]["control-plane"] == "controller-manager"


def references(manifest: dict[str, Any]) -> set[tuple[str, str]]:
    """Kind and name of what the volumes of a workload's pods need."""
    spec = manifest.get("spec") or {}
    template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template") or {}
    fields = {
        "configMap": ("ConfigMap", "name"),
        "secret": ("Secret", "secretName"),
        "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
    }
    return {
        (kind, volume[source][field])
        for volume in template.get("spec", {}).get("volumes") or []
        for source, (kind, field) in fields.items()
        if source in volume and not volume[source].get("optional")
    }


@pytest.mark.parametrize("name", sorted(set(model_names()) - {"app-template"}))
def test_a_model_makes_every_object_that_its_volumes_need(name: str) -> None:
    """Without this a tree that installs the chart is told of a ConfigMap that the chart itself brings."""
    model = load_model(name)
    assert model is not None
    found = made(model.chart)
    needed = set().union(*(references(manifest) for manifest in found.values()))
    assert needed <= set(found)


def test_homepage_and_fluent_bit_make_their_configuration_unless_another_is_named() -> None:
    assert ("ConfigMap", "homepage") in made("homepage")
    assert ("ConfigMap", "homepage") not in made("homepage", "config: {useExistingConfigMap: own}")
    assert ("ConfigMap", "fluent-bit") in made("fluent-bit")
    assert ("ConfigMap", "fluent-bit") not in made("fluent-bit", "existingConfigMap: own")


def test_the_language_of_models_takes_alternatives_products_lists_and_quoted_keys() -> None:
    values = {"n": 1024, "own": {"a": 1}, "list": [{"name": "x", "port": 1}], "params": {"a.b": True}}
    scope = Scope(values)
    assert scope.fill("${n * 1.2}Mi") == "1229Mi"
    assert scope.fill({"$or": "own", "b": 2}) == {"a": 1}
    assert scope.fill({"$or": "none", "b": 2}) == {"b": 2}
    assert scope.fill({"$each": "list", "$key": "${.item.name}", "$value": "${.item.port}"}) == {"x": 1}
    assert scope.holds('params."a.b"')


def test_most_models_say_with_which_templates_they_were_compared() -> None:
    models = [load_model(name) for name in model_names()]
    unverified = {model.chart for model in models if model is not None and not model.verified}
    assert unverified == {"gha-runner-scale-set"}


def test_a_part_that_would_make_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="a part has none of"):
        ChartModel(chart="x", version="1", source="-", hides="-", objects=[{"manifest": {"kind": "Pod"}}])

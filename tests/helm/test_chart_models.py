"""The chart catalogue: names, selectors, ports and requests are those that the real charts make of the same values.

The expected names come from the charts' own ``_helpers.tpl`` and from what their releases are known to run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from modelled import made

from models.charts import full_name, load_model, merge_values, model_names
from models.charts.scope import Scope
from models.charts.verify import compare
from models.gitops import render_whole
from models.helm import engine_name, render_chart
from models.platform import read_platform
from reports.cli import main

CHARTS = Path(__file__).parent / "charts"
NEEDED = [
    "app-template",
    "traefik",
    "cert-manager",
    "metallb",
    "kube-prometheus-stack",
    "loki",
    "alloy",
    "jaeger",
    "cloudnative-pg",
    "cloudnative-pg-cluster",
    "immich",
    "nextcloud",
    "argo-cd",
    "grafana",
    "redis",
    "valkey",
    "sealed-secrets",
    "crowdsec",
    "homepage",
    "external-dns",
    "external-secrets",
    "longhorn",
    "rook-ceph",
    "rook-ceph-cluster",
    "velero",
    "cilium",
    "metrics-server",
    "reloader",
    "reflector",
    "node-feature-discovery",
    "descheduler",
    "coredns",
]


@pytest.mark.parametrize(
    ("values", "chart", "release", "expected"),
    [
        ({}, "traefik", "traefik", "traefik"),
        ({}, "traefik", "edge", "edge-traefik"),
        ({}, "traefik", "my-traefik-2", "my-traefik-2"),
        ({"nameOverride": "proxy"}, "traefik", "edge", "edge-proxy"),
        ({"fullnameOverride": "gate"}, "traefik", "edge", "gate"),
        ({}, "x" * 40, "y" * 40, "y" * 40 + "-" + "x" * 22),
    ],
)
def test_full_name_follows_the_starter_template(
    values: dict[str, Any], chart: str, release: str, expected: str
) -> None:
    assert full_name(values, chart, release) == expected


def test_values_are_laid_over_each_other_as_helm_does() -> None:
    below = {"a": {"b": 1, "c": 2}, "list": [1, 2], "gone": 1}
    assert merge_values(below, {"a": {"b": 3}, "list": [9], "gone": None}) == {"a": {"b": 3, "c": 2}, "list": [9]}


def test_placeholders_keep_types_and_drop_what_is_absent() -> None:
    scope = Scope({"n": 3, "deep": {"x": "y"}, "off": False}, {"name": "app"})
    template = {
        "n": "${n}",
        "text": "${.name}-${deep.x}",
        "none": "${nothing}",
        "or": "${nothing | deep.x}",
        "no": "${off}",
    }
    assert scope.fill(template) == {"n": 3, "text": "app-y", "or": "y", "no": False}
    assert scope.fill({"a": {"$if": "off", "b": 1}, "c": {"$if": "!off", "b": 1}}) == {"c": {"b": 1}}


def test_the_catalogue_has_every_chart_it_promises() -> None:
    assert set(NEEDED) <= set(model_names())


@pytest.mark.parametrize("chart", model_names())
def test_every_model_selects_its_own_pods_and_says_what_it_hides(chart: str) -> None:
    model = load_model(chart)
    assert model is not None
    assert model.hides
    assert model.source.startswith("https://")
    objects = made(chart).values()
    pods = [item["spec"]["template"]["metadata"]["labels"] for item in objects if "template" in item.get("spec", {})]
    for item in objects:
        assert item["metadata"]["name"], item
        assert "${" not in yaml.safe_dump(item)
        if item["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            wanted = item["spec"]["selector"]["matchLabels"].items()
            assert wanted <= item["spec"]["template"]["metadata"]["labels"].items()
        outside = item["metadata"].get("namespace") == "kube-system" or item["metadata"]["name"].startswith(
            ("kube-prometheus-stack-prometheus", "kube-prometheus-stack-alertmanager")
        )
        if item["kind"] == "Service" and not outside:
            assert any(item["spec"]["selector"].items() <= labels.items() for labels in pods), item


def test_kube_prometheus_stack_names_its_services_after_the_override() -> None:
    plain = made("kube-prometheus-stack")
    assert ("Service", "kube-prometheus-stack-prometheus") in plain
    values = "{fullnameOverride: prometheus, grafana: {fullnameOverride: grafana}}"
    renamed = made("kube-prometheus-stack", values, release="kube-prometheus-stack")
    services = {name for kind, name in renamed if kind == "Service"}
    assert {"prometheus-prometheus", "prometheus-alertmanager", "prometheus-operator", "grafana"} <= services
    assert "kube-prometheus-stack-prometheus" not in services
    assert made("kube-prometheus-stack", release="kps").keys() >= {
        ("Prometheus", "kps-kube-prometheus-stack-prometheus"),
        ("Deployment", "kps-grafana"),
        ("DaemonSet", "kps-prometheus-node-exporter"),
    }


def test_prometheus_keeps_the_requests_and_storage_of_its_values() -> None:
    values = """
    prometheus:
      prometheusSpec:
        resources: {requests: {cpu: 150m, memory: 256Mi}}
        storageSpec: {volumeClaimTemplate: {spec: {resources: {requests: {storage: 10Gi}}}}}
    """
    spec = made("kube-prometheus-stack", values)["Prometheus", "kube-prometheus-stack-prometheus"]["spec"]
    assert spec["resources"] == {"requests": {"cpu": "150m", "memory": "256Mi"}}
    assert spec["storage"]["volumeClaimTemplate"]["spec"]["resources"]["requests"]["storage"] == "10Gi"


def test_traefik_exposes_the_ports_that_its_values_expose() -> None:
    values = """
    ports:
      metrics: {port: 8082, expose: {default: true}}
      web: {exposedPort: 8000}
      websecure: {http3: {enabled: true}}
    service: {spec: {loadBalancerIP: 192.168.1.245, externalTrafficPolicy: Local}}
    persistence: {enabled: true, existingClaim: certificates}
    """
    found = made("traefik", values, namespace="infra")
    spec = found["Service", "traefik"]["spec"]
    assert (spec["type"], spec["loadBalancerIP"], spec["externalTrafficPolicy"]) == (
        "LoadBalancer",
        "192.168.1.245",
        "Local",
    )
    assert [(port["name"], port["port"]) for port in spec["ports"]] == [
        ("web", 8000),
        ("websecure", 443),
        ("metrics", 9100),
        ("websecure-http3", 443),
    ]
    assert spec["ports"][-1]["protocol"] == "UDP"
    pod = found["Deployment", "traefik"]["spec"]["template"]
    assert pod["metadata"]["labels"] == {
        "app.kubernetes.io/name": "traefik",
        "app.kubernetes.io/instance": "traefik-infra",
    }
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "certificates"}} in pod["spec"]["volumes"]
    assert {"name": "metrics", "containerPort": 8082, "protocol": "TCP"} in pod["spec"]["containers"][0]["ports"]


def test_loki_as_a_single_binary_is_one_stateful_set_and_its_caches() -> None:
    values = """
    deploymentMode: SingleBinary
    singleBinary: {replicas: 1}
    gateway: {enabled: false}
    lokiCanary: {enabled: false}
    """
    workloads = {key for key in made("loki", values) if key[0] in ("Deployment", "StatefulSet", "DaemonSet")}
    assert workloads == {("StatefulSet", name) for name in ("loki", "loki-chunks-cache", "loki-results-cache")}


def test_an_older_major_version_with_other_values_is_not_modelled() -> None:
    with pytest.raises(AssertionError):
        made("jaeger", version="3.4.1")
    assert made("jaeger", version="4.12.0")


APP = """
controllers:
  web:
    replicas: 2
    containers:
      app:
        image: {repository: ghcr.io/acme/web, tag: "1.0"}
        env: {DB_HOST: db.data.svc, PORT: 8080, TOKEN: {valueFrom: {secretKeyRef: {name: s, key: t}}}}
        resources: {requests: {cpu: 10m}}
  worker:
    type: statefulset
    containers: {app: {image: {repository: ghcr.io/acme/worker, tag: "1.0"}}}
defaultPodOptions: {nodeSelector: {disk: ssd}}
service:
  web: {controller: web, ports: {http: {port: 80, targetPort: 8080}}}
route:
  web:
    hostnames: ["{{ .Release.Name }}.example.org"]
    parentRefs: [{name: gateway}]
    rules: [{backendRefs: [{identifier: web, port: 80}]}]
ingress:
  web: {className: nginx, hosts: [{host: web.example.org, paths: [{path: /, service: {identifier: web, port: http}}]}]}
persistence:
  data: {size: 5Gi, accessMode: ReadWriteOnce, advancedMounts: {web: {app: [{path: /data}]}}}
  media: {type: nfs, server: nas, path: /media}
"""


def test_app_template_names_several_controllers_by_identifier_and_a_single_service_by_release() -> None:
    found = made("app-template", APP, release="shop", version="4.4.0")
    assert set(found) == {
        ("Deployment", "shop-web"),
        ("StatefulSet", "shop-worker"),
        ("Service", "shop"),
        ("HTTPRoute", "shop"),
        ("Ingress", "shop"),
        ("PersistentVolumeClaim", "shop"),
    }
    web = found["Deployment", "shop-web"]["spec"]
    assert web["replicas"] == 2
    pod = web["template"]["spec"]
    assert pod["nodeSelector"] == {"disk": "ssd"}
    container = pod["containers"][0]
    assert container["image"] == "ghcr.io/acme/web:1.0"
    assert {"name": "PORT", "value": "8080"} in container["env"]
    assert container["volumeMounts"] == [
        {"name": "data", "mountPath": "/data"},
        {"name": "media", "mountPath": "/media"},
    ]
    assert found["Service", "shop"]["spec"]["selector"] == web["selector"]["matchLabels"]
    assert [
        volume["name"] for volume in found["StatefulSet", "shop-worker"]["spec"]["template"]["spec"]["volumes"]
    ] == ["media"]
    route = found["HTTPRoute", "shop"]["spec"]
    assert (route["hostnames"], route["rules"][0]["backendRefs"]) == (
        ["shop.example.org"],
        [{"name": "shop", "port": 80}],
    )
    backend = found["Ingress", "shop"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]
    assert backend == {"service": {"name": "shop", "port": {"number": 80}}}


def test_modelled_objects_are_marked_and_their_chart_stays_in_the_list(tmp_path: Path) -> None:
    entry = {"name": "immich", "repo": "https://immich-app.github.io/immich-charts", "version": "0.12.0"}
    inline = {"immich": {"persistence": {"library": {"existingClaim": "photos"}}}, "valkey": {"enabled": True}}
    charts = [{**entry, "releaseName": "immich", "valuesInline": inline}]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": "utils", "helmCharts": charts}))
    rendered = render_whole(tmp_path, cache=tmp_path / "none")
    platform = read_platform(rendered)
    assert {item.id for item in platform.workloads} == {
        f"Deployment utils/immich-{part}" for part in ("server", "machine-learning", "valkey")
    }
    assert {item.provenance for item in platform.workloads} == {"modelled"}
    assert rendered.objects[0].origin.by.startswith("chart catalogue: immich ")
    (missing,) = rendered.missing
    assert (missing.what, missing.modelled) == ("immich 0.12.0 from https://immich-app.github.io/immich-charts", True)
    assert missing.hides.startswith("at least ")
    bare = render_whole(tmp_path, cache=tmp_path / "none", model=False, expand=False)
    assert (bare.objects, [item.modelled for item in bare.missing]) == ((), [False])


def test_a_patch_for_an_object_that_no_model_makes_does_not_stop_the_tree(tmp_path: Path) -> None:
    patch = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reflector"}}
    content = {
        "resources": ["map.yaml"],
        "helmCharts": [{"name": "reflector", "releaseName": "reflector", "repo": "https://x", "version": "9.1.0"}],
        "patches": [{"patch": yaml.safe_dump(patch)}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\n")
    rendered = render_whole(tmp_path, cache=tmp_path / "none")
    assert "kept" in {item.name for item in rendered.objects}
    assert "reflector 9.1.0 from https://x" in {item.what for item in rendered.missing}


@pytest.mark.skipif(not engine_name(), reason="neither helm-python-sdk nor a helm binary is installed")
def test_verify_finds_no_difference_to_a_chart_that_the_model_describes() -> None:
    values = {"resources": {"requests": {"cpu": "10m"}}, "replicaCount": 2}
    real = render_chart(CHARTS / "reflector", values, release="reflector", namespace="infra")
    model = made("reflector", yaml.safe_dump(values), namespace="infra").values()
    assert compare(model, real, namespace="infra") == ()


@pytest.mark.skipif(not engine_name(), reason="neither helm-python-sdk nor a helm binary is installed")
def test_verify_lists_each_difference(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["catalog", "verify", "reflector", "--chart", str(CHARTS / "web"), "--release", "reflector-web"])
    lines = capsys.readouterr().out.splitlines()
    assert status == 99
    assert "Service default/reflector-web object: the model says nothing, the chart present" in lines
    assert "Deployment default/reflector-web replicas: the model says 1, the chart 2" in lines
    assert main(["catalog", "verify", "reflector", "--chart", str(CHARTS / "reflector")]) == 0


@pytest.mark.parametrize(
    ("chart", "values"),
    [
        ("app-template", {"controllers": {"main": {"containers": {"main": {"image": 5, "env": "x"}}}}, "service": 3}),
        ("app-template", {"persistence": {"a": {"type": [1]}}, "controllers": {"main": {"type": {}}}}),
        ("traefik", {"ports": {"web": {"port": "eighty", "expose": {"default": True}}}}),
        ("traefik", {"ports": 5, "service": []}),
        ("crowdsec", {"lapi": {"persistentVolume": "no"}}),
        ("grafana", {"ingress": {"enabled": True, "hosts": [[]]}}),
    ],
)
def test_odd_values_never_stop_a_tree(chart: str, values: dict[str, Any], tmp_path: Path) -> None:
    entry = {"name": chart, "releaseName": chart, "repo": "https://charts.example.org", "valuesInline": values}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"helmCharts": [entry]}))
    rendered = render_whole(tmp_path, cache=tmp_path / "none")
    assert [item.what for item in rendered.missing] == [f"{chart} from https://charts.example.org"]
    read_platform(rendered)

"""The bjw-s common library, version by version: names, selectors, ports and mounts are those of its templates.

Expectations are literal and come from bjw-s-labs/helm-charts (before 4.0 bjw-s/helm-charts): the table in
``docs/common-library/resources/names.md``, the library's unit tests (``charts/library/common/test-chart/unittests``,
``charts/library/common-test/tests``) and the templates named at each test.
"""

from __future__ import annotations

from typing import Any

import modelled
import pytest
from modelled import Made


def made(values: str, version: str, *, release: str = "app", chart: str = "app-template") -> Made:
    """The modelled objects by kind and name."""
    return modelled.made(chart, values, release=release, version=version)


def names(found: Made, kind: str) -> set[str]:
    return {name for each, name in found if each == kind}


@pytest.mark.parametrize(
    ("fields", "second", "expected"),
    [
        ("forceRename: random_name", False, "random_name"),
        ("forceRename: forceRename", False, "forcerename"),
        ('forceRename: "{{ .Release.Namespace }}"', False, "apps"),
        ("", False, "base_name"),
        ("prefix: pfx", False, "pfx-base_name"),
        ("suffix: sfx", False, "base_name-sfx"),
        ("prefix: pfx, suffix: sfx", False, "pfx-base_name-sfx"),
        ("", True, "base_name-id"),
        ("prefix: pfx", True, "pfx-base_name-id"),
        ("suffix: sfx", True, "base_name-id-sfx"),
        ("prefix: pfx, suffix: sfx", True, "pfx-base_name-id-sfx"),
    ],
)
@pytest.mark.parametrize("version", ["4.0.0", "5.2.1"])
def test_names_since_version_four_follow_the_documented_table(
    fields: str, second: bool, expected: str, version: str
) -> None:
    more = "other: {controller: main, ports: {http: {port: 81}}}" if second else ""
    values = f"""
    controllers: {{main: {{containers: {{main: {{image: x}}}}}}}}
    service:
      id: {{ports: {{http: {{port: 80}}}}, {fields}}}
      {more}
    """
    assert expected in names(made(values, version, release="base_name"), "Service")


def test_an_identifier_that_the_name_ends_with_is_not_repeated() -> None:
    values = """
    controllers: {app: {containers: {app: {image: x}}}, worker: {containers: {app: {image: x}}}}
    service: {app: {controller: app, ports: {http: {port: 80}}}, metrics: {controller: app, ports: {http: {port: 9}}}}
    """
    found = made(values, "4.2.0", release="shop-app")
    assert names(found, "Deployment") == {"shop-app", "shop-app-worker"}
    assert names(found, "Service") == {"shop-app", "shop-app-metrics"}


def test_identifiers_can_be_appended_to_every_name() -> None:
    values = """
    global: {alwaysAppendIdentifierToResourceName: true}
    controllers: {main: {containers: {main: {image: x}}}}
    service: {web: {ports: {http: {port: 80}}}}
    """
    found = made(values, "4.6.2")
    assert (names(found, "Deployment"), names(found, "Service")) == ({"app-main"}, {"app-web"})


PAIR = """
controllers: {main: {containers: {main: {image: x}}}, worker: {containers: {main: {image: x}}}}
service: {main: {controller: main, ports: {http: {port: 80}}}, ui: {controller: worker, ports: {http: {port: 81}}}}
persistence: {config: {enabled: true, size: 1Gi, accessMode: ReadWriteOnce}}
"""


@pytest.mark.parametrize(
    ("version", "deployments", "services", "claims"),
    [
        # lib/controller/_valuesToObject.tpl: "main" has no suffix; lib/service: the primary service has none.
        ("2.6.0", {"app", "app-worker"}, {"app", "app-ui"}, {"app-config"}),
        # Several of a kind carry their identifiers, "main" too; claims always do.
        ("3.7.3", {"app-main", "app-worker"}, {"app-main", "app-ui"}, {"app-config"}),
        ("4.4.0", {"app-main", "app-worker"}, {"app-main", "app-ui"}, {"app"}),
    ],
)
def test_each_version_names_several_objects_by_its_own_rule(
    version: str, deployments: set[str], services: set[str], claims: set[str]
) -> None:
    found = made(PAIR, version)
    assert names(found, "Deployment") == deployments
    assert names(found, "Service") == services
    assert names(found, "PersistentVolumeClaim") == claims


@pytest.mark.parametrize(
    ("version", "label"),
    [("2.6.0", "component"), ("3.7.3", "component"), ("4.0.0", "controller"), ("5.0.1", "controller")],
)
def test_the_label_that_selects_a_controller_was_renamed_in_version_four(version: str, label: str) -> None:
    found = made(
        "{controllers: {main: {containers: {main: {image: x}}}}, service: {main: {ports: {http: {port: 80}}}}}", version
    )
    expected = {
        "app.kubernetes.io/name": "app",
        "app.kubernetes.io/instance": "app",
        f"app.kubernetes.io/{label}": "main",
    }
    deployment = found["Deployment", "app"]["spec"]
    assert deployment["selector"]["matchLabels"] == expected
    assert deployment["template"]["metadata"]["labels"] == expected
    assert found["Service", "app"]["spec"]["selector"] == expected


def test_a_claim_without_suffix_was_named_by_a_dash_before_version_four() -> None:
    values = (
        "{controllers: {main: {containers: {main: {image: x}}}}, persistence: {config: {size: 1Gi, nameOverride: %s}}}"
    )
    assert names(made(values % '"-"', "3.1.0"), "PersistentVolumeClaim") == {"app"}
    assert names(made(values % "custom", "3.1.0"), "PersistentVolumeClaim") == {"app-custom"}


def test_only_claims_that_the_release_makes_count_as_several() -> None:
    values = """
    controllers: {main: {containers: {main: {image: x}}}}
    persistence:
      config: {existingClaim: app}
      cache: {type: persistentVolumeClaim, size: 1Gi, accessMode: ReadWriteOnce}
    """
    found = made(values, "5.1.0")
    assert names(found, "PersistentVolumeClaim") == {"app"}
    claimed = [
        volume["persistentVolumeClaim"] for volume in found["Deployment", "app"]["spec"]["template"]["spec"]["volumes"]
    ]
    assert claimed == [{"claimName": "app"}, {"claimName": "app"}]


def test_containers_have_their_identifiers_for_names_and_no_ports_of_services() -> None:
    values = """
    controllers:
      main:
        initContainers: {second: {image: x, dependsOn: first}, first: {image: x}}
        containers: {main: {image: {repository: a, tag: 1}}, sidecar: {image: x, nameOverride: side}}
    service: {main: {ports: {http: {port: 80}}}}
    """
    pod = made(values, "3.7.3")["Deployment", "app"]["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["containers"]] == ["main", "side"]
    assert [container["name"] for container in pod["initContainers"]] == ["first", "second"]
    assert "ports" not in pod["containers"][0]


def test_a_pod_option_replaces_the_default_one_unless_they_are_merged() -> None:
    values = """
    defaultPodOptions: {nodeSelector: {a: "1"}, labels: {x: "1"}, hostNetwork: true}
    controllers: {main: {pod: {nodeSelector: {b: "2"}}, containers: {main: {image: x}}}}
    """
    pod = made(values, "4.1.0")["Deployment", "app"]["spec"]["template"]
    assert (pod["spec"]["nodeSelector"], pod["spec"]["hostNetwork"]) == ({"b": "2"}, True)
    assert pod["metadata"]["labels"]["x"] == "1"
    merged = made(values + "\n    defaultPodOptionsStrategy: merge\n", "4.1.0")["Deployment", "app"]["spec"]["template"]
    assert merged["spec"]["nodeSelector"] == {"a": "1", "b": "2"}


def test_mounts_are_global_and_advanced_ones_together_and_default_to_the_items_own_path() -> None:
    values = """
    controllers: {main: {containers: {main: {image: x}}}, worker: {containers: {main: {image: x}}}}
    persistence:
      config: {existingClaim: c}
      host: {type: hostPath, hostPath: /mnt/media}
      only: {type: emptyDir, advancedMounts: {worker: {main: [{path: /work}]}}}
      both: {type: emptyDir, globalMounts: [{path: /a}], advancedMounts: {main: {main: [{path: /b, subPath: s}]}}}
    """
    found = made(values, "4.4.0")
    main = found["Deployment", "app-main"]["spec"]["template"]["spec"]
    assert main["containers"][0]["volumeMounts"] == [
        {"name": "both", "mountPath": "/a"},
        {"name": "both", "mountPath": "/b", "subPath": "s"},
        {"name": "config", "mountPath": "/config"},
        {"name": "host", "mountPath": "/mnt/media"},
    ]
    assert [volume["name"] for volume in main["volumes"]] == ["both", "config", "host"]
    worker = found["Deployment", "app-worker"]["spec"]["template"]["spec"]
    assert {"name": "only", "mountPath": "/work"} in worker["containers"][0]["volumeMounts"]


def test_a_stateful_set_has_its_claims_mounted_and_the_full_name_as_its_service() -> None:
    values = """
    controllers:
      main:
        type: statefulset
        statefulset:
          volumeClaimTemplates:
            - {name: data, accessMode: ReadWriteOnce, size: 5Gi, storageClass: fast, globalMounts: [{path: /data}]}
        containers: {main: {image: x}}
    """
    spec = made(values, "3.7.3")["StatefulSet", "app"]["spec"]
    assert (spec["replicas"], spec["serviceName"], spec["updateStrategy"]) == (1, "app", {"type": "RollingUpdate"})
    assert spec["volumeClaimTemplates"] == [
        {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "5Gi"}},
                "storageClassName": "fast",
            },
        }
    ]
    assert spec["template"]["spec"]["containers"][0]["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]


def test_cron_jobs_forbid_overlap_and_never_restart_their_pods() -> None:
    values = """
    controllers:
      main: {type: cronjob, cronjob: {schedule: "0 3 * * *", timeZone: Europe/Berlin}, containers: {main: {image: x}}}
    """
    spec = made(values, "4.4.0")["CronJob", "app"]["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"], spec["timeZone"]) == ("0 3 * * *", "Forbid", "Europe/Berlin")
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 6
    assert spec["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_routes_lead_to_the_only_service_by_its_primary_port() -> None:
    values = """
    controllers: {main: {containers: {main: {image: x}}}}
    service: {app: {ports: {http: {port: 8080, primary: true}, admin: {port: 9090}}}}
    route:
      app: {hostnames: ["{{ .Release.Name }}.example.org"], parentRefs: [{name: gw, namespace: network}]}
      old:
        hostnames: [old.example.org]
        parentRefs: [{name: gw}]
        rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.org}}]}]
    """
    found = made(values, "4.4.0")
    plain = found["HTTPRoute", "app"]["spec"]
    assert plain["hostnames"] == ["app.example.org"]
    assert plain["rules"] == [{"backendRefs": [{"name": "app", "port": 8080}]}]
    assert found["HTTPRoute", "app-old"]["spec"]["rules"][0]["backendRefs"] == []


def test_a_route_by_name_means_the_service_itself_since_version_three() -> None:
    values = """
    controllers: {main: {containers: {main: {image: x}}}}
    service: {main: {ports: {http: {port: 80}}}, ui: {controller: main, ports: {http: {port: 81}}}}
    ingress: {web: {enabled: true, hosts: [{host: a, paths: [{path: /, service: {name: ui, port: http}}]}]}}
    """
    path = made(values, "2.6.0")["Ingress", "app"]["spec"]["rules"][0]["http"]["paths"][0]
    assert path["backend"]["service"] == {"name": "app-ui", "port": {"number": 81}}
    path = made(values, "3.7.3")["Ingress", "app"]["spec"]["rules"][0]["http"]["paths"][0]
    assert path["backend"]["service"]["name"] == "ui"


def test_monitors_select_by_the_service_label() -> None:
    values = """
    controllers: {main: {containers: {main: {image: x}}}}
    service: {app: {ports: {http: {port: 80}}}, metrics: {controller: main, ports: {http: {port: 9}}}}
    serviceMonitor: {app: {service: {identifier: metrics}, endpoints: [{port: http}]}}
    """
    found = made(values, "4.4.0")
    chosen = found["ServiceMonitor", "app"]["spec"]["selector"]["matchLabels"]
    assert chosen["app.kubernetes.io/service"] == "app-metrics"
    assert chosen.items() <= found["Service", "app-metrics"]["metadata"]["labels"].items()


def test_version_five_runs_pods_with_an_account_named_after_the_release() -> None:
    values = "{controllers: {main: {containers: {main: {image: x}}}}}"
    found = made(values, "5.0.1")
    assert ("ServiceAccount", "app") in found
    assert found["Deployment", "app"]["spec"]["template"]["spec"]["serviceAccountName"] == "app"
    assert names(made(values, "4.4.0"), "ServiceAccount") == set()


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        ("4.4.0", "{apiVersion: v1, kind: ConfigMap, spec: {data: {a: b}}}"),
        ("5.0.0", "{manifest: {apiVersion: v1, kind: ConfigMap, data: {a: b}}}"),
    ],
)
def test_raw_resources_moved_below_manifest_in_version_five(version: str, entry: str) -> None:
    found = made(f"{{rawResources: {{extra: {entry}}}}}", version)
    assert found["ConfigMap", "app"]["data"] == {"a": "b"}


def test_budgets_and_autoscalers_are_named_after_their_controller() -> None:
    values = """
    controllers:
      main:
        replicas: null
        podDisruptionBudget: {minAvailable: 1}
        horizontalPodAutoscaler: {minReplicas: 2, maxReplicas: 4}
        containers: {main: {image: x}}
    """
    found = made(values, "5.2.1")
    assert found["PodDisruptionBudget", "app"]["spec"]["minAvailable"] == 1
    assert found["HorizontalPodAutoscaler", "app"]["spec"]["scaleTargetRef"]["name"] == "app"
    assert "replicas" not in found["Deployment", "app"]["spec"]


PROBED = """
controllers:
  app:
    containers:
      app:
        image: {repository: x}
        probes:
          liveness: {enabled: true, custom: true, spec: {httpGet: {path: /ping, port: 80}, periodSeconds: 30}}
          readiness: {enabled: true, type: HTTP, path: /ready, spec: {failureThreshold: 5}}
          startup: {enabled: true, spec: {periodSeconds: 5}}
      side:
        image: {repository: y}
        probes:
          liveness: {enabled: true, command: [cat, /ok]}
          readiness: {custom: true, spec: {httpGet: {path: /, port: 1}}}
          startup: {enabled: true, type: GRPC, port: 9000, service: up}
service:
  app: {controller: app, ports: {web: {port: 80, targetPort: 8080}, api: {port: 81, primary: true}}}
"""


def probes_of(container: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in container.items() if name.endswith("Probe")}


def test_probes_are_those_enabled_and_ask_the_primary_port_of_the_controllers_service() -> None:
    """lib/container/fields/_probes.tpl at 0a946712."""
    app, side = made(PROBED, "4.2.0")["Deployment", "app"]["spec"]["template"]["spec"]["containers"]
    assert probes_of(app) == {
        "livenessProbe": {"httpGet": {"path": "/ping", "port": 80}, "periodSeconds": 30},
        "readinessProbe": {"httpGet": {"path": "/ready", "scheme": "HTTP", "port": 81}, "failureThreshold": 5},
        "startupProbe": {"tcpSocket": {"port": 81}, "periodSeconds": 5},
    }
    assert probes_of(side) == {
        "livenessProbe": {"exec": {"command": ["cat", "/ok"]}},
        "startupProbe": {"grpc": {"port": 9000, "service": "up"}},
    }


def test_a_probe_without_a_port_to_ask_is_left_out() -> None:
    values = "controllers: {a: {containers: {a: {image: {repository: x}, probes: {liveness: {enabled: true}}}}}}"
    (container,) = made(values, "3.7.3")["Deployment", "app"]["spec"]["template"]["spec"]["containers"]
    assert probes_of(container) == {}


@pytest.mark.parametrize(
    ("version", "values"),
    [
        ("1.5.1", "{image: {repository: x}, service: {main: {ports: {http: {port: 80}}}}, probes: {PROBES}}"),
        (
            "2.6.0",
            """{controllers: {main: {containers: {main: {image: {repository: x}, probes: {PROBES}}}}},
            service: {main: {ports: {http: {port: 80}}}}}""",
        ),
    ],
)
def test_the_main_container_had_probes_of_its_service_before_version_three(version: str, values: str) -> None:
    """charts/library/common/values.yaml of common 1.x and 2.x: all three enabled, of type TCP."""
    values = values.replace("PROBES", "readiness: {enabled: false}, liveness: {type: AUTO, path: /live}")
    (container,) = made(values, version)["Deployment", "app"]["spec"]["template"]["spec"]["containers"]
    assert probes_of(container) == {
        "livenessProbe": {
            "httpGet": {"path": "/live", "scheme": "HTTP", "port": 80},
            "failureThreshold": 3,
            "timeoutSeconds": 1,
            "periodSeconds": 10,
        },
        "startupProbe": {"tcpSocket": {"port": 80}, "failureThreshold": 30, "timeoutSeconds": 1, "periodSeconds": 5},
    }


def test_version_two_brings_main_objects_that_stay_off_until_they_are_enabled() -> None:
    values = """
    controllers: {main: {containers: {main: {image: {repository: x}}}}}
    service: {main: {ports: {http: {port: 8080}}}}
    ingress: {main: {hosts: [{host: a, paths: [{path: /}]}]}}
    persistence: {config: {size: 5Gi}, media: {existingClaim: nas}}
    """
    found = made(values, "2.4.0")
    assert set(found) == {("Deployment", "app"), ("Service", "app")}
    mounts = found["Deployment", "app"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert mounts == [{"name": "media", "mountPath": "/media"}]


FIRST = """
image: {repository: ghcr.io/onedr0p/sabnzbd, tag: latest}
controller: {replicas: 2, strategy: RollingUpdate}
env: {TZ: UTC}
podSecurityContext: {fsGroup: 568}
nodeSelector: {disk: ssd}
resources: {requests: {cpu: 10m}}
sidecars: {logs: {image: busybox, volumeMounts: [{name: config, mountPath: /config}]}}
service:
  main: {ports: {http: {port: 8080}}}
  extra: {enabled: true, ports: {api: {enabled: true, port: 9000, protocol: TCP}}}
ingress:
  media: {enabled: true, ingressClassName: nginx, hosts: [{host: sab.example.org, paths: [{path: /}]}]}
  off: {hosts: [{host: no.example.org}]}
persistence:
  config: {enabled: true, type: pvc, size: 5Gi, accessMode: ReadWriteOnce, mountPath: /config}
  media: {enabled: true, existingClaim: nas, mountPath: /data, subPath: tv}
  none: {size: 1Gi}
"""


def test_version_one_has_one_controller_from_the_top_of_the_values() -> None:
    """lib/controller/_mainContainer.tpl, _ports.tpl and _volumes.tpl of common 1.x."""
    found = made(FIRST, "1.5.1", release="sab")
    assert set(found) == {
        ("Deployment", "sab"),
        ("Service", "sab"),
        ("Service", "sab-extra"),
        ("Ingress", "sab"),
        ("PersistentVolumeClaim", "sab-config"),
    }
    deployment = found["Deployment", "sab"]["spec"]
    chosen = {"app.kubernetes.io/name": "sab", "app.kubernetes.io/instance": "sab"}
    assert deployment["selector"]["matchLabels"] == chosen
    assert (deployment["replicas"], deployment["strategy"]) == (2, {"type": "RollingUpdate"})
    pod = deployment["template"]["spec"]
    assert (pod["nodeSelector"], pod["securityContext"]) == ({"disk": "ssd"}, {"fsGroup": 568})
    sidecar, main = sorted(pod["containers"], key=lambda container: str(container["name"]))
    assert (main["name"], main["image"]) == ("sab", "ghcr.io/onedr0p/sabnzbd:latest")
    assert main["resources"] == {"requests": {"cpu": "10m"}}
    assert {port["name"]: port["containerPort"] for port in main["ports"]} == {"http": 8080, "api": 9000}
    assert main["volumeMounts"] == [
        {"name": "config", "mountPath": "/config"},
        {"name": "media", "mountPath": "/data", "subPath": "tv"},
    ]
    assert (sidecar["name"], sidecar["image"], len(sidecar["volumeMounts"])) == ("logs", "busybox", 1)
    assert found["Service", "sab"]["spec"]["selector"] == chosen
    backend = found["Ingress", "sab"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]
    assert backend == {"service": {"name": "sab", "port": {"number": 8080}}}
    assert found["Ingress", "sab"]["spec"]["ingressClassName"] == "nginx"


@pytest.mark.parametrize(
    ("version", "redis", "label"),
    [("0.10.3", "", {"app.kubernetes.io/controller": "main"}), ("0.9.3", "redis: {enabled: true}", {})],
)
def test_immich_names_its_parts_after_the_component_in_both_of_its_forms(
    version: str, redis: str, label: dict[str, str]
) -> None:
    """templates/server.yaml of immich-app/immich-charts: global.nameOverride is server; common 4.3 and 1.4."""
    values = (
        f"{{immich: {{persistence: {{library: {{existingClaim: photos}}}}}}, {redis or 'valkey: {enabled: true}'}}}"
    )
    found = made(values, version, release="immich", chart="immich")
    selector = found["Service", "immich-server"]["spec"]["selector"]
    assert selector == {"app.kubernetes.io/name": "server", "app.kubernetes.io/instance": "immich", **label}
    assert selector == found["Deployment", "immich-server"]["spec"]["selector"]["matchLabels"]
    store = ("Deployment", "immich-valkey") if not redis else ("StatefulSet", "immich-redis-master")
    assert store in found
    pod = found["Deployment", "immich-server"]["spec"]["template"]["spec"]
    assert {"claimName": "photos"} in [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]


def test_the_releases_before_the_first_version_have_its_values() -> None:
    values = "{controller: {replicas: 2},image: {repository: web, tag: 1}, service: {main: {ports: {http: {port: 1}}}}}"
    assert made(values, "0.2.2") == made(values, "1.5.1")

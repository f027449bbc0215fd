"""The typed platform: namespaces, workloads, what operators add, addresses; expected values from upstream docs."""

from __future__ import annotations

import textwrap

import pytest

from models.operators import derive
from models.platform import Platform, read_platform
from models.render import render_text


def platform(text: str) -> Platform:
    return read_platform(render_text(textwrap.dedent(text)))


CLUSTER = """
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: db, namespace: data}
spec:
  instances: 3
  storage: {size: 10Gi, storageClass: fast}
  walStorage: {size: 2Gi}
"""


def names(read: Platform, kind: str, provenance: str = "derived") -> list[str]:
    return sorted(
        f"{item.namespace}/{item.name}" for item in read.by_kind(kind) if item.origin.provenance == provenance
    )


def test_object_without_a_namespace_belongs_to_default_and_a_cluster_wide_one_to_none() -> None:
    read = platform(
        """
        apiVersion: v1
        kind: Service
        metadata: {name: a}
        ---
        apiVersion: v1
        kind: PersistentVolume
        metadata: {name: b, namespace: wrong}
        """
    )
    assert read.get("Service", "default", "a") is not None
    assert read.get("PersistentVolume", "", "b") is not None


def test_of_two_versions_of_one_object_the_first_counts_and_one_entry_tells_of_the_others() -> None:
    kind = "apiVersion: v1\nkind: Service\n"
    second = "metadata: {name: a, namespace: default}\nspec: {clusterIP: None}\n"
    texts = ("metadata: {name: a}\n", "metadata: {name: b}\n", second, "metadata: {name: b}\n")
    read = read_platform(render_text("---\n".join(kind + text for text in texts)))
    assert [(item.name, dict(item.spec)) for item in read.by_kind("Service")] == [("a", {}), ("b", {})]
    (entry,) = read.rendered.missing
    assert (entry.what, entry.origin.line) == ("second version of Service default/a", 9)


def test_destination_of_an_application_set_gives_the_namespace_of_its_folder() -> None:
    from models.objects import KubeObject, Origin, Rendered

    application_set = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": "apps", "namespace": "argocd"},
        "spec": {
            "generators": [{"list": {"elements": [{"path": "media"}]}}],
            "template": {
                "spec": {"source": {"path": "overlays/{{path}}"}, "destination": {"namespace": "{{path}}-ns"}}
            },
        },
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
    rendered = Rendered(
        (
            KubeObject(application_set, Origin("argocd/set.yaml", 1)),
            KubeObject(service, Origin("overlays/media/a.yaml", 1)),
            KubeObject({**service, "metadata": {"name": "b"}}, Origin("other/b.yaml", 1)),
        )
    )
    read = read_platform(rendered)
    assert [(item.namespace, item.name) for item in read.services] == [("media-ns", "a"), ("default", "b")]


def test_three_instance_database_has_three_services_six_claims_and_two_budgets() -> None:
    read = platform(CLUSTER)
    assert names(read, "Service") == ["data/db-r", "data/db-ro", "data/db-rw"]
    assert names(read, "PersistentVolumeClaim") == [
        f"data/db-{number}{suffix}" for number in (1, 2, 3) for suffix in ("", "-wal")
    ]
    assert names(read, "PodDisruptionBudget") == ["data/db", "data/db-primary"]
    assert names(read, "Secret") == ["data/db-app", "data/db-ca", "data/db-replication", "data/db-server"]
    (workload,) = read.workloads
    assert (workload.id, workload.controller, workload.replicas) == ("Cluster data/db", "Cluster", 3)
    assert workload.labels["cnpg.io/cluster"] == "db"
    assert [item["metadata"]["name"] for item in workload.claim_templates] == ["pgdata", "pgdata-wal"]


def test_read_only_service_of_a_single_instance_has_nobody_behind_it() -> None:
    read = platform(CLUSTER.replace("instances: 3", "instances: 1"))
    behind = {item.name: [w.id for w in read.service_workloads(item)] for item in read.services}
    assert behind == {"db-rw": ["Cluster data/db"], "db-ro": [], "db-r": ["Cluster data/db"]}


def test_given_secret_disabled_services_and_budgets_are_not_made() -> None:
    read = platform(
        """
        apiVersion: postgresql.cnpg.io/v1
        kind: Cluster
        metadata: {name: db, namespace: data}
        spec:
          enablePDB: false
          bootstrap: {initdb: {secret: {name: mine}}}
          managed:
            services:
              disabledDefaultServices: [ro, r]
              additional:
                - selectorType: rw
                  serviceTemplate: {metadata: {name: db-lan}, spec: {type: LoadBalancer}}
          storage: {size: 1Gi}
        """
    )
    assert names(read, "Service") == ["data/db-lan", "data/db-rw"]
    assert names(read, "PodDisruptionBudget") == []
    assert "data/db-app" not in names(read, "Secret")


def test_pooler_is_a_deployment_with_a_service_that_selects_it() -> None:
    read = platform(
        """
        apiVersion: postgresql.cnpg.io/v1
        kind: Pooler
        metadata: {name: pool, namespace: data}
        spec: {instances: 2, type: rw, cluster: {name: db}, pgbouncer: {poolMode: session}}
        """
    )
    (service,) = read.services
    (workload,) = read.service_workloads(service)
    assert (workload.id, workload.replicas, service.spec["ports"][0]["port"]) == ("Deployment data/pool", 2, 5432)


def test_prometheus_resource_becomes_its_stateful_set_claim_and_governing_service() -> None:
    read = platform(
        """
        apiVersion: monitoring.coreos.com/v1
        kind: Prometheus
        metadata: {name: k8s, namespace: mon}
        spec:
          replicas: 2
          storage: {volumeClaimTemplate: {spec: {resources: {requests: {storage: 5Gi}}}}}
        """
    )
    (workload,) = read.workloads
    assert (workload.id, workload.replicas) == ("StatefulSet mon/prometheus-k8s", 2)
    assert names(read, "PersistentVolumeClaim") == [
        "mon/prometheus-k8s-db-prometheus-k8s-0",
        "mon/prometheus-k8s-db-prometheus-k8s-1",
    ]
    assert names(read, "Service") == ["mon/prometheus-operated"]
    assert read.service_workloads(read.services[0]) == (workload,)


@pytest.mark.parametrize(
    ("group", "kind", "spec", "workloads", "services"),
    [
        ("dragonflydb.io/v1alpha1", "Dragonfly", "{replicas: 2}", ["StatefulSet x/c"], ["x/c"]),
        (
            "databases.spotahome.com/v1",
            "RedisFailover",
            "{redis: {replicas: 3}, sentinel: {replicas: 3}}",
            ["Deployment x/rfs-c", "StatefulSet x/rfr-c"],
            ["x/rfrm-c", "x/rfrs-c", "x/rfs-c"],
        ),
        (
            "redis.redis.opstreelabs.in/v1beta2",
            "Redis",
            "{kubernetesConfig: {image: redis}}",
            ["StatefulSet x/c"],
            ["x/c", "x/c-additional", "x/c-headless"],
        ),
        ("hyperspike.io/v1", "Valkey", "{nodes: 1}", ["StatefulSet x/c"], ["x/c", "x/c-headless"]),
    ],
)
def test_cache_operators_run_what_their_documentation_names(
    group: str, kind: str, spec: str, workloads: list[str], services: list[str]
) -> None:
    read = platform(f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: c, namespace: x}}\nspec: {spec}\n")
    assert sorted(item.id for item in read.workloads) == workloads
    assert names(read, "Service") == services
    assert all(read.service_workloads(item) for item in read.services)


def test_autoscaler_minimum_lifts_two_replicas_to_three() -> None:
    read = platform(
        """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: a, namespace: x}
        spec: {replicas: 2, template: {spec: {containers: []}}}
        ---
        apiVersion: autoscaling/v2
        kind: HorizontalPodAutoscaler
        metadata: {name: a, namespace: x}
        spec: {minReplicas: 3, maxReplicas: 5, scaleTargetRef: {kind: Deployment, name: a}}
        """
    )
    assert [item.replicas for item in read.workloads] == [3]


def test_pods_of_a_live_dump_that_have_an_owner_are_not_counted_again() -> None:
    read = platform(
        """
        apiVersion: v1
        kind: List
        items:
          - {apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x, ownerReferences: [{kind: ReplicaSet}]}}
          - {apiVersion: v1, kind: Pod, metadata: {name: alone, namespace: x}}
        """
    )
    assert [item.id for item in read.workloads] == ["Pod x/alone"]


def test_first_free_address_of_the_pool_is_given_to_services_that_ask_for_none() -> None:
    read = platform(
        """
        apiVersion: metallb.io/v1beta1
        kind: IPAddressPool
        metadata: {name: pool, namespace: metallb-system}
        spec: {addresses: [192.168.1.240-192.168.1.242]}
        ---
        {apiVersion: v1, kind: Service, metadata: {name: a, namespace: x}, spec: {type: LoadBalancer}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: b, namespace: x, annotations: {metallb.io/loadBalancerIPs: 192.168.1.240}}
        spec: {type: LoadBalancer}
        ---
        {apiVersion: v1, kind: Service, metadata: {name: c, namespace: x}, spec: {type: ClusterIP}}
        """
    )
    found = {key.name: value for key, value in read.load_balancer_addresses.items()}
    assert found == {"a": ("192.168.1.241",), "b": ("192.168.1.240",)}


def test_secrets_of_sealed_and_external_secrets_and_certificates_have_keys_and_no_values() -> None:
    read = platform(
        """
        apiVersion: bitnami.com/v1alpha1
        kind: SealedSecret
        metadata: {name: sealed, namespace: x}
        spec: {encryptedData: {token: AgBsecretcipher}, template: {metadata: {name: plain}}}
        ---
        apiVersion: external-secrets.io/v1
        kind: ExternalSecret
        metadata: {name: outer, namespace: x}
        spec: {data: [{secretKey: password}], target: {name: inner}}
        ---
        apiVersion: cert-manager.io/v1
        kind: Certificate
        metadata: {name: wild, namespace: x}
        spec:
          secretName: tls
          issuerRef: {name: le, kind: ClusterIssuer}
          secretTemplate:
            annotations:
              reflector.v1.k8s.emberstack.com/reflection-allowed: "true"
              reflector.v1.k8s.emberstack.com/reflection-auto-enabled: "true"
              reflector.v1.k8s.emberstack.com/reflection-auto-namespaces: "x,y"
        """
    )
    found = {f"{item.namespace}/{item.name}": item.manifest["data"] for item in read.by_kind("Secret")}
    assert found == {
        "x/plain": {"token": ""},
        "x/inner": {"password": ""},
        "x/tls": {"ca.crt": "", "tls.crt": "", "tls.key": ""},
        "y/tls": {"ca.crt": "", "tls.crt": "", "tls.key": ""},
    }


def test_annotated_ingress_gets_its_certificate_and_secret() -> None:
    read = platform(
        """
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: a, namespace: x, annotations: {cert-manager.io/cluster-issuer: le}}
        spec: {tls: [{hosts: [a.example.org], secretName: a-tls}]}
        """
    )
    assert names(read, "Certificate") == ["x/a-tls"]
    assert names(read, "Secret") == ["x/a-tls"]


def test_object_that_the_tree_writes_is_never_derived_again() -> None:
    read = platform(CLUSTER + "---\n{apiVersion: v1, kind: Service, metadata: {name: db-rw, namespace: data}}\n")
    assert [item.origin.provenance for item in read.services if item.name == "db-rw"] == ["manifest"]
    assert derive(read.objects) == []


def test_unknown_kinds_are_counted_with_their_group() -> None:
    read = platform(
        "{apiVersion: example.org/v1, kind: Thing, metadata: {name: a}}\n---\n"
        "{apiVersion: example.org/v1, kind: Thing, metadata: {name: b}}\n"
    )
    assert read.unknown_kinds == {"example.org/Thing": 2}


def test_objects_with_lists_where_maps_belong_do_not_stop_the_reading() -> None:
    read = platform(
        """
        {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: [1, 2]}
        ---
        {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: b}, spec: {volumeClaimTemplates: {a: 1}, replicas: x}}
        ---
        {apiVersion: postgresql.cnpg.io/v1, kind: Cluster, metadata: {name: c}, spec: {storage: [], managed: 3}}
        ---
        {apiVersion: v1, kind: Service, metadata: {name: d}, spec: {selector: [a], ports: {}}}
        """
    )
    assert [item.id for item in read.workloads] == [
        "Deployment default/a",
        "StatefulSet default/b",
        "Cluster default/c",
    ]

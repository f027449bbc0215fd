"""Defaulting, QoS, priority, LimitRange and quota messages, with cases of the upstream tables.

Sources: pkg/apis/core/v1/defaults_test.go, helper/qos/qos_test.go, plugin/pkg/admission/priority/admission_test.go,
plugin/pkg/admission/limitranger/admission_test.go, pkg/quota/v1/evaluator/core/*_test.go,
apiserver/pkg/admission/plugin/resourcequota/admission_test.go (plugin/pkg/admission/resourcequota).
"""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from models.rules.defaults import default_limit_range_item, default_pod, default_tolerations, pod_from_template
from models.rules.limitrange import apply_limit_ranges, limit_range_error, validate_limit_ranges
from models.rules.priority import priority_class_name, resolve_priority
from models.rules.qos import qos_class
from models.rules.quota import admit, compute_used, matches_scopes, usage
from models.rules.resources import ResourceOptions, non_zero_requests, pod_limits, pod_requests

Amounts = dict[str, str]


def container(name: str, requests: Amounts | None = None, limits: Amounts | None = None) -> dict[str, Any]:
    sides = {"requests": requests, "limits": limits}
    return {"name": name, "image": "app:1", "resources": {side: amounts for side, amounts in sides.items() if amounts}}


def sidecar(name: str, requests: Amounts) -> dict[str, Any]:
    return container(name, requests) | {"restartPolicy": "Always"}


def pod(*containers: dict[str, Any], init: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    body = {"containers": list(containers), **({"initContainers": init} if init else {}), **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}, "spec": body}


def quota(name: str, hard: Amounts, used: Amounts | None = None, **spec: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name, "namespace": "ns"}, "spec": {"hard": hard, **spec}}
    return body if used is None else body | {"status": {"hard": hard, "used": used}}


def text(amounts: Any) -> Amounts:
    return {name: str(amount) for name, amount in amounts.items()}


# Defaulting


def test_a_limit_without_a_request_becomes_a_request_in_containers_and_init_containers() -> None:
    given = pod(
        container("a", {"cpu": "0"}, {"cpu": "1", "memory": "1Gi"}), init=[container("i", None, {"cpu": "0.0001"})]
    )
    before = copy.deepcopy(given)
    found = default_pod(given)
    assert found["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "0", "memory": "1Gi"}
    assert found["spec"]["initContainers"][0]["resources"] == {"requests": {"cpu": "1m"}, "limits": {"cpu": "1m"}}
    assert given == before


def test_pod_fields_get_the_api_defaults() -> None:
    probe = {"httpGet": {"port": 80}, "periodSeconds": 5}
    given = pod(container("a") | {"readinessProbe": probe, "ports": [{"containerPort": 80}]}, volumes=[{"name": "v"}])
    spec = default_pod(given)["spec"]
    assert spec["restartPolicy"] == "Always"
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["schedulerName"] == "default-scheduler"
    assert spec["volumes"] == [{"name": "v", "emptyDir": {}}]
    assert spec["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert spec["containers"][0]["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 5,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert (
        default_pod(pod(container("a"), terminationGracePeriodSeconds=-5))["spec"]["terminationGracePeriodSeconds"] == 1
    )


@pytest.mark.parametrize(
    ("image", "policy"),
    [("app", "Always"), ("app:latest", "Always"), ("app:1", "IfNotPresent"), ("host:5000/app", "Always"),
     ("app@sha256:" + "0" * 64, "IfNotPresent")],
)  # fmt: skip
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    found = default_pod(pod({"name": "a", "image": image}))
    assert found["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_tolerations_for_lost_nodes_are_added_once_for_300_seconds() -> None:
    own = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    added = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    found = default_tolerations(pod(container("a"), tolerations=[own]))["spec"]["tolerations"]
    assert found == [own, added | {"tolerationSeconds": 300}]
    everything = [{"operator": "Exists"}]
    assert default_tolerations(pod(container("a"), tolerations=everything))["spec"]["tolerations"] == everything


def test_limit_range_item_defaults_limit_from_max_and_request_from_limit_then_min() -> None:
    item = {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "1", "memory": "1Mi"}}
    found = default_limit_range_item(item)
    assert found["default"] == {"cpu": "2"}
    assert found["defaultRequest"] == {"cpu": "2", "memory": "1Mi"}
    assert "default" not in default_limit_range_item({"type": "Pod", "max": {"cpu": "2"}})


def test_a_stateful_pod_gets_its_claim_its_hostname_and_its_index() -> None:
    template = {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [container("db")]}}
    workload = {
        "kind": "StatefulSet",
        "spec": {
            "serviceName": "db",
            "template": template,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
        },
    }
    found = pod_from_template(workload, name="db-2", namespace="ns")
    assert found["spec"]["volumes"] == [
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-2", "readOnly": False}}
    ]
    assert found["spec"]["hostname"] == "db-2"
    assert found["metadata"]["labels"] == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-2",
        "apps.kubernetes.io/pod-index": "2",
    }
    assert template == {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [container("db")]}}


def test_a_cron_job_pod_comes_from_the_template_two_levels_down() -> None:
    template = {"spec": {"containers": [container("job")]}}
    workload = {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": template}}}}
    assert pod_from_template(workload, name="x", namespace="ns")["spec"]["containers"][0]["name"] == "job"


# Effective requests (component-helpers/resource/helpers_test.go)


def test_init_containers_set_a_floor_and_earlier_sidecars_add_to_it() -> None:
    given = pod(
        container("a", {"cpu": "1"}),
        container("b", {"cpu": "2"}),
        init=[
            container("i1", {"cpu": "4"}),
            sidecar("s1", {"cpu": "1"}),
            container("i2", {"cpu": "5"}),
            sidecar("s2", {"cpu": "500m"}),
        ],
    )
    # containers + sidecars = 4.5; i1 alone 4; i2 beside s1 = 6
    assert text(pod_requests(given)) == {"cpu": "6"}


def test_overhead_counts_for_requests_and_only_for_limits_that_are_set() -> None:
    given = pod(container("a", {"cpu": "1"}, {"cpu": "0", "memory": "1Gi"}), overhead={"cpu": "1", "memory": "1Gi"})
    assert text(pod_requests(given)) == {"cpu": "2", "memory": "1Gi"}
    assert text(pod_limits(given)) == {"cpu": "0", "memory": "2Gi"}
    assert text(pod_requests(given, ResourceOptions(exclude_overhead=True))) == {"cpu": "1"}


def test_pod_level_requests_replace_the_sum_even_when_smaller() -> None:
    given = pod(container("a", {"cpu": "3", "memory": "1Gi"}), resources={"requests": {"cpu": "1"}})
    assert text(pod_requests(given)) == {"cpu": "1", "memory": "1Gi"}


def test_in_place_resize_takes_the_largest_of_spec_allocated_and_actual() -> None:
    given = pod(container("a", {"cpu": "1", "memory": "4Gi"}))
    status = {"name": "a", "allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "1500m"}}}
    given["status"] = {"containerStatuses": [status]}
    assert text(pod_requests(given, ResourceOptions(use_status=True))) == {"cpu": "2", "memory": "4Gi"}
    given["status"]["conditions"] = [{"type": "PodResizePending", "reason": "Infeasible"}]
    assert text(pod_requests(given, ResourceOptions(use_status=True))) == {"cpu": "2"}
    assert text(pod_requests(given)) == {"cpu": "1", "memory": "4Gi"}


def test_scores_assume_100m_and_200mi_per_container_but_keep_an_explicit_zero() -> None:
    given = pod(container("a"), container("b", {"cpu": "0"}), init=[container("i", {"memory": "1Gi"})])
    assert text(non_zero_requests(given)) == {"cpu": "100m", "memory": "1Gi"}


# QoS


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([container("a", {"cpu": "100m", "memory": "100Mi"}, {"cpu": "100m", "memory": "100Mi"})], "Guaranteed"),
        ([container("a", {"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"}), container("b")], "Burstable"),
        ([container("a"), container("b")], "BestEffort"),
        ([container("a", {"cpu": "0"}, {"cpu": "0"})], "BestEffort"),
        ([container("a", {"cpu": "100m"}, {"cpu": "100m"})], "Burstable"),
        ([container("a", {"cpu": "100m", "memory": "1Gi"}, {"cpu": "200m", "memory": "1Gi"})], "Burstable"),
        ([container("a", {"hugepages-2Mi": "4Mi"}, {"hugepages-2Mi": "4Mi"})], "BestEffort"),
        ([container("a", {"cpu": "100m", "memory": "0"}, {"cpu": "100m", "memory": "0"})], "Burstable"),
    ],
)
def test_qos_class(containers: list[dict[str, Any]], expected: str) -> None:
    assert qos_class(pod(*containers)) == expected


def test_init_containers_count_for_qos_and_pod_level_resources_replace_all() -> None:
    full = container("a", {"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"})
    assert qos_class(pod(full, init=[container("i")])) == "Burstable"
    level = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    assert qos_class(pod(container("a"), resources=level)) == "Guaranteed"


# Priority


CLASSES = [
    {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"},
    {"metadata": {"name": "usual"}, "value": 10, "globalDefault": True},
    {"metadata": {"name": "low"}, "value": 5, "globalDefault": True},
]


def test_priority_comes_from_the_class_or_the_lowest_global_default() -> None:
    assert resolve_priority(pod(container("a"), priorityClassName="high"), CLASSES) == (1000, "Never")
    assert resolve_priority(pod(container("a")), CLASSES) == (5, "PreemptLowerPriority")
    assert resolve_priority(pod(container("a")), []) == (0, "PreemptLowerPriority")
    assert priority_class_name(pod(container("a")), CLASSES) == "low"
    system = pod(container("a"), priorityClassName="system-node-critical")
    assert resolve_priority(system, [])[0] == 2_000_001_000


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"priorityClassName": "none"}, 'pods "p" is forbidden: no PriorityClass with name none was found'),
        (
            {"priorityClassName": "high", "priority": 7},
            (
                'pods "p" is forbidden: the integer value of priority (7) must not be provided in pod spec; '
                "priority admission controller computed 1000 from the given PriorityClass name"
            ),
        ),
        (
            {"priorityClassName": "high", "preemptionPolicy": "PreemptLowerPriority"},
            (
                'pods "p" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) '
                "must not be provided "
                "in pod spec; priority admission controller computed Never from the given PriorityClass name"
            ),
        ),
    ],
)
def test_priority_is_refused_in_the_words_of_the_api_server(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="is forbidden") as caught:
        resolve_priority(pod(container("a"), **spec), CLASSES)
    assert str(caught.value) == message


# LimitRange


def limit_range(kind: str, **sides: Amounts) -> dict[str, Any]:
    return {"metadata": {"name": "lr"}, "spec": {"limits": [{"type": kind, **sides}]}}


@pytest.mark.parametrize(
    ("kind", "sides", "requests", "limits", "messages"),
    [
        ("Container", {"min": {"cpu": "50m"}}, {"cpu": "100m"}, {}, []),
        ("Container", {"min": {"cpu": "100m"}}, {"cpu": "50m"}, {},
         ["minimum cpu usage per Container is 100m, but request is 50m"]),
        ("Container", {"min": {"memory": "50Mi"}}, {}, {},
         ["minimum memory usage per Container is 50Mi.  No request is specified"]),
        ("Container", {"min": {"cpu": "1"}}, {"cpu": "1"}, {"cpu": "500m"},
         ["minimum cpu usage per Container is 1, but limit is 500m"]),
        ("Container", {"max": {"memory": "1Gi"}}, {"memory": "250Mi"}, {"memory": "2Gi"},
         ["maximum memory usage per Container is 1Gi, but limit is 2Gi"]),
        ("Container", {"max": {"cpu": "2"}}, {"cpu": "500m"}, {},
         ["maximum cpu usage per Container is 2.  No limit is specified"]),
        ("Container", {"max": {"cpu": "2"}}, {"cpu": "3"}, {"cpu": "2"},
         ["maximum cpu usage per Container is 2, but request is 3"]),
        ("Container", {"maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "500m"}, {"cpu": "2"},
         ["cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"]),
        ("Container", {"maxLimitRequestRatio": {"cpu": "1500m"}}, {"cpu": "500m"}, {"cpu": "750m"}, []),
        ("Container", {"maxLimitRequestRatio": {"cpu": "1"}}, {}, {"cpu": "2500m"},
         ["cpu max limit to request ratio per Container is 1, but no request is specified or request is 0"]),
        ("Container", {"maxLimitRequestRatio": {"cpu": "1"}}, {"cpu": "1"}, {},
         ["cpu max limit to request ratio per Container is 1, but no limit is specified or limit is 0"]),
        ("Container", {"min": {"memory": "1Ki"}}, {"memory": "1"}, {},
         ["minimum memory usage per Container is 1Ki, but request is 1"]),
        ("Pod", {"max": {"cpu": "2"}}, {"cpu": "1"}, {"cpu": "3"},
         ["maximum cpu usage per Pod is 2, but limit is 3"]),
    ],
)  # fmt: skip
def test_limit_range_message(kind: str, sides: Any, requests: Amounts, limits: Amounts, messages: list[str]) -> None:
    assert validate_limit_ranges(pod(container("a", requests, limits)), [limit_range(kind, **sides)]) == messages


def test_pod_limits_sum_containers_take_the_largest_init_and_ignore_overhead() -> None:
    rule = limit_range("Pod", max={"cpu": "2"})
    two = [container("a", None, {"cpu": "1"}), container("b", None, {"cpu": "1"})]
    assert (
        validate_limit_ranges(pod(*two, init=[container("i", None, {"cpu": "2"})], overhead={"cpu": "1"}), [rule]) == []
    )
    found = validate_limit_ranges(pod(*two, init=[container("i", None, {"cpu": "2500m"})]), [rule])
    assert found == ["maximum cpu usage per Pod is 2, but limit is 2500m"]


def test_several_violations_stand_in_brackets_and_doubles_are_dropped() -> None:
    rule = limit_range("Container", min={"cpu": "1"}, max={"memory": "1Gi"})
    bad = container("a", {"cpu": "100m", "memory": "1Mi"}, {"memory": "2Gi"})
    assert limit_range_error(pod(bad, bad | {"name": "b"}), [rule]) == (
        'pods "p" is forbidden: [minimum cpu usage per Container is 1, but request is 100m, '
        "maximum memory usage per Container is 1Gi, but limit is 2Gi]"
    )
    assert limit_range_error(pod(container("a", {"cpu": "1", "memory": "1Mi"}, {"memory": "1Gi"})), [rule]) is None


@pytest.mark.parametrize(
    ("storage", "message"),
    [("2Gi", None), ("500Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"),
     ("20Gi", "maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 20Gi")],
)  # fmt: skip
def test_claims_are_held_between_min_and_max_storage(storage: str, message: str | None) -> None:
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"},
        "spec": {"resources": {"requests": {"storage": storage}}},
    }
    rule = limit_range("PersistentVolumeClaim", min={"storage": "1Gi"}, max={"storage": "10Gi"})
    expected = message and f'persistentvolumeclaims "c" is forbidden: {message}'
    assert limit_range_error(claim, [rule]) == expected


def test_limit_range_fills_what_is_missing_and_writes_down_what_it_did() -> None:
    rule = limit_range("Container", default={"cpu": "1", "memory": "1Gi"}, defaultRequest={"cpu": "100m"})
    found = apply_limit_ranges(default_pod(pod(container("a", None, {"cpu": "2"}), init=[container("i")])), [rule])
    assert found["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "1Gi"},
    }
    assert found["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: memory request for container a; memory limit for container a; "
        "cpu, memory request for init container i; cpu, memory limit for init container i"
    )


# Quota


def test_exceeded_quota_message_names_only_the_keys_that_are_too_large() -> None:
    answer = admit(
        pod(container("a", {"cpu": "1", "memory": "1Gi"})),
        [
            quota(
                "q", {"requests.cpu": "2", "requests.memory": "8Gi"}, {"requests.cpu": "1700m", "requests.memory": "0"}
            )
        ],
    )
    assert not answer.allowed
    assert answer.message == (
        'pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=1, used: requests.cpu=1700m, '
        "limited: requests.cpu=2"
    )
    assert text(answer.new_used["q"]) == {"requests.cpu": "1700m", "requests.memory": "0"}


def test_every_container_and_init_container_must_state_tracked_compute_values() -> None:
    given = pod(container("b"), container("a", None, {"cpu": "1"}), init=[container("i")])
    tracked = {"limits.cpu": "9", "limits.memory": "9Gi", "requests.ephemeral-storage": "1Gi"}
    answer = admit(given, [quota("q", tracked, dict.fromkeys(tracked, "0"))])
    assert answer.message == (
        'pods "p" is forbidden: failed quota: q: must specify limits.cpu for: b,i; limits.memory for: a,b,i'
    )


def test_a_key_without_a_used_value_makes_the_status_unknown() -> None:
    answer = admit(pod(container("a", {"cpu": "1"})), [quota("q", {"pods": "2", "requests.cpu": "2"}, {"pods": "0"})])
    assert answer.message == 'pods "p" is forbidden: status unknown for quota: q, resources: pods,requests.cpu'


def test_a_quota_without_status_counts_as_unused_unless_the_caller_knows_better() -> None:
    rule = quota("q", {"pods": "1"})
    first = admit(pod(container("a")), [rule])
    assert first.allowed
    assert text(first.deltas["q"]) == {"pods": "1"}
    second = admit(pod(container("a")), [rule], used={"q": first.new_used["q"]})
    assert (
        second.message == 'pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    )


def test_limited_resources_need_a_covering_quota() -> None:
    limited = [{"resource": "pods", "matchContains": ["memory"]}]
    answer = admit(pod(container("a", {"memory": "1Gi"})), [], limited_resources=limited)
    assert answer.message == 'pods "p" is forbidden: insufficient quota to consume: memory,requests.memory'
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": ["cluster-services"]}
    answer = admit(
        pod(container("a"), priorityClassName="cluster-services"),
        [],
        limited_resources=[{"resource": "pods", "matchScopes": [scope]}],
    )
    assert answer.message == "insufficient quota to match these scopes: [{PriorityClass In [cluster-services]}]"


def test_an_update_is_charged_for_its_increase_and_only_against_changed_keys() -> None:
    def service(kind: str, ports: int) -> dict[str, Any]:
        spec = {"type": kind, "ports": [{"port": n} for n in range(ports)]}
        return {"kind": "Service", "metadata": {"name": "s", "namespace": "ns", "resourceVersion": "1"}, "spec": spec}

    rule = quota("q", {"services": "1", "services.nodeports": "2"}, {"services": "3", "services.nodeports": "1"})
    grown = admit(service("NodePort", 2), [rule], old=service("NodePort", 1))
    assert grown.allowed
    assert text(grown.deltas["q"]) == {"services.nodeports": "1"}
    assert admit(service("ClusterIP", 1), [rule], old=service("NodePort", 1)).deltas == {}
    too_many = admit(service("LoadBalancer", 3), [rule], old=service("NodePort", 1))
    assert too_many.message == (
        'services "s" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=1, '
        "limited: services.nodeports=2"
    )
    fresh = service("NodePort", 1)
    del fresh["metadata"]["resourceVersion"]
    assert not admit(service("NodePort", 1), [rule], old=fresh).allowed


def test_a_finished_pod_costs_only_its_object_and_so_does_one_past_its_grace() -> None:
    done = pod(container("a", {"cpu": "1"})) | {"status": {"phase": "Succeeded"}}
    assert text(usage(done)) == {"count/pods": "1"}
    stuck = pod(container("a", {"cpu": "1"}))
    stuck["metadata"] |= {"deletionTimestamp": "2024-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}
    assert text(usage(stuck, now=datetime(2024, 1, 1, 0, 0, 30, tzinfo=UTC)))["requests.cpu"] == "1"
    assert text(usage(stuck, now=datetime(2024, 1, 1, 0, 0, 31, tzinfo=UTC))) == {"count/pods": "1"}


@pytest.mark.parametrize(
    ("spec", "scope", "expected"),
    [
        ({"activeDeadlineSeconds": 0}, "Terminating", True), ({}, "Terminating", False), ({}, "NotTerminating", True),
        ({}, "BestEffort", True), ({}, "NotBestEffort", False), ({"priorityClassName": "x"}, "PriorityClass", True),
        ({}, "PriorityClass", False), ({}, "CrossNamespacePodAffinity", False),
        ({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"podAffinityTerm": {"namespaceSelector": {}}}]}}}, "CrossNamespacePodAffinity", True),
    ],
)  # fmt: skip
def test_scopes(spec: dict[str, Any], scope: str, expected: bool) -> None:
    assert matches_scopes(quota("q", {"pods": "1"}, scopes=[scope]), pod(container("a"), **spec)) is expected


def test_other_kinds_are_counted_by_their_plural_and_group() -> None:
    kinds = [
        ("apps/v1", "Deployment", {"count/deployments.apps"}),
        ("networking.k8s.io/v1", "Ingress", {"count/ingresses.networking.k8s.io"}),
        ("networking.k8s.io/v1", "NetworkPolicy", {"count/networkpolicies.networking.k8s.io"}),
        ("v1", "ConfigMap", {"count/configmaps", "configmaps"}),
        ("v1", "Secret", {"count/secrets", "secrets"}),
    ]
    for version, kind, keys in kinds:
        assert set(usage({"apiVersion": version, "kind": kind})) == keys


def test_used_is_summed_over_matching_objects_of_the_namespace() -> None:
    other = pod(container("a", {"cpu": "7"}))
    other["metadata"]["namespace"] = "elsewhere"
    deadline = pod(container("a", {"cpu": "5"}), activeDeadlineSeconds=3)
    objects = [pod(container("a", {"cpu": "1"})), pod(container("a", {"cpu": "500m"})), deadline, other]
    rule = quota("q", {"requests.cpu": "9", "pods": "9", "services": "1"}, scopes=["NotTerminating"])
    assert text(compute_used(rule, objects)) == {"requests.cpu": "1500m", "pods": "2", "services": "0"}


def test_bad_amounts_are_reported_with_the_resource_and_the_text() -> None:
    with pytest.raises(ValueError, match="cpu: 'lots': quantities must match the regular expression"):
        pod_requests(pod(container("a", {"cpu": "lots"})))

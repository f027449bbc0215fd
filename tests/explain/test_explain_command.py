"""``stowplan explain`` as a person uses it: what it prints, how one pod changes the cluster for the next, bad input."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reports.cli import main

NODE = """\
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {kubernetes.io/hostname: n1}}
status: {allocatable: {cpu: "2", memory: 4Gi, pods: "110"}}
---
"""
QUOTA = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: compute, namespace: home}
spec: {hard: {requests.cpu: "1", pods: "5"}}
---
"""


def pod(name: str, cpu: str = "100m", extra: str = "", namespace: str = "home") -> str:
    container = f"{{name: main, image: nginx, resources: {{requests: {{cpu: {cpu}}}}}}}"
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{{extra}containers: [{container}]}}\n---\n"
    )


@pytest.fixture
def answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Explains the text as a file and gives back the JSON."""

    def ask(text: str, *options: str) -> dict[str, Any]:
        (tmp_path / "objects.yaml").write_text(text)
        capfd.readouterr()
        assert main(["explain", str(tmp_path / "objects.yaml"), "--format", "json", *options]) == 0
        return dict(json.loads(capfd.readouterr().out))

    return ask


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """What standard error says of a text that cannot be used."""

    def ask(text: str, *options: str) -> str:
        (tmp_path / "objects.yaml").write_text(text)
        capfd.readouterr()
        assert main(["explain", str(tmp_path / "objects.yaml"), *options]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        return err

    return ask


def test_services_and_claims_without_any_pod_are_held_against_their_quota(answer: Any) -> None:
    text = """\
apiVersion: v1
kind: ResourceQuota
metadata: {name: q, namespace: a}
spec: {hard: {services.nodeports: "1", requests.storage: 1Gi}}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: a}
spec: {type: NodePort, ports: [{port: 1}, {port: 2}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c, namespace: a}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""
    data = answer(text)
    assert data["pods"] == []
    assert {item["name"]: item["admission"]["message"] for item in data["objects"]} == {
        "s": 'services "s" is forbidden: exceeded quota: q, requested: services.nodeports=2, '
        "used: services.nodeports=0, limited: services.nodeports=1",
        "c": "",
    }


def test_each_pod_charges_the_quota_for_the_next(answer: Any) -> None:
    data = answer(NODE + QUOTA + pod("a", "600m") + pod("b", "600m") + pod("c", "400m"))
    assert [item["state"] for item in data["pods"]] == ["scheduled", "refused", "scheduled"]
    assert data["pods"][1]["message"] == (
        'pods "b" is forbidden: exceeded quota: compute, requested: requests.cpu=600m, '
        "used: requests.cpu=600m, limited: requests.cpu=1"
    )
    assert data["pods"][1]["admission"]["plugin"] == "ResourceQuota"
    assert data["pods"][2]["admission"]["quotas"] == [
        {"quota": "compute", "key": "pods", "delta": "1", "used": "1", "hard": "5", "fits": True},
        {"quota": "compute", "key": "requests.cpu", "delta": "400m", "used": "600m", "hard": "1", "fits": True},
    ]
    (quota,) = data["quotas"]
    assert quota["counted"]
    assert [(line["key"], line["used_before"], line["used_after"]) for line in quota["keys"]] == [
        ("pods", "0", "2"),
        ("requests.cpu", "0", "1"),
    ]


def test_a_pod_that_exists_counts_for_quota_and_node_and_gets_no_answer(answer: Any) -> None:
    old = pod("old", "700m", "nodeName: n1, ").replace("---\n", "status: {phase: Running}\n---\n")
    data = answer(NODE + QUOTA + old + pod("new", "400m"))
    (new,) = data["pods"]
    assert new["name"] == "new"
    assert "requested: requests.cpu=400m, used: requests.cpu=700m, limited: requests.cpu=1" in new["message"]
    assert data["nodes"][0]["requested"] == {"cpu": "700m", "memory": "0", "pods": "1"}


def test_a_finished_pod_uses_nothing_but_its_object_count(answer: Any) -> None:
    done = pod("done", "700m", "nodeName: n1, ").replace("---\n", "status: {phase: Succeeded}\n---\n")
    quota = QUOTA.replace('pods: "5"', "count/pods: 1")
    data = answer(NODE + quota + done + pod("new", "400m"))
    assert "exceeded quota: compute, requested: count/pods=1, used: count/pods=1" in data["pods"][0]["message"]
    assert data["nodes"][0]["pods"] == 0


def test_the_status_of_a_quota_is_what_admission_reads(answer: Any) -> None:
    status = 'status: {hard: {requests.cpu: "1"}, used: {requests.cpu: 950m}}\n---\n'
    data = answer(NODE + QUOTA.replace("---\n", status) + pod("a"))
    assert not data["quotas"][0]["counted"]
    assert data["pods"][0]["message"] == (
        'pods "a" is forbidden: exceeded quota: compute, requested: requests.cpu=100m, '
        "used: requests.cpu=950m, limited: requests.cpu=1"
    )


def test_a_pod_that_is_stored_already_is_neither_admitted_nor_charged_again(answer: Any) -> None:
    waiting = pod("waiting", "800m").replace("{name: waiting", '{name: waiting, resourceVersion: "7"')
    data = answer(NODE + QUOTA + waiting + pod("next", "300m"))
    first, second = data["pods"]
    assert first["admission"] == {"admitted": True, "stored": True, "plugin": None, "message": "", "quotas": []}
    assert first["node"] == "n1"
    assert "requested: requests.cpu=300m, used: requests.cpu=800m" in second["message"]


def test_limit_range_defaults_below_the_request_are_invalid_in_the_words_of_the_api_server(answer: Any) -> None:
    # kubernetes.io/docs/concepts/policy/limit-range, "LimitRange and admission checks for Pods".
    ranges = """\
apiVersion: v1
kind: LimitRange
metadata: {name: cpu-resource-constraint, namespace: home}
spec:
  limits:
    - {default: {cpu: 500m}, defaultRequest: {cpu: 500m}, max: {cpu: "1"}, min: {cpu: 100m}, type: Container}
---
"""
    data = answer(NODE + ranges + pod("example-conflict-with-limitrange-cpu", "700m"))
    assert data["pods"][0]["message"] == (
        'Pod "example-conflict-with-limitrange-cpu" is invalid: spec.containers[0].resources.requests: '
        'Invalid value: "700m": must be less than or equal to cpu limit of 500m'
    )
    assert data["pods"][0]["admission"]["plugin"] == "validation"


def test_a_replica_set_of_a_live_cluster_brings_only_what_is_missing(answer: Any) -> None:
    owner = "ownerReferences: [{apiVersion: apps/v1, kind: KIND, name: NAME, controller: true}]"
    by_deployment = owner.replace("KIND", "Deployment").replace("NAME", "web")
    by_replica_set = owner.replace("KIND", "ReplicaSet").replace("NAME", "web-5d9c")
    deployment = """\
apiVersion: v1
kind: List
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: web, namespace: home, resourceVersion: "1"}
  spec:
    replicas: 3
    selector: {matchLabels: {app: web}}
    template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main}]}}
- apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: web-5d9c, namespace: home, BY_DEPLOYMENT}
  spec: {replicas: 3, selector: {matchLabels: {app: web}}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web-5d9c-aaaaa, namespace: home, BY_REPLICA_SET}
  spec: {nodeName: n1, containers: [{name: main}]}
  status: {phase: Running}
- apiVersion: v1
  kind: Pod
  metadata: {name: web-5d9c-bbbbb, namespace: home, BY_REPLICA_SET}
  spec: {containers: [{name: main}]}
  status: {phase: Pending}
"""
    deployment = deployment.replace("BY_DEPLOYMENT", by_deployment).replace("BY_REPLICA_SET", by_replica_set)
    data = answer(NODE + deployment)
    assert len(data["pods"]) == 2
    assert {item["workload"] for item in data["pods"]} == {"Deployment home/web"}
    assert "web-5d9c-bbbbb" in {item["name"] for item in data["pods"]}


def test_victims_leave_their_room_and_their_quota_to_the_next_pods(answer: Any) -> None:
    classes = "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1000\n---\n"
    quota = QUOTA.replace('requests.cpu: "1"', 'requests.cpu: "3"')
    high = "priorityClassName: high, "
    data = answer(NODE + classes + quota + pod("low", "1500m") + pod("vip", "1500m", high) + pod("late", "500m"))
    low, vip, late = data["pods"]
    assert (low["state"], low["node"]) == ("scheduled", "n1")
    assert (vip["state"], vip["node"], vip["nominated_node"]) == ("preempting", None, "n1")
    assert vip["victims"] == ["home/low"]
    assert vip["preemption_candidates"] == [{"node": "n1", "victims": ["home/low"], "pdb_violations": 0}]
    assert vip["message"] == "0/1 nodes are available: 1 Insufficient cpu."
    assert (late["state"], late["admission"]["quotas"][1]["used"]) == ("scheduled", "1500m")


def test_a_priority_that_admission_did_not_compute_is_refused_where_classes_are_known(answer: Any) -> None:
    classes = "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: high}\nvalue: 1000\n---\n"
    own = pod("own", extra="priority: 5, ")
    assert answer(NODE + own)["pods"][0]["priority"] == 5
    assert answer(NODE + classes + own)["pods"][0]["message"] == (
        'pods "own" is forbidden: the integer value of priority (5) must not be provided in pod spec; '
        "priority admission controller computed 0 from the given PriorityClass name"
    )


def test_an_account_that_the_namespace_does_not_have_is_refused(answer: Any) -> None:
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: other, namespace: home}\n---\n"
    data = answer(NODE + account + pod("a", extra="serviceAccountName: builder, "))
    # plugin/pkg/admission/serviceaccount/admission.go.
    assert data["pods"][0]["message"] == (
        'pods "a" is forbidden: error looking up service account home/builder: serviceaccount "builder" not found'
    )


def test_the_claims_of_a_stateful_set_are_charged_before_their_pod(answer: Any) -> None:
    text = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: local-path}
provisioner: rancher.io/local-path
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: disk, namespace: home}
spec: {hard: {requests.storage: 1536Mi}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: home}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: main}]}}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: local-path
        resources: {requests: {storage: 1Gi}}
"""
    first, second = answer(NODE + text)["pods"]
    assert (first["name"], first["node"]) == ("db-0", "n1")
    assert first["volumes"] == [
        {
            "claim": "home/data-db-0",
            "volume": None,
            "provisioner": "rancher.io/local-path",
            "storage_class": "local-path",
            "node": "n1",
        }
    ]
    assert second["message"] == (
        'failed to create PVC data-db-1: persistentvolumeclaims "data-db-1" is forbidden: exceeded quota: disk, '
        "requested: requests.storage=1Gi, used: requests.storage=1Gi, limited: requests.storage=1536Mi"
    )


def test_a_generic_ephemeral_volume_gets_its_claim_unless_the_quota_refuses_it(answer: Any) -> None:
    text = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: late}
provisioner: csi.example
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: disk, namespace: home}
spec: {hard: {persistentvolumeclaims: "1"}}
---
"""
    claim = "{accessModes: [ReadWriteOnce], storageClassName: late, resources: {requests: {storage: 1Gi}}}"
    volumes = f"volumes: [{{name: scratch, ephemeral: {{volumeClaimTemplate: {{spec: {claim}}}}}}}], "
    first, second = answer(NODE + text + pod("a", extra=volumes) + pod("b", extra=volumes))["pods"]
    assert (first["state"], first["volumes"][0]["claim"]) == ("scheduled", "home/a-scratch")
    assert second["state"] == "pending"
    assert second["message"].startswith(
        "0/1 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim "
        '"b-scratch".'
    )
    (note,) = second["notes"]
    assert note == (
        'its ephemeral volume gets no claim: persistentvolumeclaims "b-scratch" is forbidden: exceeded quota: disk, '
        "requested: persistentvolumeclaims=1, used: persistentvolumeclaims=1, limited: persistentvolumeclaims=1"
    )


def test_an_ordered_stateful_set_says_what_its_next_pod_waits_for(answer: Any) -> None:
    text = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: home}
spec:
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, resources: {requests: {cpu: "3"}}}]}
"""
    first, second = answer(NODE + text)["pods"]
    assert (first["state"], first["notes"]) == ("pending", [])
    assert second["notes"] == ["podManagementPolicy is OrderedReady: this pod is not made before db-0 is ready"]


def test_the_pods_of_a_workload_that_is_refused_never_come(answer: Any) -> None:
    quota = QUOTA.replace('requests.cpu: "1", pods: "5"', 'count/deployments.apps: "0"')
    web = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: home}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main}]}}
"""
    data = answer(NODE + quota + web)
    message = (
        'deployments.apps "web" is forbidden: exceeded quota: compute, requested: count/deployments.apps=1, '
        "used: count/deployments.apps=0, limited: count/deployments.apps=0"
    )
    assert data["objects"][0]["admission"]["message"] == message
    assert (data["pods"][0]["state"], data["pods"][0]["message"]) == ("refused", message)


def test_a_second_pod_of_one_name_already_exists(answer: Any) -> None:
    assert answer(NODE + pod("a") + pod("a"))["pods"][1]["message"] == 'pods "a" already exists'


def test_the_seed_breaks_ties_and_nothing_else(answer: Any) -> None:
    nodes = "".join(NODE.replace("n1", f"n{number}") for number in range(1, 6))
    text = nodes + pod("a")
    chosen = {answer(text, "--seed", str(seed))["pods"][0]["node"] for seed in range(1, 9)}
    assert len(chosen) > 1
    assert answer(text, "--seed", "3") == answer(text, "--seed", "3")
    assert answer(text)["pods"][0]["ties"] == ["n1", "n2", "n3", "n4", "n5"]


def test_objects_need_neither_names_nor_versions_nor_namespaces(answer: Any) -> None:
    data = answer("kind: Pod\n---\nkind: Pod\nspec: {}\n---\nkind: Node\nstatus: {capacity: {cpu: 1}}\n")
    assert [(item["namespace"], item["state"]) for item in data["pods"]] == [("default", "scheduled")] * 2
    assert data["nodes"][0]["allocatable"] == {"cpu": "1", "pods": "110"}
    assert data["notes"] == ["node node-3 (objects.yaml:6) does not say how many pods it takes: 110, as kubelets do"]


def test_the_catalogue_supplies_nodes_where_the_files_hold_none(answer: Any, refused: Any) -> None:
    data = answer(pod("a"), "--nodes", "2xm920q")
    assert [item["node"] for item in data["nodes"]] == ["node-1", "node-2"]
    assert data["pods"][0]["state"] == "scheduled"
    assert refused(NODE + pod("a"), "--nodes", "2xm920q") == (
        "error: --nodes: the files hold nodes already, n1 for one\n    leave one of them out\n"
    )


def test_without_any_node_a_pod_is_admitted_and_waits(answer: Any) -> None:
    data = answer(pod("a"))
    assert data["pods"][0]["admission"]["admitted"]
    assert data["pods"][0]["message"] == "no nodes available to schedule pods"


def test_a_node_without_capacity_takes_nothing_and_is_named(answer: Any) -> None:
    data = answer("apiVersion: v1\nkind: Node\nmetadata: {name: bare}\n---\n" + pod("a"))
    assert data["pods"][0]["nodes"][0]["reasons"] == ["Too many pods", "Insufficient cpu"]
    assert data["notes"] == ["node bare (objects.yaml:1) states neither capacity nor allocatable: nothing fits on it"]


def test_a_scheduler_configuration_changes_the_scores(answer: Any, refused: Any) -> None:
    config = """\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
  - plugins:
      score: {disabled: [{name: ImageLocality}], enabled: [{name: NodeResourcesFit, weight: 7}]}
    pluginConfig:
      - {name: NodeResourcesFit, args: {scoringStrategy: {type: %s, resources: [{name: cpu, weight: 1}]}}}
---
"""
    text = NODE + config % "MostAllocated" + pod("a", "500m")
    scores = {line["plugin"]: line for line in answer(text)["pods"][0]["nodes"][0]["scores"]}
    assert scores["NodeResourcesFit"] == {
        "plugin": "NodeResourcesFit",
        "raw": 25,
        "normalised": 25,
        "weight": 7,
        "weighted": 175,
    }
    assert "ImageLocality" not in scores
    assert refused(NODE + config % "Best" + pod("a")) == (
        "error: objects.yaml:6 profiles[0].pluginConfig[0].args: scoringStrategy.type 'Best' is none of "
        "LeastAllocated, MostAllocated, RequestedToCapacityRatio\n    see the scheduler configuration reference\n"
    )


def test_every_bad_quantity_and_type_is_told_at_once(refused: Any) -> None:
    text = NODE.replace("4Gi", "4 Gi") + QUOTA.replace('"5"', "5x") + pod("a", "1c")
    err = refused(text)
    assert err.endswith("3 problems\n")
    assert "error: objects.yaml:1 status.allocatable.memory: '4 Gi' of Node n1 is not a quantity" in err
    assert "error: objects.yaml:6 spec.hard.pods: '5x' of ResourceQuota home/compute is not a quantity" in err
    assert (
        "error: objects.yaml:11 spec.containers.0.resources.requests.cpu: '1c' of Pod home/a is not a quantity" in err
    )
    assert refused("kind: Pod\nspec: {containers: main}\n") == (
        "error: objects.yaml:1 spec.containers: 'main' of Pod (no name) is not a list of maps\n"
        "    'kubectl explain' tells the type of every field\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NODE, "error: no pod and no workload is among the objects\n    add the Pod or Deployment to explain\n"),
        ("just text\n", "error: objects.yaml:1: this is not a Kubernetes object: it has no kind\n"),
        ("kind: Widget\n", "error: objects.yaml:1: the Widget has no apiVersion\n"),
        (
            NODE + NODE + pod("a"),
            "error: objects.yaml:6 metadata.name: Node n1 is there twice, first in objects.yaml:1\n",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(refused: Any, text: str, message: str) -> None:
    assert refused(text).startswith(message)


def test_kinds_that_no_answer_depends_on_are_listed(
    answer: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: home}\n---\n"
    assert answer(NODE + config + pod("a"))["ignored"] == [{"kind": "ConfigMap", "count": 1}]
    assert main(["explain", str(tmp_path / "objects.yaml")]) == 0
    assert "ignored: 1 ConfigMap: no answer depends on it\n" in capfd.readouterr().err
    counted = QUOTA.replace('pods: "5"', 'configmaps: "0"')
    data = answer(NODE + counted + config + pod("a"))
    assert data["ignored"] == []
    assert "exceeded quota: compute, requested: configmaps=1" in data["objects"][0]["admission"]["message"]


def test_the_text_reads_like_kubectl_describe(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cordoned = NODE.replace("n1", "n2").replace("status:", "spec: {unschedulable: true}\nstatus:")
    (tmp_path / "all.yaml").write_text(NODE + cordoned + QUOTA + pod("a", "500m"))
    assert main(["explain", str(tmp_path / "all.yaml")]) == 0
    assert (
        capfd.readouterr().out
        == """\
Name:          a
Namespace:     home
Written In:    all.yaml:17
QoS Class:     Burstable
Priority:      0
Requests:      cpu 500m
Limits:        none
Quota:         QUOTA     KEY            ADDS   USED   HARD
               compute   pods           1      0      5
               compute   requests.cpu   500m   0      1
Admission:     admitted
Nodes:         n2   node(s) were unschedulable (NodeUnschedulable)
               NODE   Taints x3   NodeAff x2   Fit x1   Spread x2   PodAff x2   Balanced x1   Image x1   TOTAL
               n1*    100         0            85       0           0           87            0          472
Outcome:       goes to n1

1 pod to come: 1 scheduled
"""
    )


def test_standard_input_and_folders_are_read_too(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Input:
        buffer = io.BytesIO(pod("a").encode())

    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "node.yaml").write_text(NODE)
    monkeypatch.setattr("sys.stdin", Input())
    assert main(["explain", str(tmp_path / "cluster"), "-", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["pods"][0]["node"] == "n1"


def test_ten_thousand_pods_on_one_node_get_an_honest_answer_in_seconds(answer: Any) -> None:
    web = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 10000
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, resources: {requests: {cpu: 1m}}}]}}
"""
    started = time.process_time()
    data = answer(NODE + web)
    assert time.process_time() - started < 15
    states = [item["state"] for item in data["pods"]]
    assert (states.count("scheduled"), states.count("pending")) == (110, 9890)
    assert data["pods"][-1]["message"] == (
        "0/1 nodes are available: 1 Too many pods. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )


def test_the_schema_command_prints_the_documented_schema(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "explain"]) == 0
    schema = json.loads(capfd.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"]["const"] == "stowplan/explain/v1"

    def undocumented(node: dict[str, Any], path: str) -> list[str]:
        found = [] if "description" in node or "$ref" in node or path.endswith("[]") else [path]
        if "properties" in node:
            assert node["additionalProperties"] is False, path
            assert set(node["required"]) == set(node["properties"]), path
        for name, entry in node.get("properties", {}).items():
            found += undocumented(entry, f"{path}.{name}")
        return found + (undocumented(node["items"], f"{path}[]") if isinstance(node.get("items"), dict) else [])

    assert undocumented(schema, "") == []
    assert [path for name, node in schema["$defs"].items() for path in undocumented(node, name)] == []
    assert main(["schema"]) == 0
    assert json.loads(capfd.readouterr().out)["title"] == "Scenario"

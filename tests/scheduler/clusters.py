"""Random small clusters for property tests: few names, so that everything meets everything."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Manifest = dict[str, Any]

APPS = ("a", "b", "c")
ZONES = ("z1", "z2")
CLASSES = (
    {"metadata": {"name": "late"}, "provisioner": "rancher.io/local-path", "volumeBindingMode": "WaitForFirstConsumer"},
    {
        "metadata": {"name": "static"},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    },
    {
        "metadata": {"name": "zonal"},
        "provisioner": "csi.x",
        "volumeBindingMode": "WaitForFirstConsumer",
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["z1"]}]}],
    },
)

selectors = st.one_of(
    st.sampled_from(APPS).map(lambda app: {"matchLabels": {"app": app}}),
    st.lists(st.sampled_from(APPS), min_size=1, max_size=2, unique=True).map(
        lambda apps: {"matchExpressions": [{"key": "app", "operator": "In", "values": apps}]}
    ),
    st.just({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
    st.just({}),
    st.none(),
)
topology_keys = st.sampled_from(("kubernetes.io/hostname", "topology.kubernetes.io/zone", "rack"))


@st.composite
def affinity_terms(draw: st.DrawFn) -> Manifest:
    term: Manifest = {"topologyKey": draw(topology_keys)}
    selector = draw(selectors)
    if selector is not None:
        term["labelSelector"] = selector
    scope = draw(st.integers(0, 5))
    if scope == 0:
        term["namespaces"] = ["n1"]
    elif scope == 1:
        term["namespaceSelector"] = draw(st.sampled_from(({}, {"matchLabels": {"team": "x"}})))
    if draw(st.integers(0, 6)) == 0:
        term[draw(st.sampled_from(("matchLabelKeys", "mismatchLabelKeys")))] = ["app"]
    return term


@st.composite
def inter_pod(draw: st.DrawFn, wanted: bool) -> Manifest:
    if not wanted:
        return {}
    result: Manifest = {}
    for kind in ("podAffinity", "podAntiAffinity"):
        part: Manifest = {}
        if draw(st.integers(0, 2)) == 0:
            part["requiredDuringSchedulingIgnoredDuringExecution"] = draw(
                st.lists(affinity_terms(), min_size=1, max_size=2)
            )
        if draw(st.integers(0, 2)) == 0:
            part["preferredDuringSchedulingIgnoredDuringExecution"] = [
                {"weight": draw(st.integers(1, 100)), "podAffinityTerm": term}
                for term in draw(st.lists(affinity_terms(), min_size=1, max_size=2))
            ]
        if part:
            result[kind] = part
    return result


node_expressions = st.one_of(
    st.fixed_dictionaries(
        {"key": st.just("disk"), "operator": st.sampled_from(("In", "NotIn")), "values": st.just(["ssd"])}
    ),
    st.fixed_dictionaries(
        {"key": st.sampled_from(("disk", "rack")), "operator": st.sampled_from(("Exists", "DoesNotExist"))}
    ),
    st.fixed_dictionaries(
        {"key": st.just("gen"), "operator": st.sampled_from(("Gt", "Lt")), "values": st.sampled_from((["2"], ["3"]))}
    ),
)
node_terms = st.fixed_dictionaries(
    {},
    optional={
        "matchExpressions": st.lists(node_expressions, max_size=2),
        "matchFields": st.sampled_from(("node-0", "node-1")).flatmap(
            lambda name: st.sampled_from(("In", "NotIn")).map(
                lambda op: [{"key": "metadata.name", "operator": op, "values": [name]}]
            )
        ),
    },
)


@st.composite
def node_affinity(draw: st.DrawFn) -> Manifest:
    result: Manifest = {}
    if draw(st.integers(0, 3)) == 0:
        result["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": draw(st.lists(node_terms, min_size=1, max_size=2))
        }
    if draw(st.integers(0, 2)) == 0:
        result["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": draw(st.integers(1, 100)), "preference": term}
            for term in draw(st.lists(node_terms, min_size=1, max_size=2))
        ]
    return result


@st.composite
def spread_constraints(draw: st.DrawFn) -> Manifest:
    constraint: Manifest = {
        "maxSkew": draw(st.integers(1, 2)),
        "topologyKey": draw(topology_keys),
        "whenUnsatisfiable": draw(st.sampled_from(("DoNotSchedule", "ScheduleAnyway"))),
    }
    selector = draw(selectors)
    if selector is not None:
        constraint["labelSelector"] = selector
    if constraint["whenUnsatisfiable"] == "DoNotSchedule" and draw(st.booleans()):
        constraint["minDomains"] = draw(st.integers(1, 3))
    for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        policy = draw(st.sampled_from((None, "Honor", "Ignore")))
        if policy:
            constraint[field] = policy
    if draw(st.integers(0, 4)) == 0:
        constraint["matchLabelKeys"] = ["app"]
    return constraint


@st.composite
def volumes(draw: st.DrawFn, claims: list[str]) -> list[Manifest]:
    result: list[Manifest] = []
    kind = draw(st.integers(0, 9))
    if kind in (0, 1) and claims:
        result.append({"name": "v", "persistentVolumeClaim": {"claimName": draw(st.sampled_from(claims))}})
    if kind == 2:
        result.append({"name": "v", "persistentVolumeClaim": {"claimName": "absent"}})
    if kind == 3:
        disk = {"pdName": "d", "readOnly": draw(st.booleans())}
        result.append({"name": "d", "gcePersistentDisk": disk})
    return result


@st.composite
def pods(draw: st.DrawFn, name: str, claims: list[str], node: str | None = None) -> Manifest:
    requests = {
        key: value
        for key, value in (
            ("cpu", draw(st.sampled_from((None, "0", "100m", "1", "1500m")))),
            ("memory", draw(st.sampled_from((None, "0", "200Mi", "1Gi", "3000000000")))),
            ("example.com/gpu", draw(st.sampled_from((None, None, None, "1")))),
            ("ephemeral-storage", draw(st.sampled_from((None, None, "1Gi")))),
        )
        if value is not None
    }
    container: Manifest = {
        "name": "c",
        "image": draw(st.sampled_from(("img:1", "img", "other"))),
        "resources": {"requests": requests},
    }
    if draw(st.integers(0, 5)) == 0:
        container["ports"] = [
            {
                "containerPort": 80,
                "hostPort": 80,
                "protocol": draw(st.sampled_from(("TCP", "UDP"))),
                "hostIP": draw(st.sampled_from(("", "127.0.0.1", "10.0.0.1"))),
            }
        ]
    spec: Manifest = {"containers": [container], "priority": draw(st.sampled_from((0, 0, 5, 10, -3)))}
    affinity: Manifest = dict(draw(inter_pod(draw(st.integers(0, 2)) == 0)))
    nodes = draw(node_affinity())
    if nodes:
        affinity["nodeAffinity"] = nodes
    if affinity:
        spec["affinity"] = affinity
    if draw(st.integers(0, 5)) == 0:
        spec["nodeSelector"] = {"disk": "ssd"}
    if draw(st.integers(0, 2)) == 0:
        spec["topologySpreadConstraints"] = draw(st.lists(spread_constraints(), min_size=1, max_size=2))
    if draw(st.integers(0, 2)) == 0:
        spec["tolerations"] = [
            {
                "key": "t",
                "operator": draw(st.sampled_from(("Exists", "Equal"))),
                "value": "",
                "effect": draw(st.sampled_from(("", "NoSchedule", "PreferNoSchedule"))),
            }
        ]
    if draw(st.integers(0, 7)) == 0:
        spec["preemptionPolicy"] = "Never"
    mounted = draw(volumes(claims))
    if mounted:
        spec["volumes"] = mounted
    metadata: Manifest = {
        "name": name,
        "uid": name,
        "namespace": draw(st.sampled_from(("n1", "n2"))),
        "labels": {"app": draw(st.sampled_from(APPS))},
    }
    pod: Manifest = {"metadata": metadata, "spec": spec}
    if node is not None:
        spec["nodeName"] = node
        if draw(st.integers(0, 6)) == 0:
            metadata["deletionTimestamp"] = "2024-01-01T00:00:00Z"
        pod["status"] = {"phase": "Running", "startTime": f"2024-01-01T00:00:{draw(st.integers(10, 59))}Z"}
    return pod


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Manifest], list[Manifest], dict[str, list[Manifest]], Manifest]:
    """(nodes, bound pods, other objects, the pod to schedule)."""
    nodes = []
    for number in range(draw(st.integers(1, 5))):
        name = f"node-{number}"
        labels = {"kubernetes.io/hostname": name}
        zone = draw(st.sampled_from((*ZONES, None)))
        if zone:
            labels["topology.kubernetes.io/zone"] = zone
        for key, values in (
            ("disk", ("ssd", "hdd", None)),
            ("rack", ("r1", "r2", None)),
            ("gen", ("1", "2", "x", "3")),
        ):
            value = draw(st.sampled_from(values))
            if value:
                labels[key] = value
        allocatable = {
            "cpu": draw(st.sampled_from(("2", "4", "0"))),
            "memory": draw(st.sampled_from(("4Gi", "8Gi"))),
            "pods": draw(st.sampled_from(("2", "4", "110"))),
            "ephemeral-storage": "10Gi",
        }
        if draw(st.booleans()):
            allocatable["example.com/gpu"] = "1"
        node: Manifest = {
            "metadata": {"name": name, "labels": labels},
            "spec": {},
            "status": {"allocatable": allocatable},
        }
        if draw(st.integers(0, 3)) == 0:
            node["spec"]["taints"] = [
                {
                    "key": "t",
                    "value": draw(st.sampled_from(("", "v"))),
                    "effect": draw(st.sampled_from(("NoSchedule", "PreferNoSchedule", "NoExecute"))),
                }
            ]
        if draw(st.integers(0, 7)) == 0:
            node["spec"]["unschedulable"] = True
        if draw(st.booleans()):
            node["status"]["images"] = [{"names": ["img:1"], "sizeBytes": 700 * 1024 * 1024}]
        nodes.append(node)
    objects = draw(storage())
    if draw(st.booleans()):
        limit = {"name": "rancher.io/local-path", "nodeID": "x", "allocatable": {"count": draw(st.integers(0, 1))}}
        objects["csi_nodes"] = [{"metadata": {"name": "node-0"}, "spec": {"drivers": [limit]}}]
    names = [item["metadata"]["name"] for item in objects["pvcs"] if item["metadata"]["namespace"] == "n1"]
    count = draw(st.integers(0, 8))
    where = [draw(st.integers(0, len(nodes) - 1)) for _ in range(count)]
    bound = [draw(pods(f"p{number}", names, f"node-{node}")) for number, node in enumerate(where)]
    objects["namespaces"] = [
        {"metadata": {"name": "n1", "labels": {"team": "x"}}},
        {"metadata": {"name": "n2", "labels": {}}},
    ]
    if draw(st.booleans()):
        objects["services"] = [{"metadata": {"name": "s", "namespace": "n1"}, "spec": {"selector": {"app": "a"}}}]
    if draw(st.booleans()):
        objects["pdbs"] = [
            {
                "metadata": {"name": "b", "namespace": "n1"},
                "spec": {"selector": {"matchLabels": {"app": "a"}}},
                "status": {"disruptionsAllowed": draw(st.integers(0, 1))},
            }
        ]
    return nodes, bound, objects, draw(pods("incoming", names))


@st.composite
def storage(draw: st.DrawFn) -> dict[str, list[Manifest]]:
    """Claims (bound, late, immediate) in both namespaces and the volumes they may get."""
    volumes_made: list[Manifest] = []
    claims: list[Manifest] = []
    for number in range(draw(st.integers(0, 3))):
        node = draw(st.sampled_from(("node-0", "node-1")))
        volumes_made.append(
            {
                "metadata": {
                    "name": f"pv-{number}",
                    "labels": {"topology.kubernetes.io/zone": draw(st.sampled_from(ZONES))},
                },
                "spec": {
                    "capacity": {"storage": draw(st.sampled_from(("1Gi", "5Gi")))},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "static",
                    "nodeAffinity": {
                        "required": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
                                    ]
                                }
                            ]
                        }
                    },
                },
                "status": {"phase": "Available"},
            }
        )
    for number, kind in enumerate(
        draw(st.lists(st.sampled_from(("bound", "late", "static", "zonal", "none")), max_size=3))
    ):
        claim: Manifest = {
            "metadata": {"name": f"claim-{number}", "namespace": "n1", "uid": f"claim-{number}"},
            "spec": {
                "accessModes": [draw(st.sampled_from(("ReadWriteOnce", "ReadWriteOncePod")))],
                "storageClassName": kind,
                "resources": {"requests": {"storage": "2Gi"}},
            },
            "status": {"phase": "Pending"},
        }
        if kind == "bound":
            claim["spec"]["volumeName"] = f"pv-{number}"
            claim["metadata"]["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
            claim["status"]["phase"] = "Bound"
        claims.append(claim)
    return {"pvs": volumes_made, "pvcs": claims, "storage_classes": list(CLASSES)}

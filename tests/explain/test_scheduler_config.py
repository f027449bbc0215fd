"""KubeSchedulerConfiguration: what it changes, and what is said about one that cannot be followed.

Sources: pkg/scheduler/apis/config/v1/{default_plugins,defaults}.go, framework/runtime/framework.go (weights),
plugins/podtopologyspread/common.go (default constraints), Kubernetes 1.33.
"""

from __future__ import annotations

from typing import Any

import pytest
from asking import ask, bound, make, to_come

from models.errors import InputError
from models.objects import KubeObject, Origin
from models.scheduler import Profile
from models.scheduler.config import read_profiles


def configuration(*profiles: dict[str, Any]) -> dict[str, Any]:
    version = "kubescheduler.config.k8s.io/v1"
    return {"apiVersion": version, "kind": "KubeSchedulerConfiguration", "profiles": list(profiles)}


def read(*profiles: dict[str, Any]) -> dict[str, Profile]:
    return dict(read_profiles(KubeObject(configuration(*profiles), Origin("scheduler.yaml", 1))))


def problems(*profiles: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(*profiles)
    return [str(problem) for problem in caught.value.problems]


def test_without_profiles_the_default_one_applies() -> None:
    assert read() == {"default-scheduler": Profile()}


def test_a_weight_of_a_point_wins_over_multi_point_and_zero_stands_for_one() -> None:
    enabled = [{"name": "ImageLocality", "weight": 5}, {"name": "NodeAffinity", "weight": 9}]
    (profile,) = read(
        {
            "plugins": {
                "multiPoint": {"enabled": enabled},
                "score": {"enabled": [{"name": "NodeAffinity", "weight": 4}, {"name": "TaintToleration"}]},
            }
        }
    ).values()
    assert profile.weights["ImageLocality"] == 5
    assert profile.weights["NodeAffinity"] == 4
    assert profile.weights["TaintToleration"] == 1


def test_with_every_score_disabled_only_the_enabled_ones_count() -> None:
    score = {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit", "weight": 3}]}
    (profile,) = read({"plugins": {"score": score}}).values()
    assert profile.weights == {"NodeResourcesFit": 3}


def test_preemption_can_be_switched_off() -> None:
    (profile,) = read({"plugins": {"postFilter": {"disabled": [{"name": "*"}]}}}).values()
    assert not profile.preemption
    node = {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "1"}}}
    full = {"metadata": {"name": "low"}, "spec": {"nodeName": "n", "containers": [_container("1")]}}
    vip = {"metadata": {"name": "vip"}, "spec": {"priority": 5, "containers": [_container("1")]}}
    off = configuration({"plugins": {"postFilter": {"disabled": [{"name": "DefaultPreemption"}]}}})
    (pod,) = ask([make("v1", "Node", node), bound(full), off, to_come(vip)])["pods"]
    assert (pod["state"], pod["message"]) == ("pending", "0/1 nodes are available: 1 Insufficient cpu.")


def _container(cpu: str) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}}


def test_a_filter_cannot_be_switched_off_and_an_unknown_score_is_named() -> None:
    found = problems(
        {"plugins": {"filter": {"disabled": [{"name": "NodeAffinity"}]}}},
        {"schedulerName": "other", "plugins": {"score": {"enabled": [{"name": "Mine", "weight": 1}]}}},
    )
    assert found[0].startswith(
        "scheduler.yaml:1 profiles[0].plugins.filter.disabled: 'NodeAffinity' also filters nodes, and filters cannot "
        "be switched off here"
    )
    assert found[1].startswith(
        "scheduler.yaml:1 profiles[1].plugins.score.enabled[0]: the score plugin 'Mine' is not known"
    )


def test_two_profiles_of_one_name_are_refused() -> None:
    assert problems({}, {})[0].startswith(
        "scheduler.yaml:1 profiles[1].schedulerName: two profiles are called 'default-scheduler'"
    )


def test_a_pod_goes_by_the_profile_of_its_scheduler_and_nobody_takes_an_unknown_one() -> None:
    node = make("v1", "Node", {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": "1"}}})
    most = {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}
    config = configuration({}, {"schedulerName": "packer", "pluginConfig": [most]})
    pods = [
        to_come({"metadata": {"name": name}, "spec": {"schedulerName": name, "containers": [_container("100m")]}})
        for name in ("default-scheduler", "packer", "nobody")
    ]
    least, packed, lost = ask([node, config, *pods])["pods"]

    def fit(pod: dict[str, Any]) -> int:
        return next(line["raw"] for line in pod["nodes"][0]["scores"] if line["plugin"] == "NodeResourcesFit")

    # cpu alone counts, memory has no capacity here: 100m of 1000m, then 200m of 1000m.
    assert (fit(least), fit(packed)) == (90, 20)
    assert lost["state"] == "pending"
    assert lost["notes"] == ["no profile of the scheduler configuration is called 'nobody': nobody schedules this pod"]


@pytest.mark.parametrize(("owned", "fits"), [(True, False), (False, True)])
def test_a_default_constraint_that_refuses_nodes_applies_to_pods_of_a_service(owned: bool, fits: bool) -> None:
    nodes = [
        make("v1", "Node", {"metadata": {"name": name, "labels": {"zone": zone}}, "status": {"capacity": {"cpu": "9"}}})
        for name, zone in (("a", "z1"), ("b", "z2"))
    ]
    service = {"metadata": {"name": "s"}, "spec": {"selector": {"app": "web" if owned else "other"}}}
    here = {"metadata": {"name": "old", "labels": {"app": "web"}}, "spec": {"nodeName": "a"}}
    asked = {"metadata": {"name": "new", "labels": {"app": "web"}}, "spec": {"containers": [_container("1")]}}
    constraint = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    args = {"defaultingType": "List", "defaultConstraints": [constraint]}
    config = configuration({"pluginConfig": [{"name": "PodTopologySpread", "args": args}]})
    data = ask([*nodes, make("v1", "Service", service), bound(here), config, to_come(asked)])
    first = data["pods"][0]["nodes"][0]
    assert first["fits"] is fits
    if not fits:
        assert first["plugin"] == "PodTopologySpread"
        assert first["reasons"] == ["node(s) didn't match pod topology spread constraints"]
        assert data["pods"][0]["node"] == "b"
        assert "topologySpreadConstraints" not in data["pods"][0]["pod"]["spec"]

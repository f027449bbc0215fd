"""What the API server fills in before admission, and the pod that a controller makes of a template.

Source: ``pkg/apis/core/v1/defaults.go`` and ``zz_generated.defaults.go``;
``plugin/pkg/admission/defaulttolerationseconds``; ``pkg/controller/statefulset/stateful_set_utils.go``;
``pkg/controller/daemon/util/daemonset_util.go``. Pod-level defaults as of 1.34 (they need PodLevelResources).
"""

from __future__ import annotations

import copy
from typing import Any, Final

from models.objects import Manifest, dig
from models.rules.resources import (
    HUGEPAGES_PREFIX,
    aggregate_limits,
    aggregate_requests,
    is_native,
    pod_level_supported,
    resource_list,
)

NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"

DEFAULT_TOLERATION_SECONDS: Final = 300
"""How long a pod stays on a lost node when it says nothing (defaulttolerationseconds flags)."""

DEFAULT_MODE: Final = 0o644
"""Mode of projected files."""

_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_DEFAULTS: Final = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def default_pod(pod: Manifest) -> Manifest:
    """The pod as admission sees it: API defaulting of the fields that matter to placement, quota and time.

    A limit without a request becomes a request of that size; an explicit 0 request is kept; amounts finer than a
    thousandth are rounded up. Raises ValueError on an unreadable amount. Templates are not defaulted this way.
    """
    result = copy.deepcopy(pod)
    spec = result.setdefault("spec", {})
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in _maps(spec.get(field)):
            _default_container(container, host_network=spec.get("hostNetwork") is True)
            if field != "ephemeralContainers":
                _default_requests(container)
    _round_up(spec, "overhead")
    for side in ("requests", "limits"):
        _round_up(spec.get("resources"), side)
    _default_pod_level(result)
    _default_spec(spec)
    for volume in _maps(spec.get("volumes")):
        _default_volume(volume)
    return result


def default_tolerations(pod: Manifest, seconds: int = DEFAULT_TOLERATION_SECONDS) -> Manifest:
    """The pod with the tolerations that admission adds for not-ready and unreachable nodes (300 s by default).

    Separate from :func:`default_pod`: it is the DefaultTolerationSeconds plugin, not API defaulting. A toleration of
    the key (or of every key) with effect NoExecute or none stands for it.
    """
    result = copy.deepcopy(pod)
    stated = dig(result, "spec", "tolerations", default=[])
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
        for key in (NOT_READY, UNREACHABLE)
        if not any(_covers_no_execute(toleration, key) for toleration in stated)
    ]
    result.setdefault("spec", {})["tolerations"] = [*stated, *added]
    return result


def default_limit_range_item(item: Manifest) -> Manifest:
    """A LimitRange item after defaulting: for containers default := max, then defaultRequest := default, then min."""
    result = copy.deepcopy(item)
    for side in ("min", "max", "default", "defaultRequest", "maxLimitRequestRatio"):
        _round_up(result, side)
    if result.get("type") == "Container":
        default = {**(result.get("max") or {}), **(result.get("default") or {})}
        request = {**(result.get("min") or {}), **default, **(result.get("defaultRequest") or {})}
        result["default"], result["defaultRequest"] = default, request
    return result


def template_of(workload: Manifest) -> Manifest:
    """The pod template of a workload (a Pod is its own); {} when it has none."""
    kind = workload.get("kind")
    if kind == "Pod":
        return {"metadata": workload.get("metadata") or {}, "spec": workload.get("spec") or {}}
    if kind == "CronJob":
        return dict(dig(workload, "spec", "jobTemplate", "spec", "template", default={}))
    if kind == "PodTemplate":
        return dict(workload.get("template") or {})
    return dict(dig(workload, "spec", "template", default={}))


def pod_from_template(workload: Manifest, *, name: str, namespace: str) -> Manifest:
    """The pod that the workload's controller creates, before defaulting.

    A StatefulSet's pod gets its claims as volumes, its hostname and its index labels; a DaemonSet's pod the
    tolerations that let it run on sick nodes.
    """
    template = copy.deepcopy(template_of(workload))
    metadata = dict(template.get("metadata") or {})
    metadata |= {"name": name, "namespace": namespace}
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": dict(template.get("spec") or {}),
    }
    kind = workload.get("kind")
    if kind == "StatefulSet":
        _claim_identity(pod, workload)
    elif kind == "DaemonSet":
        pod["spec"]["tolerations"] = daemon_tolerations(pod)
    return pod


def daemon_tolerations(pod: Manifest) -> list[Manifest]:
    """The pod's tolerations plus those every daemon pod gets (``AddOrUpdateDaemonPodTolerations``)."""
    wanted = [
        (NOT_READY, "NoExecute"),
        (UNREACHABLE, "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ]
    if dig(pod, "spec", "hostNetwork") is True:
        wanted.append(("node.kubernetes.io/network-unavailable", "NoSchedule"))
    tolerations = list(dig(pod, "spec", "tolerations", default=[]))
    for key, effect in wanted:
        added = {"key": key, "operator": "Exists", "effect": effect}
        same = [dig(item, "value", default="") == "" and added.items() <= item.items() for item in tolerations]
        # A toleration of the same taint is replaced, so that a tolerationSeconds of the user's own is lifted.
        tolerations = [added if hit else item for hit, item in zip(same, tolerations, strict=True)]
        if not any(same):
            tolerations.append(added)
    return tolerations


def _default_container(container: Manifest, *, host_network: bool) -> None:
    for side in ("requests", "limits"):
        _round_up(container.get("resources"), side)
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if not container.get("imagePullPolicy"):
        always = _tag(str(container.get("image") or "")) == "latest"
        container["imagePullPolicy"] = "Always" if always else "IfNotPresent"
    for port in _maps(container.get("ports")):
        port.setdefault("protocol", "TCP")
        if host_network and not port.get("hostPort") and "containerPort" in port:
            port["hostPort"] = port["containerPort"]
    for field in _PROBES:
        probe = container.get(field)
        if isinstance(probe, dict):
            for key, value in _PROBE_DEFAULTS.items():
                probe[key] = probe.get(key) or value
            _default_http_get(probe.get("httpGet"))
            if isinstance(probe.get("grpc"), dict):
                probe["grpc"].setdefault("service", "")
    for hook in ("postStart", "preStop"):
        _default_http_get(dig(container, "lifecycle", hook, "httpGet"))


def _default_http_get(action: Any) -> None:
    if isinstance(action, dict):
        action["path"] = action.get("path") or "/"
        action["scheme"] = action.get("scheme") or "HTTP"


def _default_requests(container: Manifest) -> None:
    limits = dig(container, "resources", "limits")
    if isinstance(limits, dict):
        requests = dict(dig(container, "resources", "requests", default={}))
        container["resources"]["requests"] = requests | {k: v for k, v in limits.items() if k not in requests}


def _default_pod_level(pod: Manifest) -> None:
    """Pod-level limits of huge pages from the containers', then pod-level requests from containers or limits."""
    stated = dig(pod, "spec", "resources")
    if not isinstance(stated, dict) or not (stated.get("requests") or stated.get("limits")):
        return
    requests = dict(stated.get("requests") or {})
    limits = dict(stated.get("limits") or {})
    for name, amount in aggregate_limits(pod).items():
        if name.startswith(HUGEPAGES_PREFIX) and name not in requests:
            limits.setdefault(name, str(amount))
    if limits:
        stated["limits"] = limits
        for name, amount in aggregate_requests(pod).items():
            if pod_level_supported(name) and is_native(name) and not name.startswith(HUGEPAGES_PREFIX):
                requests.setdefault(name, str(amount))
        for name, value in limits.items():
            if pod_level_supported(name):
                requests.setdefault(name, value)
    if requests:
        stated["requests"] = requests


def _default_spec(spec: Manifest) -> None:
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is None:
        spec["terminationGracePeriodSeconds"] = 30
    elif isinstance(grace, int) and grace < 0:
        spec["terminationGracePeriodSeconds"] = 1
    spec["restartPolicy"] = spec.get("restartPolicy") or "Always"
    spec["dnsPolicy"] = spec.get("dnsPolicy") or "ClusterFirst"
    spec["schedulerName"] = spec.get("schedulerName") or "default-scheduler"
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if spec.get("enableServiceLinks") is None:
        spec["enableServiceLinks"] = True
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _default_volume(volume: Manifest) -> None:
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if not sources:
        volume["emptyDir"] = {}
    for key in ("secret", "configMap", "downwardAPI", "projected"):
        if isinstance(volume.get(key), dict):
            volume[key].setdefault("defaultMode", DEFAULT_MODE)
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")


def _claim_identity(pod: Manifest, workload: Manifest) -> None:
    """Name-bound parts of a StatefulSet's pod (``updateIdentity``, ``updateStorage``)."""
    name = str(pod["metadata"]["name"])
    labels = dict(pod["metadata"].get("labels") or {})
    labels["statefulset.kubernetes.io/pod-name"] = name
    labels["apps.kubernetes.io/pod-index"] = name.rpartition("-")[2]
    pod["metadata"]["labels"] = labels
    spec = pod["spec"]
    spec["hostname"] = name
    spec["subdomain"] = dig(workload, "spec", "serviceName", default="")
    claims = [
        {
            "name": claim_name,
            "persistentVolumeClaim": {"claimName": f"{claim_name}-{name}", "readOnly": False},
        }
        for template in dig(workload, "spec", "volumeClaimTemplates", default=[])
        if (claim_name := str(dig(template, "metadata", "name", default="")))
    ]
    replaced = {claim["name"] for claim in claims}
    kept = [volume for volume in _maps(spec.get("volumes")) if volume.get("name") not in replaced]
    if claims or kept:
        spec["volumes"] = claims + kept


def _covers_no_execute(toleration: Any, key: str) -> bool:
    return dig(toleration, "key", default="") in ("", key) and dig(toleration, "effect", default="") in (
        "",
        "NoExecute",
    )


def _round_up(holder: Any, side: str) -> None:
    """Round amounts finer than a thousandth up, leaving all others as written (``SetDefaults_ResourceList``)."""
    amounts = dig(holder, side)
    if not isinstance(amounts, dict):
        return
    for name, amount in resource_list(amounts).items():
        if amount.nano % 1_000_000:
            amounts[name] = str(amount.round_up(-3))


def _tag(image: str) -> str:
    """The tag of an image reference: "" with a digest only, ``latest`` when it has neither (``ParseImageName``)."""
    reference, _, digest = image.partition("@")
    last = reference.rpartition("/")[2]
    if not reference:
        return ""
    return last.partition(":")[2] if ":" in last else ("" if digest else "latest")


def _maps(value: Any) -> list[Manifest]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

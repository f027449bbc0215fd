"""HorizontalPodAutoscaler: the replica formula, pods without metrics, stabilisation, scaling policies.

Source: ``pkg/controller/podautoscaler/{replica_calculator,horizontal}.go``, ``metrics/utilization.go``, defaults from
``pkg/apis/autoscaling/v2/defaults.go``. Times are seconds; a recommendation or an event carries its age.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from models.objects import Manifest, dig
from models.rules.quantity import parse_quantity

DEFAULT_TOLERANCE: Final = 0.1
DOWNSCALE_STABILISATION_S: Final = 300
DEFAULT_CPU_UTILISATION: Final = 80
MAX_INT32: Final = 2**31 - 1


@dataclass(frozen=True)
class PodMetric:
    """One pod: its usage and request (milli-units); ``value`` None: no metric yet.

    ``state``: ``ready``; ``unready`` (pending, or a young pod that is not ready: its CPU sample is not trusted);
    ``ignored`` (being deleted, or failed).
    """

    value: int | None
    request: int = 0
    state: Literal["ready", "unready", "ignored"] = "ready"


@dataclass(frozen=True)
class Policy:
    """At most ``value`` pods or percent of change per ``period_s``."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_s: int


@dataclass(frozen=True)
class ScalingRules:
    """One direction of ``spec.behavior``."""

    policies: tuple[Policy, ...]
    stabilisation_s: int
    select: Literal["Max", "Min", "Disabled"] = "Max"
    tolerance: float | None = None


DEFAULT_UP: Final = ScalingRules((Policy("Pods", 4, 15), Policy("Percent", 100, 15)), 0)
DEFAULT_DOWN: Final = ScalingRules((Policy("Percent", 100, 15),), DOWNSCALE_STABILISATION_S)


@dataclass(frozen=True)
class Behavior:
    """Both directions of ``spec.behavior``, defaults filled."""

    up: ScalingRules = DEFAULT_UP
    down: ScalingRules = DEFAULT_DOWN


@dataclass(frozen=True)
class Past:
    """A past recommendation (``value`` replicas) or scaling event (``value`` pods changed), ``age_s`` ago."""

    age_s: float
    value: int


def desired_replicas(
    current: int,
    metric: float,
    target: float,
    tolerance: float = DEFAULT_TOLERANCE,
    *,
    ready: int | None = None,
    tolerance_down: float | None = None,
) -> int:
    """ceil(ready * metric / target), or ``current`` while the ratio is within the tolerance.

    ``metric``: mean over ready pods (or the object's value), in the target's unit; ``ready``: ready pods, all by
    default; ``tolerance_down``: tolerance downwards where it differs, here and below. From 0 replicas:
    ceil(metric / target).
    """
    ratio = metric / target
    if current == 0:
        return min(MAX_INT32, math.ceil(ratio))
    if within_tolerance(ratio, tolerance, tolerance_down):
        return current
    return min(MAX_INT32, math.ceil(ratio * (current if ready is None else ready)))


def desired_from_total(
    statuses: int,
    total: int,
    target_average: int,
    tolerance: float = DEFAULT_TOLERANCE,
    *,
    tolerance_down: float | None = None,
) -> int:
    """Replicas for an AverageValue of an object or external metric (``GetExternalPerPodMetricReplicas``)."""
    if statuses and within_tolerance(total / (target_average * statuses), tolerance, tolerance_down):
        return statuses
    return min(MAX_INT32, math.ceil(total / target_average))


def desired_from_utilisation(
    current: int,
    pods: Mapping[str, PodMetric],
    target_percent: int,
    tolerance: float = DEFAULT_TOLERANCE,
    *,
    tolerance_down: float | None = None,
) -> int:
    """Replicas for a resource utilisation target, in percent of the requests (``GetResourceReplicas``).

    Pods without metrics count as idle when scaling up and as using all they request (or the target, if above 100 %)
    when scaling down; unready pods count as idle when scaling up. Raises ValueError when no pod has a metric, or a
    request is missing.
    """
    if any(pod.request == 0 for pod in pods.values() if pod.state != "ignored"):
        raise ValueError("missing request")
    fallback = max(100, target_percent)
    missing = {name: pod.request * fallback // 100 for name, pod in pods.items()}

    def ratio(values: Mapping[str, int]) -> float:
        requested = sum(pods[name].request for name in values)
        return (sum(values.values()) * 100 // requested) / target_percent

    return _from_pods(current, pods, ratio, missing, (tolerance, tolerance_down))


def desired_from_average(
    current: int,
    pods: Mapping[str, PodMetric],
    target: int,
    tolerance: float = DEFAULT_TOLERANCE,
    *,
    tolerance_down: float | None = None,
) -> int:
    """Replicas for a mean value per pod in milli-units (``calcPlainMetricReplicas``); missing pods are on target."""

    def ratio(values: Mapping[str, int]) -> float:
        return (sum(values.values()) // len(values)) / target

    return _from_pods(current, pods, ratio, dict.fromkeys(pods, target), (tolerance, tolerance_down))


def within_tolerance(ratio: float, up: float = DEFAULT_TOLERANCE, down: float | None = None) -> bool:
    """Whether a usage ratio is too close to 1 to act (``Tolerances.isWithin``)."""
    return 1.0 - (up if down is None else down) <= ratio <= 1.0 + up


def behavior_of(hpa: Manifest) -> Behavior | None:
    """``spec.behavior`` with its defaults; None when absent, which selects the older rule."""
    if dig(hpa, "spec", "behavior") is None:
        return None
    return Behavior(_rules(hpa, "scaleUp", DEFAULT_UP), _rules(hpa, "scaleDown", DEFAULT_DOWN))


def stabilised(current: int, desired: int, history: Sequence[Past], behavior: Behavior | None = None) -> int:
    """The recommendation after stabilisation: the highest recent one on the way down, the lowest on the way up.

    ``history``: earlier recommendations. Without a behavior only downscaling is held back, for 300 s.
    """
    if behavior is None:
        return max([desired, *(past.value for past in history if past.age_s <= DOWNSCALE_STABILISATION_S)])
    floor = min([desired, *(past.value for past in history if past.age_s < behavior.up.stabilisation_s)])
    ceiling = max([desired, *(past.value for past in history if past.age_s < behavior.down.stabilisation_s)])
    return min(max(current, floor), ceiling)


def limited(
    current: int,
    desired: int,
    minimum: int,
    maximum: int,
    behavior: Behavior | None = None,
    added: Sequence[Past] = (),
    removed: Sequence[Past] = (),
) -> int:
    """The replicas after scaling policies and min/max.

    ``added``/``removed``: pods added and removed by earlier scalings. Without a behavior one step at most doubles the
    replicas (or reaches 4).
    """
    if behavior is None:
        return min(desired, maximum, max(2 * current, 4)) if desired >= minimum else minimum
    if desired > current:
        ceiling = max(current, scale_up_limit(current, behavior.up, added, removed))
        return min(desired, maximum, ceiling)
    if desired < current:
        floor = min(current, scale_down_limit(current, behavior.down, added, removed))
        return max(desired, minimum, floor)
    return desired


def scale_up_limit(current: int, rules: ScalingRules, added: Sequence[Past], removed: Sequence[Past]) -> int:
    """Most replicas that the policies allow now (``calculateScaleUpLimitWithScalingRules``)."""
    if rules.select == "Disabled":
        return current
    limits = [
        start + policy.value if policy.kind == "Pods" else math.ceil(start * (1 + policy.value / 100))
        for policy, start in _period_starts(current, rules, added, removed)
    ]
    return min(limits) if rules.select == "Min" else max(limits)


def scale_down_limit(current: int, rules: ScalingRules, added: Sequence[Past], removed: Sequence[Past]) -> int:
    """Fewest replicas that the policies allow now (``calculateScaleDownLimitWithBehaviors``)."""
    if rules.select == "Disabled":
        return current
    limits = [
        start - policy.value if policy.kind == "Pods" else int(start * (1 - policy.value / 100))
        for policy, start in _period_starts(current, rules, added, removed)
    ]
    return max(limits) if rules.select == "Min" else min(limits)


def _from_pods(
    current: int,
    pods: Mapping[str, PodMetric],
    ratio: Callable[[Mapping[str, int]], float],
    missing_on_target: Mapping[str, int],
    tolerances: tuple[float, float | None],
) -> int:
    counted = {name: pod for name, pod in pods.items() if pod.state != "ignored"}
    unready = [name for name, pod in counted.items() if pod.state == "unready"]
    missing = [name for name, pod in counted.items() if pod.state == "ready" and pod.value is None]
    values = {name: pod.value for name, pod in counted.items() if pod.state == "ready" and pod.value is not None}
    if not values:
        raise ValueError("did not receive metrics for targeted pods (pods might be unready)")
    first = ratio(values)
    growing_unready = bool(unready) and first > 1.0
    if not growing_unready and not missing:
        return current if within_tolerance(first, *tolerances) else math.ceil(first * len(values))
    filled = dict(values)
    if first != 1.0:
        filled |= {name: missing_on_target[name] if first < 1.0 else 0 for name in missing}
    if growing_unready:
        filled |= dict.fromkeys(unready, 0)
    second = ratio(filled)
    turned = (first < 1.0 < second) or (second < 1.0 < first)
    if within_tolerance(second, *tolerances) or turned:
        return current
    wanted = math.ceil(second * len(filled))
    backwards = (second < 1.0 and wanted > current) or (second > 1.0 and wanted < current)
    return current if backwards else wanted


def _period_starts(
    current: int, rules: ScalingRules, added: Sequence[Past], removed: Sequence[Past]
) -> list[tuple[Policy, int]]:
    def changed(events: Sequence[Past], period_s: int) -> int:
        return sum(event.value for event in events if event.age_s < period_s)

    return [
        (policy, current - changed(added, policy.period_s) + changed(removed, policy.period_s))
        for policy in rules.policies
    ]


def _rules(hpa: Manifest, side: str, default: ScalingRules) -> ScalingRules:
    stated = dig(hpa, "spec", "behavior", side, default={})
    policies = dig(stated, "policies")
    tolerance = dig(stated, "tolerance")
    return ScalingRules(
        policies=default.policies
        if policies is None
        else tuple(Policy(item["type"], int(item["value"]), int(item["periodSeconds"])) for item in policies),
        stabilisation_s=int(dig(stated, "stabilizationWindowSeconds", default=default.stabilisation_s)),
        select=dig(stated, "selectPolicy", default=default.select),
        tolerance=None if tolerance is None else parse_quantity(tolerance).milli_value() / 1000,
    )

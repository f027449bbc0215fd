"""Timers and limits of Kubernetes and the systems around it, each with its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import Field

from models.catalog.store import Entry, load_yaml
from models.errors import InputError, Problem, Where

_SECONDS = {"ms": 0.001, "s": 1.0, "h": 3600.0}


class Timing(Entry):
    """One figure of the timings catalogue. ``value`` is a number, a (low, high) list, or another plain value."""

    key: str
    group: str
    value: Any
    unit: str
    meaning: str
    source: str
    confidence: str = Field(description="high, medium, derived or assumed")
    versions: str = Field(default="", description="Kubernetes versions it holds for")


SIMULATED = frozenset(
    {
        "acme.dns01_issue_time",
        "argocd.reconciliation_jitter",
        "argocd.reconciliation_timeout",
        "certmanager.duration_default",
        "certmanager.failed_request_backoff",
        "certmanager.renew_at",
        "cnpg.detect.pod_deleted",
        "cnpg.e2e.max_switchover",
        "cnpg.failover_delay",
        "cnpg.primary_lease",
        "k3s.agent.cpu",
        "k3s.agent.ram",
        "k3s.coredns_replicas",
        "k3s.server_with_workload.cpu",
        "k3s.server_with_workload.ram",
        "k8s.cfs_quota_period",
        "k8s.crashloop_backoff_sequence",
        "k8s.crashloop_reset",
        "k8s.default_noexecute_toleration",
        "k8s.endpoint_propagation",
        "k8s.eviction_check_interval",
        "k8s.eviction_pressure_transition_period",
        "k8s.hpa.sync_period",
        "k8s.hpa.tolerance",
        "k8s.large_cluster_size_threshold",
        "k8s.leader_election",
        "k8s.max_pods_per_node",
        "k8s.node_eviction_rate",
        "k8s.node_lease_renew_interval",
        "k8s.node_monitor_grace_period",
        "k8s.node_monitor_grace_period_pre_1_32",
        "k8s.node_monitor_period",
        "k8s.node_startup_grace_period",
        "k8s.node_status_update_frequency",
        "k8s.probe.period",
        "k8s.progress_deadline",
        "k8s.scheduler_latency_per_pod_homelab",
        "k8s.secondary_node_eviction_rate",
        "k8s.termination_grace_period",
        "k8s.unhealthy_zone_threshold",
        "letsencrypt.lifetime",
        "measured.cnpg_promotion_step",
        "metallb.l2.dead_node_detect",
        "traefik.providers_throttle",
        "velero.kopia_throughput",
    }
)
"""The timers that placement or simulation reads. The others are facts for people: no other value changes anything."""


@dataclass(frozen=True)
class Timings:
    """The timings catalogue with the scenario's own values (seconds, by key) on top."""

    entries: Mapping[str, Timing]
    overrides: Mapping[str, float] = field(default_factory=dict)

    def seconds(self, key: str) -> float:
        """A duration in seconds; the middle of a range. Raises KeyError (unknown key) or TypeError (no duration)."""
        low, high = self.range_s(key)
        return (low + high) / 2.0

    def range_s(self, key: str) -> tuple[float, float]:
        """A duration as (low, high) seconds; both are equal when the catalogue has one value."""
        if key in self.overrides:
            return self.overrides[key], self.overrides[key]
        entry = self.entries[key]
        unit = _SECONDS.get(entry.unit)
        value = entry.value
        if unit is None or isinstance(value, (str, bool)) or value is None:
            raise TypeError(f"timing {key} is not a duration but {value!r} {entry.unit}")
        if isinstance(value, list):
            return float(value[0]) * unit, float(value[-1]) * unit
        return float(value) * unit, float(value) * unit

    def value(self, key: str) -> Any:
        """The figure as the catalogue has it. Raises KeyError for an unknown key."""
        return self.overrides.get(key, self.entries[key].value)

    def with_overrides(self, overrides: Mapping[str, float]) -> Timings:
        """These timings with other values. Raises InputError for keys unknown to the catalogue or read by nothing."""
        problems = [
            Problem(
                Where(field=f"spec.cluster.timers.{key}"),
                f"{key!r} is not a timer of the catalogue",
                _near(key, self.entries),
            )
            for key in overrides
            if key not in self.entries
        ]
        problems += [
            Problem(
                Where(field=f"spec.cluster.timers.{key}"),
                f"{key!r} is told for information: nothing simulated reads it, another value would change nothing",
                "leave it out; 'stowplan catalog timings' says which timers are simulated",
            )
            for key in overrides
            if key in self.entries and key not in SIMULATED
        ]
        if problems:
            raise InputError(problems)
        return Timings(self.entries, {**self.overrides, **overrides})


def _near(key: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}'stowplan catalog timings' lists them all"


@cache
def load_timings() -> Timings:
    """The timings catalogue that ships with the package."""
    rows = load_yaml("timings.yaml")["facts"]
    return Timings({row["key"]: Timing.model_validate(row) for row in rows})

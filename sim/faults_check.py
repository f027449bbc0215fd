"""Whether the things that faults, operations, traffic and objectives name exist on this platform and hardware."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from models.cluster import Cluster
from models.errors import Problem, Where, among
from models.graph.routes import EntryRoute
from models.platform import Platform, Workload
from models.scenario import Fault, PlannedOperation, Scenario
from sim.platform.external import KNOWN


def check_targets(
    scenario: Scenario, platform: Platform, cluster: Cluster | None, routes: Sequence[EntryRoute]
) -> list[Problem]:
    """Selectors and targets that match nothing, each with what there is."""
    problems: list[Problem] = []
    for index, fault in enumerate(scenario.spec.faults):
        problems.extend(_fault(fault, f"spec.faults[{index}].selector", platform, cluster))
    for index, operation in enumerate(scenario.spec.operations):
        problems.extend(_operation(operation, f"spec.operations[{index}].target", platform, cluster))
    for index, objective in enumerate(scenario.spec.objectives.routes):
        if not any(
            fnmatchcase(route.id, objective.route) or fnmatchcase(route.host, objective.route) for route in routes
        ):
            field = f"spec.objectives.routes[{index}].route"
            hint = among(objective.route, (route.host for route in routes), "routes")
            problems.append(Problem(Where(field=field), f"{objective.route!r} matches no route", hint))
    return problems


def _fault(fault: Fault, field: str, platform: Platform, cluster: Cluster | None) -> list[Problem]:
    chosen = fault.selector
    problems = []
    if cluster is not None:
        names = [node.name for node in cluster.nodes]
        problems += [
            _nothing(f"{field}.nodes[{i}]", pattern, "node", names)
            for i, pattern in enumerate(chosen.nodes)
            if not any(fnmatchcase(name, pattern) for name in names)
        ]
    problems += [
        _nothing(f"{field}.workloads[{i}]", pattern, "workload", (item.id for item in platform.workloads))
        for i, pattern in enumerate(chosen.workloads)
        if not any(names_workload(pattern, item) for item in platform.workloads)
    ]
    problems += [
        _nothing(f"{field}.namespaces[{i}]", name, "namespace", platform.namespaces)
        for i, name in enumerate(chosen.namespaces)
        if not any(fnmatchcase(known, name) for known in platform.namespaces)
    ]
    wanted = chosen.label_selectors
    if wanted and not any(
        wanted.items() <= labels.items() for item in platform.workloads for labels in item.label_sets
    ):
        problems.append(_unlabelled(f"{field}.labelSelectors", wanted, "pods"))
    on_nodes = chosen.node_selectors
    labels_of = [node.manifest["metadata"]["labels"] for node in cluster.nodes] if cluster is not None else [on_nodes]
    if on_nodes and not any(on_nodes.items() <= labels.items() for labels in labels_of):
        problems.append(_unlabelled(f"{field}.nodeSelectors", on_nodes, "node"))
    problems += [
        _nothing(f"{field}.external[{i}]", pattern, "outside system", KNOWN)
        for i, pattern in enumerate(chosen.external)
        if not any(fnmatchcase(name, pattern) for name in KNOWN) and pattern.partition(":")[0] not in KNOWN
    ]
    claims = [f"{item.namespace}/{item.name}" for item in platform.claims]
    problems += [
        _nothing(f"{field}.volumes[{i}]", pattern, "claim", claims)
        for i, pattern in enumerate(chosen.volumes)
        if not any(fnmatchcase(name, pattern) for name in claims)
    ]
    return problems


def _operation(operation: PlannedOperation, field: str, platform: Platform, cluster: Cluster | None) -> list[Problem]:
    target = operation.target
    if operation.type in ("drain", "uncordon"):
        names = [node.name for node in cluster.nodes] if cluster is not None else [target]
        return [] if target in names else [_nothing(field, target, "node", names)]
    if operation.type == "quota":
        quotas = [f"{item.namespace}/{item.name}" for items in platform.quotas.values() for item in items]
        return [] if target in quotas else [_nothing(field, target, "ResourceQuota", quotas)]
    if operation.type in ("rollout", "rollback", "scale", "backup", "restore"):
        if any(names_workload(target, item) for item in platform.workloads):
            return []
        return [_nothing(field, target, "workload", (item.id for item in platform.workloads))]
    return []


def names_workload(pattern: str, workload: Workload) -> bool:
    """Whether ``Kind/namespace/name``, ``Kind/name`` or ``namespace/name`` (shell patterns) names the workload."""
    forms = (
        f"{workload.controller}/{workload.namespace}/{workload.name}",
        f"{workload.controller}/{workload.name}",
        f"{workload.namespace}/{workload.name}",
        workload.id,
    )
    return any(fnmatchcase(form, pattern) for form in forms)


def _unlabelled(field: str, labels: Mapping[str, str], what: str) -> Problem:
    written = ", ".join(f"{key}={value}" for key, value in labels.items())
    return Problem(Where(field=field), f"no {what} of this platform has the labels {written}", "see 'stowplan render'")


def _nothing(field: str, value: str, kind: str, known: Iterable[str]) -> Problem:
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=3, cutoff=0.4)
    hint = (
        f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are: {', '.join(names[:12]) or 'none'}"
    )
    return Problem(Where(field=field), f"{value!r} is no {kind} of this platform", hint)

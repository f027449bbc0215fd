"""The text form of ``explain``: one block per pod, like ``kubectl describe``, plain enough to grep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from models.objects import Origin
from models.rules.resources import ResourceList
from sim.explain.answers import Explanation, NodeAnswer, PodAnswer

MOST_BLOCKS: Final = 50
"""Pods of their own that are shown in full; the others get a line each."""

MOST_LINES: Final = 20
"""Replicas of one workload that get a line each; the rest is counted by what becomes of them."""

MOST_NODES: Final = 12
"""Nodes that are shown one by one; of more, refusals are counted by reason and the best scores are shown."""

_TOLD: Final = (".resources.", "spec.priority", "spec.overhead")
_SHORT: Final = {
    "TaintToleration": "Taints",
    "NodeAffinity": "NodeAff",
    "NodeResourcesFit": "Fit",
    "PodTopologySpread": "Spread",
    "InterPodAffinity": "PodAff",
    "NodeResourcesBalancedAllocation": "Balanced",
    "ImageLocality": "Image",
}


def describe(explanation: Explanation) -> Iterator[str]:
    """The lines of the text form."""
    shown: set[tuple[str, str]] = set()
    blocks = 0
    lines: Counter[str] = Counter()
    rest: Counter[tuple[str, str]] = Counter()
    for pod in explanation.pods:
        kind = (pod.workload, pod.state)
        first = kind not in shown if pod.workload else blocks < MOST_BLOCKS
        if first:
            shown.add(kind)
            blocks += 1
            yield from _block(pod)
            yield ""
        elif lines[pod.workload] < MOST_LINES:
            lines[pod.workload] += 1
            yield f"{pod.key}: {outcome(pod)}"
        else:
            rest[pod.workload, pod.node or outcome(pod).replace(pod.name, "…")] += 1
    for (workload, what), count in rest.items():
        yield f"{count} more {f'of {workload}' if workload else 'pods'}: {what}"
    refused = [item for item in explanation.objects if not item.admission.admitted]
    for item in refused:
        yield f"{item.key} ({_place(item.origin)}) is refused: {item.admission.message}"
    yield from _summary(explanation, len(refused))


def outcome(pod: PodAnswer) -> str:
    """What becomes of the pod, in one line."""
    if pod.state == "scheduled":
        return f"goes to {pod.node}"
    if pod.state == "preempting":
        return f"preempts {', '.join(pod.victims)} on {pod.nominated}"
    return f"{pod.state}: {pod.message}" if pod.message else pod.state


def _block(pod: PodAnswer) -> Iterator[str]:
    rows: list[tuple[str, Sequence[str]]] = [
        ("Name", [pod.name]),
        ("Namespace", [pod.namespace]),
        ("Controlled By", [pod.workload] if pod.workload else []),
        ("Written In", [_place(pod.origin)]),
        ("QoS Class", [pod.qos]),
        ("Priority", [str(pod.priority)]),
        ("Requests", [_amounts(pod.requests)]),
        ("Limits", [_amounts(pod.limits)]),
        ("Filled In", list(_filled_in(pod))),
        ("Quota", list(_quota(pod))),
        ("Admission", list(_admission(pod))),
        ("Nodes", list(_nodes(pod))),
        ("Victims", list(_victims(pod))),
        ("Volumes", [f"{item.claim}: {_volume(item.volume, item.provisioner)}" for item in pod.volumes]),
        ("Note", pod.notes),
        ("Outcome", [] if pod.state == "refused" else [outcome(pod)]),
    ]
    for title, lines in rows:
        for number, line in enumerate(lines):
            yield f"{title + ':' if number == 0 else '':<15}{line}".rstrip()


def _filled_in(pod: PodAnswer) -> Iterator[str]:
    for field, _, stored in pod.changes:
        if any(part in field for part in _TOLD) and stored != 0:
            yield f"{field} = {stored}"


def _quota(pod: PodAnswer) -> list[str]:
    lines = pod.admission.quotas
    if not lines:
        return []
    rows = [("QUOTA", "KEY", "ADDS", "USED", "HARD", "")]
    for line in lines:
        used = "unknown" if line.used is None else str(line.used)
        rows.append(
            (line.quota, line.key, str(line.delta), used, str(line.hard), "" if line.fits else "too little left")
        )
    return columns(rows)


def _admission(pod: PodAnswer) -> Iterator[str]:
    admission = pod.admission
    if admission.stored:
        yield "admitted before (it has a resourceVersion)"
    elif admission.admitted:
        yield "admitted"
    else:
        yield f"refused by {admission.plugin}" if admission.plugin else "refused"
        yield admission.message


def _nodes(pod: PodAnswer) -> list[str]:
    refused = [item for item in pod.nodes if not item.fits]
    fitting = sorted((item for item in pod.nodes if item.fits), key=lambda item: -(item.total or 0))
    lines: list[str] = []
    if len(pod.nodes) <= MOST_NODES:
        lines += columns([(item.node, f"{', '.join(item.reasons)} ({item.plugin})") for item in refused])
    elif refused:
        counted = Counter((reason, item.plugin) for item in refused for reason in item.reasons)
        lines += [f"{count} nodes: {reason} ({plugin})" for (reason, plugin), count in counted.most_common()]
    scored = [item for item in fitting if item.scores][:MOST_NODES]
    if scored:
        plugins = [line.plugin for line in scored[0].scores]
        weights = [line.weight for line in scored[0].scores]
        heads = [f"{_SHORT.get(name, name)} x{weight}" for name, weight in zip(plugins, weights, strict=True)]
        rows = [("NODE", *heads, "TOTAL"), *(_scores(item, pod) for item in scored)]
        lines += columns(rows)
    if len(fitting) > len(scored):
        lines.append(f"{len(fitting) - len(scored)} more fit")
    if pod.ties:
        lines.append(f"{len(pod.ties)} nodes share the best total: the seed decides")
    return lines


def _scores(item: NodeAnswer, pod: PodAnswer) -> tuple[str, ...]:
    marks = "*" if item.node == pod.node else ""
    return (f"{item.node}{marks}", *(str(line.score.normalised) for line in item.scores), str(item.total))


def _victims(pod: PodAnswer) -> Iterator[str]:
    for item in pod.displacements:
        if item.node == pod.nominated:
            broken = f", {item.violations} against a disruption budget" if item.violations else ""
            yield f"{', '.join(item.victims)} on {item.node}{broken}"
    others = len(pod.displacements) - 1
    if others > 0:
        yield f"{others} other node{'s' if others > 1 else ''} could be freed too"


def _volume(volume: str, provisioner: str) -> str:
    return f"volume {volume}" if volume else f"made by {provisioner}"


def _summary(explanation: Explanation, refused: int) -> Iterator[str]:
    counted = Counter(pod.state for pod in explanation.pods)
    parts = [f"{count} {state}" for state, count in counted.items()]
    if refused:
        parts.append(f"{refused} other objects refused")
    count = len(explanation.pods)
    yield f"{count} pod{'' if count == 1 else 's'} to come: {', '.join(parts) or 'none'}"


def _place(origin: Origin) -> str:
    return str(origin) or "nowhere: made up"


def _amounts(amounts: ResourceList) -> str:
    return ", ".join(f"{name} {amounts[name]}" for name in sorted(amounts)) or "none"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as aligned columns, three blanks apart."""
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))] if rows else []
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

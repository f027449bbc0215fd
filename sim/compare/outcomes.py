"""Verdicts of one platform, and which of them a change brings or takes away.

Facts (stuck rollouts, refused and pending pods, node losses) come from the platform at rest; everything else from the
checks. A finding that says what a fact says already lends it its place, its way out and its patch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from models.errors import Where
from models.findings import Finding, Severity
from models.graph.places import line_of
from models.objects import KubeObject
from models.platform import Workload
from models.rules.quantity import Quantity, parse_quantity
from models.rules.rollout import max_surge, strategy_of
from sim.checks.look import Look
from sim.compare.difference import Outcome, worst
from sim.compare.usage import Key, Row, needs, share_of
from sim.placement import PlacedPod, Unplaced
from sim.platform.workloads import make_pod
from sim.rollouts.start import NEXT_REVISION
from sim.standing import Standing

_FORBIDDEN = re.compile(r'^pods "[^"]*" is forbidden: ')
_VARIES = re.compile(r"\d[\d.,]*\s?[A-Za-z%]*|-[a-z0-9]{8,10}-[a-z0-9]{5}\b|-[bcdfghjklmnpqrstvwxz2456789]{5}\b")
"""What may differ between two tellings of one finding: amounts, and generated parts of pod names."""

CODES: Mapping[str, str] = {
    "ROLLOUT-STUCK": "a rollout of the workload alone never finishes, or may get stuck",
    "RESTART-REFUSED": "the API server refuses a pod of the workload that is created again",
    "QUOTA-BELOW-USE": "a quota is below what runs: whatever restarts in the namespace is refused",
    "QUOTA-PEAK": "a quota refuses pods at the peak of autoscalers, schedules, Jobs or a node loss",
    "POD-PENDING": "a pod finds no node",
    "NODE-LOSS": "a pod finds no place when a node is lost",
}
"""Codes of the facts; all other codes are those of the checks."""

Identity = tuple[str, ...]

_EPSILON = 1e-9
"""Shares are quotients of integers: what differs by less is the same."""


def facts(
    standing: Standing, running: Standing, peaks: Mapping[Key, Row], findings: Iterable[Finding]
) -> dict[Identity, Outcome]:
    """Every verdict about one platform by what makes it the same verdict on the other side.

    ``standing``: everything starts from nothing, ``running``: everything runs already, ``peaks``: what that uses;
    ``findings`` are those that
    count (not accepted ones).
    """
    found: dict[Identity, Outcome] = {
        (item.kind, item.subject): item
        for item in (*_refused(standing), *_exceeded(running), *_crowded(running, peaks))
    }
    for item in _stuck(running):
        refused = found.get(("refused", item.subject))
        if refused is not None and "must specify" in item.reason:
            words = f"{item.name} is refused at its next restart, and its rollout never finishes"
            found["refused", item.subject] = replace(refused, sentence=words, never_finishes=True)
        else:
            found["stuck", item.subject] = item
    if standing.hardware_known:
        found.update({("pending", item.subject): item for item in _pending(running)})
        found.update({("loss", item.subject): item for item in _losses(running)})
    told: Counter[Identity] = Counter()
    for finding in findings:
        same = _told_by(found, finding)
        if same is not None:
            found[same] = _enriched(found[same], finding)
            continue
        identity = ("finding", finding.code, finding.subject, _VARIES.sub("#", finding.title))
        found[(*identity, str(told[identity]))] = _of_finding(finding)
        told[identity] += 1
    return found


def compared(before: Mapping[Identity, Outcome], after: Mapping[Identity, Outcome]) -> list[Outcome]:
    """New, worse, open and fixed verdicts, worst first."""
    both = [_judged(before.get(key), item) for key, item in after.items()]
    gone = [replace(item, news="fixed") for key, item in before.items() if key not in after]
    return worst([*both, *gone])


def _judged(before: Outcome | None, after: Outcome) -> Outcome:
    if before is None:
        return replace(after, news="new")
    if before.share is not None and after.share is not None and after.share > before.share + _EPSILON:
        return replace(after, news="worse", was=before.amount)
    return replace(after, news="open")


def human(amount: Quantity, key: str) -> str:
    """An amount as people say it: CPU in cores (``2.7``), anything else as Kubernetes prints it."""
    if key.endswith("cpu") and amount.nano % 10**6 == 0:
        return f"{amount.nano / 10**9:.3f}".rstrip("0").rstrip(".")
    return str(amount)


def _outcome(workload: Workload, kind: str, code: str, sentence: str, message: str) -> Outcome:
    item = workload.object
    amount, share = _quota_amount(message)
    return Outcome(
        "new",
        "stuck" if kind == "stuck" else "refused",
        Severity.ERROR,
        code,
        workload.id,
        workload.name,
        workload.namespace,
        sentence,
        _FORBIDDEN.sub("", message),
        amount,
        share,
        Where(item.origin.file, item.origin.line),
        (message,),
    )


def _quota_amount(message: str) -> tuple[str, float | None]:
    """The key that is exceeded most: "2.7 of 2 requests.cpu" and 1.35."""
    found = [
        (share_of(amount, hard) or 0.0, key, f"{human(amount, key)} of {human(hard, key)} {key}")
        for _, key, amount, hard in needs(message)
    ]
    if not found:
        return "", None
    share, _, text = max(found, key=lambda item: (item[0], item[1]))
    return text, share


def _refused(standing: Standing) -> Iterator[Outcome]:
    """Workloads whose pods the API server refuses when one is created again while everything else runs."""
    for restart in Look(standing).restarts.values():
        workload = restart.workload
        if restart.message and workload.controller not in ("Job", "CronJob"):
            sentence = f"{workload.name} is refused at its next restart"
            yield _outcome(workload, "refused", "RESTART-REFUSED", sentence, restart.message)


def _exceeded(running: Standing) -> Iterator[Outcome]:
    """Quotas below what runs already: whatever restarts there is refused."""
    for row in running.quotas:
        used, hard = parse_quantity(row.used_rest), parse_quantity(row.hard)
        quota = running.platform.get("ResourceQuota", row.namespace, row.quota)
        if used <= hard or quota is None:
            continue
        amount = f"{human(used, row.key)} of {human(hard, row.key)} {row.key}"
        yield Outcome(
            "new",
            "quota",
            Severity.ERROR,
            "QUOTA-BELOW-USE",
            f"ResourceQuota {row.namespace}/{row.quota} {row.key}",
            row.namespace,
            row.namespace,
            f"whatever restarts in {row.namespace} is refused",
            f"quota {row.quota} is below what runs",
            amount,
            share_of(used, hard),
            _limit_place(running, quota, row.key),
            (f"{row.key}: {row.used_rest} used at rest, {row.hard} allowed",),
            "raise the quota to what runs, or lower the requests first",
        )


_WHEN = {
    "autoscaler": "when autoscalers are at their maximum",
    "node loss": "after the loss of a node",
    "jobs": "when Jobs run",
    "schedules": "when schedules coincide",
}
"""Drivers of :mod:`sim.quotas.peaks` in words."""


def _crowded(running: Standing, peaks: Mapping[Key, Row]) -> Iterator[Outcome]:
    """Quotas that let everything run and every rollout finish, and refuse pods at the peak of something else."""
    for (namespace, name, key), row in peaks.items():
        quota = running.platform.get("ResourceQuota", namespace, name) if name else None
        if quota is None or row.hard is None or not row.rest <= row.hard < row.peak or row.driver == "rollout":
            continue
        yield Outcome(
            "new",
            "quota",
            Severity.WARNING,
            "QUOTA-PEAK",
            f"ResourceQuota {namespace}/{name} {key}",
            namespace,
            namespace,
            f"quota {namespace}/{name} refuses pods {_WHEN.get(row.driver, 'at its peak')}",
            row.at_peak,
            f"{human(row.peak, key)} of {human(row.hard, key)} {key}",
            row.share,
            _limit_place(running, quota, key),
            (row.at_peak, f"{key}: {row.rest} at rest, {row.peak} at peak, {row.hard} allowed"),
            "raise the quota to its peak, or spread what happens at once",
        )


def _limit_place(running: Standing, quota: KubeObject, key: str) -> Where:
    field = f"spec.hard.{key}"
    return Where(quota.origin.file, line_of(running.platform.rendered.lines, quota.origin, field), field)


def _stuck(running: Standing) -> Iterator[Outcome]:
    for check in running.rollouts:
        if check.verdict in ("completes", "undecided"):
            continue
        workload = running.workloads[check.workload]
        reason = _refusal(running, workload) or check.reason
        if not running.hardware_known and "nodes are available" in reason:
            continue
        surely = check.verdict == "stuck"
        sentence = f"{workload.name}'s rollout {'will never finish' if surely else 'may get stuck'}"
        made = _outcome(workload, "stuck", "ROLLOUT-STUCK", sentence, reason)
        severity = Severity.ERROR if surely else Severity.WARNING
        evidence = (check.strategy, reason)
        yield replace(made, severity=severity, evidence=evidence, never_finishes=surely)


def _refusal(running: Standing, workload: Workload) -> str:
    """What the API server says to the first surge pod of a rollout: it answers before the scheduler is asked."""
    if workload.controller != "Deployment" or not max_surge(
        strategy_of(workload.object.manifest), workload.replicas or 0
    ):
        return ""
    prepared = running.placement.gate.prepare(make_pod(workload, 0, NEXT_REVISION))
    return prepared.message or running.placement.ledger.copy().try_admit(prepared.manifest).message


def _pending(standing: Standing) -> Iterator[Outcome]:
    for workload, pods in _waiting(standing, "pending"):
        who = f"{workload.name} finds" if len(pods) == 1 else f"{len(pods)} pods of {workload.name} find"
        amount, share = _node_amount(standing, pods[0])
        made = _outcome(workload, "refused", "POD-PENDING", f"{who} no node", pods[0].message)
        yield replace(made, kind="pending", amount=amount, share=share)


def _node_amount(standing: Standing, pod: PlacedPod) -> tuple[str, float | None]:
    """What the node that comes closest would have to carry: "9.5 of 8 cpu on node-2"; nothing if it is not for room."""
    candidates: list[tuple[float, str]] = []
    for room in standing.placement.node_rooms():
        needed = (
            ("cpu", f"{room.cpu_requests_m + pod.cpu_request_m}m", f"{room.cpu_allocatable_m}m"),
            ("memory", str(room.memory_requests_b + pod.memory_request_b), str(room.memory_allocatable_b)),
        )
        shares = []
        for key, used, whole in needed:
            amount, hard = parse_quantity(used), parse_quantity(whole)
            shares.append((share_of(amount, hard) or 0.0, _of_node(amount, hard, key, room.node)))
        candidates.append(max(shares))
    share, text = min(candidates, default=(0.0, ""))
    return (text, share) if share > 1 else ("", None)


def _of_node(amount: Quantity, hard: Quantity, key: str, node: str) -> str:
    if key == "cpu":
        return f"{human(amount, key)} of {human(hard, key)} cpu on {node}"
    return f"{amount.nano / 10**9 / 2**30:.1f} of {hard.nano / 10**9 / 2**30:.1f} GiB memory on {node}"


def _losses(standing: Standing) -> Iterator[Outcome]:
    """Workloads that find no place when some node is lost."""
    lost: dict[str, list[tuple[str, Unplaced]]] = {}
    for loss in standing.losses:
        for item in loss.unplaced:
            lost.setdefault(item.workload, []).append((loss.node, item))
    for identifier, cases in lost.items():
        workload = standing.workloads[identifier]
        nodes = sorted({node for node, _ in cases})
        words = f"{workload.name} finds no place when {_either(nodes)} is lost"
        made = _outcome(workload, "refused", "NODE-LOSS", words, cases[0][1].message)
        pins = {pin.says(item.workload) for _, item in cases for pin in item.pins}
        messages = {f"without {node}: {item.message}" for node, item in cases}
        evidence = (*sorted(pins), *sorted(messages))
        reason = sorted(pins)[0] if pins else made.reason
        yield replace(made, kind="loss", severity=Severity.WARNING, reason=reason, evidence=evidence)


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _waiting(standing: Standing, state: str) -> Iterator[tuple[Workload, list[PlacedPod]]]:
    found: dict[str, list[PlacedPod]] = {}
    for pod in standing.placement.waiting:
        if pod.state == state:
            found.setdefault(pod.workload, []).append(pod)
    for identifier, pods in found.items():
        yield standing.workloads[identifier], pods


_ABOUT: Mapping[str, tuple[str, ...]] = {
    "stuck": ("ROLLOUT-STUCK",),
    "refused": (
        "RESTART-REFUSED",
        "QUOTA-UNSPECIFIED",
        "QUOTA-EXCEEDED",
        "LIMITRANGE-REFUSED",
        "PRIORITYCLASS-MISSING",
        "ROLLOUT-STUCK",
    ),
}
"""Codes of the checks that say the same as a fact of that kind about the same subject."""


def _told_by(found: Mapping[Identity, Outcome], finding: Finding) -> Identity | None:
    """The fact that says already what the finding says; of several that of the kind the code is about."""
    same = [key for key, item in found.items() if key[0] != "finding" and _says_the_same(finding, item)]
    return min(same, key=lambda key: found[key].code != finding.code, default=None)


def _says_the_same(finding: Finding, item: Outcome) -> bool:
    """Whether a finding is about the same workload for the same reason."""
    if finding.subject != item.subject:
        return False
    if finding.code in _ABOUT.get(item.kind, ()):
        return True
    return bool(item.reason) and any(item.reason in fact for fact in finding.evidence)


def _enriched(item: Outcome, finding: Finding) -> Outcome:
    way_out, patch = item.way_out or finding.way_out, item.patch
    if finding.code == item.code and not patch:
        patch = finding.patch
    where = finding.where if finding.code == item.code and finding.where.file else item.where
    return replace(item, way_out=way_out, patch=patch, where=where)


def _of_finding(finding: Finding) -> Outcome:
    amount, share = max(
        (_quota_amount(fact) for fact in finding.evidence), key=lambda item: item[1] or 0.0, default=("", None)
    )
    return Outcome(
        "new",
        "finding",
        finding.severity,
        finding.code,
        finding.subject,
        finding.subject.rpartition("/")[2].rpartition(" ")[2],
        finding.namespace,
        finding.title,
        "",
        amount,
        share,
        finding.where,
        finding.evidence,
        finding.way_out,
        finding.patch,
    )

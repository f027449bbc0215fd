"""What all rules share: the platform at rest and the look-ups that several of them need, each made once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from models.findings import Finding
from models.graph.analysis import context_of
from models.graph.context import Context
from models.graph.findings import findings as graph_findings
from models.objects import KubeObject, Manifest
from models.operators.make import mapping, maps
from models.platform import Platform, Workload
from models.render import display_path, root_that_reads, walk
from models.scheduler.nodefilters import matches_node, taint_filter
from models.scheduler.nodeinfo import NodeInfo, parse_node
from models.scheduler.podinfo import PodSpec, parse_spec
from sim.headroom import RolloutCheck, rollout_checks
from sim.placement import PlacedPod, Placement
from sim.platform.admission import Ledger
from sim.platform.workloads import first_ordinal, make_pod
from sim.standing import Standing

_MOST_PODS = 100
_MOST_FILES = 3000
_LARGEST_FILE = 1_000_000
_SHARED_KINDS = frozenset({"PriorityClass", "StorageClass", "VolumeSnapshotClass", "ServiceAccount"})
_KIND = re.compile(r"^kind:\s*[\"']?(\w+)", re.MULTILINE)
_NAME = re.compile(r"^\s+name:\s*[\"']?([\w.\-]+)", re.MULTILINE)
_WRITTEN = frozenset({"manifest", "generated", "chart"})


@dataclass(frozen=True)
class Slot:
    """A container of a workload and where it is written: ``spec.template.spec.containers[web]``."""

    workload: Workload
    manifest: Manifest
    group: str

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self.manifest.get("name") or "")

    @property
    def field(self) -> str:
        """The dotted path of the container in the workload."""
        return f"{pod_field(self.workload)}.{self.group}[{self.name}]"

    @property
    def runs_along(self) -> bool:
        """Whether it runs as long as the pod does (a container or a sidecar)."""
        return self.group == "containers" or self.manifest.get("restartPolicy") == "Always"


@dataclass(frozen=True)
class Restart:
    """What happens to one pod of a workload that is created again while all others run.

    plugin: ``Priority`` or ``LimitRanger`` or ``ResourceQuota``, whichever refuses; message: its sentence.
    """

    workload: Workload
    manifest: Manifest
    plugin: str = ""
    message: str = ""


@dataclass(frozen=True)
class Candidate:
    """A pod as the scheduler reads it, the nodes that its selectors accept, and those whose taints it tolerates."""

    workload: Workload
    spec: PodSpec
    matching: tuple[NodeInfo, ...]
    tolerated: tuple[NodeInfo, ...]

    @property
    def too_large(self) -> list[tuple[str, int, int]]:
        """(resource, requested, largest amount on a node) of what not even an empty node has."""
        return [
            (name, amount, max(node.allocatable.get(name, 0) for node in self.tolerated))
            for name, amount in self.spec.requests.items()
            if amount and self.tolerated and all(amount > node.allocatable.get(name, 0) for node in self.tolerated)
        ]


@dataclass(frozen=True, eq=False)
class Look:
    """A platform at rest, for the rules."""

    standing: Standing

    @property
    def platform(self) -> Platform:
        """The objects and workloads."""
        return self.standing.platform

    @property
    def placement(self) -> Placement:
        """Where every pod runs."""
        return self.standing.placement

    @cached_property
    def context(self) -> Context:
        """The look-ups of the dependency graph."""
        return context_of(self.standing.graph)

    @cached_property
    def graph_findings(self) -> tuple[Finding, ...]:
        """What the dependency graph finds."""
        return tuple(graph_findings(self.standing.graph, self.platform))

    @cached_property
    def written(self) -> tuple[Workload, ...]:
        """Workloads whose pod template somebody wrote (no operator's, no modelled chart's)."""
        return tuple(
            item for item in self.platform.workloads if item.provenance in _WRITTEN and item.controller != "Cluster"
        )

    def slots(self, workload: Workload) -> Iterator[Slot]:
        """The workload's containers, then its init containers."""
        for group in ("containers", "initContainers"):
            for item in maps(workload.pod_spec.get(group)):
                yield Slot(workload, item, group)

    def unseen(self, namespace: str) -> tuple[str, ...]:
        """What could hold objects of the namespace and was not read: charts, remote files, releases."""
        return tuple(dict.fromkeys([*self._unseen_anywhere, *self._unseen_in.get(namespace, ())]))

    def sparse(self, namespace: str) -> bool:
        """Whether other pods than the tree's run there: the cluster's own, or those of another tree altogether."""
        return namespace == "kube-system" or not any(item.namespace == namespace for item in self.platform.workloads)

    def declared_elsewhere(self, kind: str, name: str) -> str:
        """``file:line`` of an object that the repository has and this tree leaves out; "" when it has none.

        Names are compared as written, before any kustomization changes them.
        """
        return self._elsewhere.get((kind, name), "")

    def read_as_well(self, place: str, what: str) -> str:
        """The way out when the repository declares an object of the cluster in another tree, at ``place``."""
        file = place.rpartition(":")[0]
        if file not in self._trees:
            self._trees[file] = self._tree_of(file)
        return (
            f"read {self._trees[file]} as well (a second path of check and place, a second --tree of run, or "
            f"trees: of a scenario), or make sure that the cluster has {what}"
        )

    @cached_property
    def _trees(self) -> dict[str, str]:
        """What :meth:`_tree_of` said of each file: it reads every kustomization of the repository."""
        return {}

    def _tree_of(self, file: str) -> str:
        """The Kustomize root that reads a file of the repository; the file when none does but those that were read."""
        for base in map(Path, self.platform.rendered.lines.bases):
            root = root_that_reads(base, base / file) if (base / file).is_file() else None
            name = display_path(root, base.resolve()) if root is not None else ""
            if name and name not in self.platform.rendered.roots:
                return name
        return file

    @cached_property
    def _elsewhere(self) -> Mapping[tuple[str, str], str]:
        """Cluster-wide objects and ServiceAccounts of all files below the repository, read when a rule first asks."""
        found: dict[tuple[str, str], str] = {}
        for base in self.platform.rendered.lines.bases:
            for file in _manifests(Path(base)):
                try:
                    text = file.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError):
                    continue
                line = 1
                for part in re.split(r"^---.*\n", text, flags=re.MULTILINE):
                    kind, name = _KIND.search(part), _NAME.search(part)
                    if kind is not None and name is not None and kind[1] in _SHARED_KINDS:
                        found.setdefault((kind[1], name[1]), f"{file.relative_to(base).as_posix()}:{line}")
                    line += part.count("\n") + 1
        return found

    @cached_property
    def _unseen_anywhere(self) -> tuple[str, ...]:
        """Things without a known namespace. Remote files that are called CRDs hold definitions and nothing else."""
        found = [
            f"{item.kind} {item.what}"
            for item in self.platform.rendered.missing
            if item.kind != "chart" and "crd" not in item.what.lower()
        ]
        found += [f"chart {item.what}" for item, space in self.context.charts.values() if not space]
        return tuple(found)

    @cached_property
    def _unseen_in(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for item in self.platform.rendered.missing:
            if item.kind == "chart" and item.modelled:
                # A model holds the workloads of a chart, not everything that it makes.
                made = [other for other in self.platform.objects if other.origin.file == item.origin.file]
                for space in {item.namespace, *(other.namespace for other in made)} - {""}:
                    found.setdefault(space, []).append(f"chart {item.what} (modelled)")
        for missing, space in self.context.charts.values():
            found.setdefault(space, []).append(f"chart {missing.what}")
        for kind in ("HelmRelease", "HelmChart"):
            for release in self.platform.by_kind(kind):
                space = str(release.spec.get("targetNamespace") or release.namespace)
                found.setdefault(space, []).append(f"{kind} {release.namespace}/{release.name}")
        for application in self.platform.by_kind("Application", "argoproj.io"):
            space = str(mapping(application.spec.get("destination")).get("namespace") or "")
            if space and not any(item.namespace == space for item in self.platform.workloads):
                found.setdefault(space, []).append(f"Application {application.namespace}/{application.name}")
        return found

    @cached_property
    def first_pods(self) -> Mapping[str, PlacedPod]:
        """One pod of every workload that runs at rest, a refused one first."""
        found: dict[str, PlacedPod] = {}
        for pod in self.placement.pods:
            known = found.get(pod.workload)
            if known is None or (known.state != "refused" and pod.state == "refused"):
                found[pod.workload] = pod
        return found

    @cached_property
    def ledger(self) -> Ledger:
        """Use of every quota with all pods of the tree running (Jobs run at times only and are not counted)."""
        quotas = {name: [item.manifest for item in items] for name, items in self.platform.quotas.items()}
        objects = [item.manifest for item in self.platform.objects if item.kind not in ("Pod", "ResourceQuota")]
        full = Ledger(quotas, objects)
        for pod in self.placement.pods:
            full.charge(pod.manifest)
        return full

    @cached_property
    def restarts(self) -> Mapping[str, Restart]:
        """For every workload: one of its pods created again, the others running. Jobs: their next run."""
        found: dict[str, Restart] = {}
        for workload in self.placement.workloads:
            pod = self.first_pods.get(workload.id)
            if pod is None and (workload.controller not in ("Job", "CronJob") or not workload.replicas):
                continue
            found[workload.id] = self._restart(workload, pod)
        return found

    def _restart(self, workload: Workload, pod: PlacedPod | None) -> Restart:
        manifest = pod.manifest if pod is not None else {}
        if pod is None or pod.state == "refused":
            number = first_ordinal(workload) if pod is None else pod.number
            prepared = self.placement.gate.prepare(make_pod(workload, number))
            if prepared.message:
                return Restart(workload, prepared.manifest, gate_plugin(prepared.message), prepared.message)
            manifest = prepared.manifest
        ledger = self.ledger.copy()
        if pod is not None:
            ledger.release(pod.key)
        message = ""
        for number in range(1 if pod is not None else min(workload.replicas or 0, _MOST_PODS)):
            metadata = {**manifest["metadata"], "name": f"{manifest['metadata']['name']}-{number}"}
            message = (
                message or ledger.try_admit(manifest if not number else {**manifest, "metadata": metadata}).message
            )
        return Restart(workload, manifest, "ResourceQuota" if message else "", message)

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """One pod of every workload and which nodes it may use at all, full or empty."""
        nodes = [parse_node(node.manifest) for node in self.standing.cluster.nodes]
        found = []
        for workload in self.placement.workloads:
            restart = self.restarts.get(workload.id)
            daemon = workload.controller == "DaemonSet"
            if restart is None and not daemon:
                continue
            # The pod of a DaemonSet that exists is bound to its node: the question is about any.
            spec = parse_spec(make_pod(workload, 0) if daemon or restart is None else restart.manifest)
            matching = tuple(node for node in nodes if matches_node(spec, node))
            free = tuple(node for node in matching if taint_filter(spec, node) is None and not node.unschedulable)
            found.append(Candidate(workload, spec, matching, free))
        return tuple(found)

    @cached_property
    def rollouts(self) -> tuple[RolloutCheck, ...]:
        """Whether every Deployment, rolled out alone while everything runs, can finish."""
        if not any(pod.state == "refused" for pod in self.placement.pods):
            return self.standing.rollouts
        return tuple(rollout_checks(replace(self.placement, ledger=self.ledger)))

    def pods_of(self, workload: Workload) -> tuple[PlacedPod, ...]:
        """The pods of a workload at rest."""
        return self.placement.by_workload.get(workload.id, ())

    def mounted(self, workload: Workload) -> Iterator[tuple[KubeObject, str]]:
        """The claims that pods of a workload mount, each with the field that says so."""
        base = pod_field(workload)
        for volume in maps(workload.pod_spec.get("volumes")):
            name = mapping(volume.get("persistentVolumeClaim")).get("claimName")
            claim = self.platform.get("PersistentVolumeClaim", workload.namespace, str(name)) if name else None
            if claim is not None:
                yield claim, f"{base}.volumes[{volume.get('name')}].persistentVolumeClaim.claimName"
        for node in self.context.made_claims.get(f"{workload.namespace}/{workload.name}", ()):
            if self._made_for(node, workload):
                yield node, "spec.storage" if workload.controller == "Cluster" else "spec.volumeClaimTemplates"

    def _made_for(self, claim: KubeObject, workload: Workload) -> bool:
        if workload.controller == "Cluster":
            return claim.labels.get("cnpg.io/cluster") == workload.name
        names = {str(mapping(item.get("metadata")).get("name")) for item in workload.claim_templates}
        return workload.controller == "StatefulSet" and any(
            claim.name.startswith(f"{name}-{workload.name}-") for name in names
        )


def _manifests(folder: Path) -> Iterator[Path]:
    """YAML files below a folder, the first few thousand of them."""
    count = 0
    for part in walk(folder):
        for file in sorted(part.iterdir()):
            if file.suffix in (".yaml", ".yml") and file.is_file() and file.stat().st_size < _LARGEST_FILE:
                count += 1
                if count > _MOST_FILES:
                    return
                yield file


def gate_plugin(message: str) -> str:
    """Which admission plugin before the quota speaks like that."""
    return "Priority" if "PriorityClass" in message else "LimitRanger"


def pod_field(workload: Workload) -> str:
    """Where a workload's pod spec is written."""
    if workload.controller == "Pod":
        return "spec"
    if workload.controller == "CronJob":
        return "spec.jobTemplate.spec.template.spec"
    return "spec.template.spec"

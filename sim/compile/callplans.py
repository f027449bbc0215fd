"""Call plans: what an app does for a request, and the tables of a program that grow with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import networkx as nx

from models.catalog import AppProfile, CallProfile, OperationProfile
from models.platform import Platform, Workload
from sim import program as ir
from sim.callees import workload_behind
from sim.compile.balancing import through_kube_proxy
from sim.compile.stated import stated_instructions
from sim.demand import BACKEND_TIMEOUT_S, Demand

DEPENDENCIES = {"queries": "database", "caches-in": "cache", "calls": ""}
"""Edge kinds that mean requests, and the role in a call profile that each stands for."""

UNKNOWN_SOFT_SHARE = 0.2
"""Assumed share of requests that use a soft dependency which the app's profile does not mention."""


@dataclass
class Builder:
    """Collects the tables of a program; the order of insertion is the index.

    ``remote``: workloads whose data lies on network storage, behind the line of their node and ``lan_rtt``.
    """

    platform: Platform
    graph: nx.MultiDiGraph[str]
    demands: Mapping[str, Demand]
    remote: frozenset[str] = frozenset()
    lan_rtt: float = 0.0
    services: dict[str, int] = field(default_factory=dict)
    service_rows: list[ir.Service] = field(default_factory=list)
    operations: dict[tuple[str, str], int] = field(default_factory=dict)
    operation_rows: list[ir.Operation | None] = field(default_factory=list)
    assumptions: dict[str, None] = field(default_factory=dict)
    _open: list[tuple[str, str]] = field(default_factory=list)

    def service(self, name: str) -> int:
        if name not in self.services:
            self.services[name] = len(self.service_rows)
            self.service_rows.append(ir.Service(name))
        return self.services[name]

    def operation(self, service: str, name: str, instructions: Iterable[ir.Instruction] | None = None) -> int:
        key = (service, name)
        if key not in self.operations:
            self.operations[key] = len(self.operation_rows)
            self.operation_rows.append(None)
            if instructions is None:
                instructions = self.app_instructions(service, name)
            row = ir.Operation(f"{service} {name}", self.service(service), tuple(instructions))
            self.operation_rows[self.operations[key]] = row
        return self.operations[key]

    def finished(self) -> tuple[ir.Operation, ...]:
        rows = tuple(row for row in self.operation_rows if row is not None)
        if len(rows) != len(self.operation_rows):
            raise RuntimeError("an operation was left without instructions")
        return rows

    # ---------------------------------------------------------------------------------- apps

    def workload_of(self, service: str) -> Workload | None:
        """The workload behind a Service id or a workload id; the first when there are several."""
        return workload_behind(self.platform, service)

    def known(self, service: str, operation: str) -> str:
        """The operation itself if the app behind the service has it, else the app's first one."""
        workload = self.workload_of(service)
        names = [item.name for item in self.demands[workload.id].profile.operations] if workload is not None else []
        return operation if operation in names or not names else names[0]

    def app_instructions(self, service: str, name: str) -> list[ir.Instruction]:
        """What the app behind a service does for an operation: as the scenario's plan says, else the catalogue."""
        workload = self.workload_of(service)
        if workload is None:
            return []
        demand = self.demands[workload.id]
        self._open.append((workload.id, name))
        if name in demand.plans:
            out = stated_instructions(self, workload, demand.plans[name].steps)
        else:
            out = self._assumed_instructions(workload, demand, name)
        self._open.pop()
        return out

    def _assumed_instructions(self, workload: Workload, demand: Demand, name: str) -> list[ir.Instruction]:
        profile = next((op for op in demand.profile.operations if op.name == name), OperationProfile(name=name))
        out: list[ir.Instruction] = []
        if profile.cpu_ms:
            out.append(ir.Cpu(demand.work(profile.cpu_ms)))
        if profile.disk_kb or profile.fsync:
            written = profile.disk_kb * 1000.0 if profile.fsync else 0.0
            read = 0.0 if profile.fsync else profile.disk_kb * 1000.0
            access = ir.DiskIo(read_bytes=read, write_bytes=written, fsyncs=float(profile.fsync))
            out.extend([*self.way_to_data(workload, read + written), access])
        if profile.wait_ms:
            out.append(ir.Wait(ir.Draw(profile.wait_ms / 1000.0)))
        out.extend(self._calls(workload, demand.profile, profile))
        return out

    def way_to_data(self, workload: Workload, size: float) -> list[ir.Instruction]:
        """The way to network storage and back: a round trip, and the bytes over the network card of the pod's node.
        Nothing for a workload whose data is on its node."""
        if workload.id not in self.remote:
            return []
        trip = ir.Wait(ir.Draw(self.lan_rtt, "constant"))
        return [trip, ir.Transfer(ir.Draw(size, "constant"))] if size else [trip]

    def _calls(self, workload: Workload, app: AppProfile, operation: OperationProfile) -> list[ir.Instruction]:
        out: list[ir.Instruction] = []
        for target, kind, strength in self._dependencies(workload.id):
            named = [call for call in operation.calls if self._means(call, target, kind)]
            named = [call for call in named if not self._closes_circle(workload, target, call)]
            for call in named:
                out.extend(self._call_or_look_up(workload, app, target, call, soft=call.soft or strength == "soft"))
            elsewhere = any(self._means(call, target, kind) for op in app.operations for call in op.calls)
            if elsewhere:
                continue
            soft = strength == "soft"
            share = UNKNOWN_SOFT_SHARE if soft else 1.0
            if self._closes_circle(workload, target, CallProfile(to=target)):
                continue
            self.assumptions[
                f"{workload.id} uses {target} in {share:.0%} of its requests (its profile {app.name!r} does not say)"
            ] = None
            out.append(self._call(workload, target, CallProfile(to=target, probability=share), soft=soft))
        return out

    def _call_or_look_up(
        self, workload: Workload, app: AppProfile, target: str, call: CallProfile, *, soft: bool
    ) -> list[ir.Instruction]:
        """A call; or look-ups in a cache, each followed by the calls of the database that a miss costs."""
        databases = [(to, strength) for to, kind, strength in self._dependencies(workload.id) if kind == "queries"]
        plain, holder = self._call(workload, target, call, soft=soft), self.workload_of(target)
        if call.hit_ratio is None or not databases or holder is None:
            return [plain]
        database, strength = databases[0]
        self.assumptions[
            f"{workload.id} finds {call.hit_ratio:.0%} of its look-ups in {target} once it holds {call.working_set} "
            f"things; a miss costs {call.miss_calls} calls of {database} ({app.confidence}, profile {app.name!r})"
        ] = None
        cache = ir.Cache(call.hit_ratio, 1, self.service(holder.id), float(call.working_set))
        missed = CallProfile(to="database", count=call.miss_calls)
        query = self._call(workload, database, missed, soft=strength == "soft")
        return [replace(plain, count=1), cache, query] * call.count

    def _closes_circle(self, workload: Workload, target: str, call: CallProfile) -> bool:
        """Whether the called operation is one of those that lead here: two apps that use each other do so for
        different requests, not for one without end."""
        behind = self.workload_of(target)
        closes = behind is not None and (behind.id, self._operation_name(target, call)) in self._open
        if closes:
            self.assumptions[f"{workload.id} does not call {target} back while it serves a call from there"] = None
        return closes

    def _dependencies(self, workload: str) -> list[tuple[str, str, str]]:
        """(target Service, edge kind, strength) of the calls of a workload, one per target, in a stable order."""
        found: dict[str, tuple[str, str]] = {}
        if workload not in self.graph:
            return []
        for _, target, data in self.graph.out_edges(workload, data=True):
            kind, strength = str(data.get("kind")), str(data.get("strength"))
            reachable = target in self.platform.workload_by_id or str(target).startswith("Service ")
            if kind not in DEPENDENCIES or strength == "startup" or not reachable or data.get("allowed") is False:
                continue
            behind = self.workload_of(str(target))
            if behind is None or behind.id == workload:
                continue
            earlier = found.get(str(target))
            if earlier is None or (earlier[1] == "soft" and strength == "hard"):
                found[str(target)] = (kind, strength)
        return [(target, *found[target]) for target in sorted(found)]

    def _means(self, call: CallProfile, target: str, kind: str) -> bool:
        role = DEPENDENCIES[kind]
        if call.to in ("database", "cache"):
            return call.to == role
        name = target.rpartition("/")[2]
        behind = self.workload_of(target)
        return fnmatchcase(name, call.to) or (behind is not None and fnmatchcase(behind.name, call.to))

    def policy(self, workload: Workload, target: str) -> ir.Policy:
        """How a workload behaves towards what it calls."""
        if not self.demands[workload.id].says_how_it_calls:
            self.assumptions[
                f"apps wait {BACKEND_TIMEOUT_S:g} s for what they call, do not try again and cancel what they give up "
                "on (unless a profile of the scenario says how it calls)"
            ] = None
        return through_kube_proxy(self.platform, target, self.demands[workload.id].calls)

    def _call(self, workload: Workload, target: str, call: CallProfile, *, soft: bool) -> ir.Call:
        return ir.Call(
            self.operation(target, self._operation_name(target, call)),
            probability=call.probability,
            count=call.count,
            mode="async" if call.asynchronous else "sequential",
            soft=soft,
            policy=self.policy(workload, target),
        )

    def _operation_name(self, target: str, call: CallProfile) -> str:
        return self.known(target, call.operation or "") or "request"

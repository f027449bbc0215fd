"""Call plans of the scenario, step by step as instructions of the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.amounts import RandomDuration, RandomSize
from models.callplan import Cached, Call, Callee, LookUp, ParallelCall, Step
from models.platform import Workload
from sim import program as ir
from sim.callees import callee_of, way_to

if TYPE_CHECKING:
    from sim.compile.callplans import Builder


def draw(amount: RandomDuration | RandomSize, scale: float = 1.0) -> ir.Draw:
    """A random amount for the engines, ``scale`` times as large."""
    return ir.Draw(amount.mean * scale, amount.law, 1.0 if amount.variation is None else amount.variation)


def transfer(size: RandomSize | None, link: int = -1) -> list[ir.Instruction]:
    """Bytes over a link (-1: the network card of the pod's node); nothing when the plan names no size."""
    return [ir.Transfer(draw(size), link)] if size is not None and size.mean else []


FORGET = ir.Cache(0.0, 0)
"""A look-up that never hits and skips nothing: the next one no longer knows that an unrelated soft call has failed."""


def stated_instructions(builder: Builder, workload: Workload, steps: Sequence[Step]) -> list[ir.Instruction]:
    """What a workload does, in the order in which its plan says it."""
    out: list[ir.Instruction] = []
    for step in steps:
        if step.cache is not None and any(isinstance(item, ir.Call) and item.soft for item in out):
            out.append(FORGET)
        out.extend(_step(builder, workload, step))
    return out


def _step(builder: Builder, workload: Workload, step: Step) -> list[ir.Instruction]:
    out: list[ir.Instruction] = []
    if step.cpu is not None:
        out.append(ir.Cpu(draw(step.cpu, builder.demands[workload.id].cpu_scale)))
    elif step.wait is not None:
        out.append(ir.Wait(draw(step.wait)))
    elif step.disk is not None:
        access = step.disk
        out.extend(builder.way_to_data(workload, float(access.read + access.write)))
        amounts = float(access.read), float(access.write), float(access.operations), float(access.fsyncs)
        out.append(ir.DiskIo(*amounts))
    elif step.call is not None:
        out.append(_call(builder, workload, step.call))
    elif step.parallel is not None:
        # The landing keeps the group apart from a parallel step that follows: the engine joins neighbours.
        out.extend([*(_call(builder, workload, call) for call in step.parallel), ir.LANDING])
    elif step.cache is not None:
        out.extend(_look_up(builder, workload, step.cache))
    return out


def _call(builder: Builder, workload: Workload, call: ParallelCall) -> ir.Call:
    return ir.Call(
        _operation(builder, workload, call),
        probability=call.probability,
        count=call.count,
        mode=call.mode if isinstance(call, Call) else "parallel",
        soft=call.soft,
        policy=builder.policy(workload, _callee(builder, workload, call)),
    )


def _look_up(builder: Builder, workload: Workload, cached: Cached) -> list[ir.Instruction]:
    """The question to the cache (if it is a service of its own), the jump of a hit, and what a miss costs."""
    missed = stated_instructions(builder, workload, cached.miss)
    asked: list[ir.Instruction] = []
    holder = workload
    if cached.look_up is not None:
        asked.append(_ask(builder, workload, cached.look_up))
        holder = builder.workload_of(_callee(builder, workload, cached.look_up)) or workload
    named = cached.look_up is not None or cached.working_set is not None
    service = builder.service(holder.id) if named else -1
    cache = ir.Cache(cached.hit_ratio, len(missed), service, float(cached.working_set or 0))
    return [*asked, cache, *missed]


def _ask(builder: Builder, workload: Workload, call: LookUp) -> ir.Call:
    policy = builder.policy(workload, _callee(builder, workload, call))
    return ir.Call(_operation(builder, workload, call), soft=call.soft, policy=policy)


def _callee(builder: Builder, workload: Workload, call: Callee) -> str:
    found = callee_of(builder.platform, workload, call.to)
    if found is None:
        raise ValueError(f"{call.to!r} is no Service or workload: the plans were not checked")
    return found


def _operation(builder: Builder, workload: Workload, call: Callee) -> int:
    """The operation that is called; with payload, a form of it that begins and ends with the transfers."""
    target = _callee(builder, workload, call)
    answer = way_to(builder.platform, workload, target)
    if not answer.allowed:
        policies = f"{', '.join(answer.policies)}, {answer.direction}"
        builder.assumptions[
            f"calls of {workload.id} to {target} fail at once: a NetworkPolicy does not let them ({policies})"
        ] = None
        return builder.operation(f"{target} (closed to {workload.id})", "request", [])
    name = builder.known(target, call.operation or "")
    sent, got = transfer(call.request), transfer(call.reply)
    if not sent and not got:
        return builder.operation(target, name)
    form = f"{name} ({_bytes(call.request)} sent, {_bytes(call.reply)} got)"
    if (target, form) in builder.operations:
        return builder.operations[target, form]
    return builder.operation(target, form, [*sent, *builder.app_instructions(target, name), *got])


def _bytes(size: RandomSize | None) -> str:
    if size is None:
        return "0 B"
    varied = "" if size.variation is None else f" {size.variation:g}"
    return f"{size.mean} B" if size.law == "exponential" else f"{size.mean} B {size.law}{varied}"

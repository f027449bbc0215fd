"""Find what is wrong with a program before it runs: all problems at once.

First what every field holds (:mod:`sim.program_checks.fields`), then, where all hold what they should, the values. An
overload is no error (it may be the answer), see ``sim.offered_load``.
"""

from __future__ import annotations

from collections.abc import Iterator

from models.errors import InputError, Problem
from sim.program import Program
from sim.program_checks.fields import field_problems
from sim.program_checks.operations import cycles, operation_problems
from sim.program_checks.pods import lacking, pod_problems
from sim.program_checks.problems import index, not_negative, positive, share
from sim.program_checks.sources import source_problems


def check_program(program: Program) -> None:
    """Raise ``InputError`` with every problem of the program."""
    problems = program_problems(program)
    if problems:
        raise InputError(problems)


def program_problems(program: Program) -> list[Problem]:
    """What does not hold what it should; if everything does, what makes no sense."""
    return list(field_problems(Program, program, "program")) or list(value_problems(program))


def value_problems(program: Program) -> Iterator[Problem]:
    """Everything that makes no sense, in the order of the program's fields. Each must hold what its annotation says."""
    for node in program.nodes:
        at = f"node {node.name}"
        yield from positive(at, cores=node.cores, speed=node.speed)
        yield from index(at, "nic", node.nic, program.links, optional=True)
    for link in program.links:
        yield from positive(f"link {link.name}", bandwidth=link.bandwidth)
        yield from not_negative(f"link {link.name}", rtt=link.rtt)
        yield from share(f"link {link.name}", loss=link.loss)
    for disk in program.disks:
        at = f"disk {disk.name}"
        yield from positive(
            at, read_bandwidth=disk.read_bandwidth, write_bandwidth=disk.write_bandwidth, channels=disk.channels
        )
        yield from not_negative(at, op_latency=disk.op_latency, fsync=disk.fsync)
    for pool in program.pools:
        yield from not_negative(f"pool {pool.name}", capacity=pool.capacity)
    for pod in program.pods:
        yield from pod_problems(program, pod)
    yield from dict.fromkeys(lacking(program))
    for operation in program.operations:
        yield from operation_problems(program, operation)
    yield from cycles(program)
    for source in program.sources:
        yield from source_problems(program, source)
    yield from positive("program", bin_width=program.bin_width)
    yield from not_negative("program", bins=program.bins, lan_rtt=program.lan_rtt, exemplars=program.exemplars)

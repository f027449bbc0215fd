"""From two sides to pairs of platforms at rest: rendered, placed, checked; equal ones only once.

Trees that are named make one platform together. Otherwise every Kustomize root of the repository is read: one platform
together, unless two roots declare the same workload (staging and production); then those are platforms of their own.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.catalog import Timings
from models.documents import read_documents
from models.errors import InputError, Problem, RenderError, Where
from models.findings import Finding
from models.objects import KubeObject, ObjectKey, Rendered
from models.render import discover_roots, kustomization_file
from models.scenario import Cluster
from reports.commands.reading import find_accepted, read_paths
from reports.diff.sides import Sides, Source
from sim.accepted import acceptable_codes, read_accepted, split
from sim.checks import run_checks
from sim.compare import Part
from sim.compare.difference import Side
from sim.standing import Standing, stand

_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"})


@dataclass(frozen=True)
class Hardware:
    """What both sides run on. nodes: None while nobody said; seed: for ties between nodes, the same on both sides."""

    nodes: Cluster | None
    timings: Timings
    seed: int = 1


@dataclass
class _Reading:
    """One side while it is read: what it renders to by platform, and what is wrong with it."""

    source: Source
    fetch: bool
    renderer: str
    platforms: dict[str, Rendered] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def forget(self) -> None:
        """As if nothing had been read."""
        self.platforms.clear()
        self.problems.clear()

    def read(self, name: str, trees: Sequence[str]) -> None:
        """Render the trees that exist as one platform."""
        paths = [path for tree in trees if (path := self.source.tree(tree)) is not None]
        if not paths:
            return
        try:
            found = read_paths(paths, renderer=self.renderer, fetch=self.fetch, root=self.source.root)
        except InputError as error:
            if not _is_empty(error):
                self.problems += (_local(problem, self.source.root) for problem in error.problems)
            return
        self.platforms[name] = found


def read_parts(
    sides: Sides, hardware: Hardware, *, fetch: bool = False, renderer: str = "builtin"
) -> tuple[list[Part], Side, Side]:
    """Every platform on both sides, and what each side was. A side that cannot be read keeps its problems.

    Raises InputError when neither side has any tree.
    """
    base = _Reading(sides.base, fetch, renderer)
    head = _Reading(sides.head, fetch, renderer)
    if sides.trees:
        for reading in (base, head):
            reading.read("", sides.trees)
    else:
        _read_all(base, head)
    if not any((base.platforms, head.platforms, base.problems, head.problems)):
        named = ", ".join(sides.trees) or "any kustomization or manifest"
        raise InputError(Problem(Where(), f"neither side has {named}", "check the names of the trees"))
    parts = [_part(name, base, head, hardware) for name in dict.fromkeys([*base.platforms, *head.platforms])]
    # What is wrong with the head is all there is to say about it.
    return [] if head.problems else parts, _side(base), _side(head)


def _is_empty(error: InputError) -> bool:
    """Whether it only says that there are no manifests: then the tree is new, or gone."""
    return not isinstance(error, RenderError) and all(
        problem.what.startswith("nothing here is a Kubernetes manifest") for problem in error.problems
    )


def _side(reading: _Reading) -> Side:
    source = reading.source
    lacking = [*(item for one in reading.platforms.values() for item in one.missing), *source.missing]
    missing = {
        f"{'modelled' if item.modelled else 'not seen'}: {item.kind} {item.what}: {item.reason}" for item in lacking
    }
    absent = not reading.platforms and not reading.problems
    return Side(source.given, source.commit, tuple(reading.problems), tuple(sorted(missing)), absent)


# ------------------------------------------------------------------------------------------------- trees


def _read_all(base: _Reading, head: _Reading) -> None:
    """Every root: as one platform, or each group of roots that does not declare a workload twice."""
    roots = sorted({root for reading in (base, head) for root in _roots(reading.source)})
    # Reading twice is only slow, so a guess is good enough for which way to try first.
    if not _share_a_base(head.source, roots) and _read_whole(base, head):
        return
    rendered: list[dict[str, Rendered]] = []
    for reading in (base, head):
        reading.forget()
        alone = _Reading(reading.source, reading.fetch, reading.renderer)
        for root in roots:
            alone.read(root, [root])
        reading.problems += alone.problems
        rendered.append(alone.platforms)
    groups = _groups(roots, rendered)
    if len(groups) < 2:
        base.forget()
        head.forget()
        _read_whole(base, head)
        return
    for group in groups:
        for reading, known in zip((base, head), rendered, strict=True):
            present = [known[root] for root in group if root in known]
            if present:
                reading.platforms[" + ".join(group)] = _together(present)


def _read_whole(base: _Reading, head: _Reading) -> bool:
    """Read all roots of both sides as one platform; false when they declare some workload twice."""
    for reading in (base, head):
        reading.read("", ["."])
    return not any(_repeated(one) for reading in (base, head) for one in reading.platforms.values())


def _share_a_base(source: Source, roots: Sequence[str]) -> bool:
    """Whether two of the roots refer to one folder of resources: probably two environments of the same workloads."""
    seen: set[Path] = set()
    for root in roots:
        own: set[Path] = set()
        _resources_of(source.start / root, own)
        if seen & own:
            return True
        seen |= own
    return False


def _resources_of(folder: Path, found: set[Path]) -> None:
    """Every folder that a kustomization lists among its resources, and that those list."""
    file = kustomization_file(folder)
    try:
        documents = read_documents(file) if file is not None else []
    except InputError:
        return
    value = documents[0].value if documents else None
    listed = value.get("resources") if isinstance(value, dict) else None
    for item in listed if isinstance(listed, list) else ():
        inner = (folder / item).resolve() if isinstance(item, str) and "://" not in item else folder
        if inner not in found and inner != folder.resolve() and inner.is_dir():
            found.add(inner)
            _resources_of(inner, found)


def _roots(source: Source) -> Iterator[str]:
    if source.start.is_dir():
        start = source.start.resolve()
        for root in discover_roots(source.start):
            yield root.resolve().relative_to(start).as_posix()


def _repeated(rendered: Rendered) -> bool:
    return any(count > 1 for count in Counter(_workload_keys(rendered)).values())


def _workload_keys(rendered: Rendered) -> list[ObjectKey]:
    return [item.key for item in rendered.objects if item.kind in _WORKLOADS]


def _groups(roots: Sequence[str], sides: Sequence[dict[str, Rendered]]) -> list[list[str]]:
    """Each root in the first group that has none of its workloads."""
    groups: list[tuple[list[str], set[ObjectKey]]] = []
    for root in roots:
        keys = {key for known in sides if root in known for key in _workload_keys(known[root])}
        for names, taken in groups:
            if not taken & keys:
                names.append(root)
                taken |= keys
                break
        else:
            groups.append(([root], keys))
    return [names for names, _ in groups]


def _together(rendered: Sequence[Rendered]) -> Rendered:
    """Several roots as one platform; what a GitOps object brings a second time is left out."""
    total = Rendered()
    for item in rendered:
        total += item
    objects: dict[ObjectKey, KubeObject] = {}
    for one in total.objects:
        objects.setdefault(one.key, one)
    return replace(total, objects=tuple(objects.values()), missing=tuple(dict.fromkeys(total.missing)))


# ------------------------------------------------------------------------------------------------- platforms


def _part(name: str, base: _Reading, head: _Reading, hardware: Hardware) -> Part:
    one, two = base.platforms.get(name), head.platforms.get(name)
    if one is not None and two is not None and _equal(one, two):
        return Part(name, None, None)
    before, after = _stand(one, base, hardware), _stand(two, head, hardware)
    return Part(name, before, after, _checked(before, base), _checked(after, head))


def _equal(one: Rendered, two: Rendered) -> bool:
    """Whether two sides render to the same objects in the same order, and the same files are broken in both."""
    if one.broken != two.broken or len(one.objects) != len(two.objects):
        return False
    return all(left.manifest == right.manifest for left, right in zip(one.objects, two.objects, strict=True))


def _stand(rendered: Rendered | None, reading: _Reading, hardware: Hardware) -> Standing | None:
    if rendered is None:
        return None
    try:
        return stand(rendered, hardware.nodes, seed=hardware.seed, timings=hardware.timings)
    except InputError as error:
        reading.problems += (_local(problem, reading.source.root) for problem in error.problems)
        return None


def _checked(standing: Standing | None, reading: _Reading) -> tuple[Finding, ...]:
    """What the checks find and the side's own file of accepted findings does not cover."""
    if standing is None:
        return ()
    source = reading.source
    found = run_checks(standing)
    file = find_accepted([source.start])
    if file is None or not file.resolve().is_relative_to(source.root):
        return tuple(found)
    try:
        entries = read_accepted(file, acceptable_codes())
    except InputError as error:
        reading.problems += (_local(problem, source.root) for problem in error.problems)
        return tuple(found)
    display = file.resolve().relative_to(source.root).as_posix()
    remaining, _ = split(found, entries, datetime.date.today(), display)
    return tuple(item for item in remaining if item.code != "ACCEPTED-STALE")


def _local(problem: Problem, root: Path) -> Problem:
    """The problem without the place where the side happens to be on this machine."""

    def short(text: str) -> str:
        return text.replace(f"{root}/", "").replace(str(root), ".")

    where = Where(short(problem.where.file), problem.where.line, problem.where.field)
    return Problem(where, short(problem.what), short(problem.way_out))

"""How fast trees are read: our Kustomize against ``kubectl kustomize``, and from a folder of files to a graph.

    python tests/benchmarks/bench_reading.py [TREE ...] [--files 2000] [--repeat 3]

Both sides run in one go on this machine, each root ``--repeat`` times, and the fastest time of each counts. Ours is
measured inside of this process (files and modules warm, nothing kept between builds but the built-in tables); kubectl
is measured as people run it, a process for each root, and once more without what an empty root costs it. Only roots
that both can build take part, and their objects are compared on the way.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "kustomize"))

from kustomize_golden import objects_in, oracle_command

from models.errors import InputError
from models.gitops import render_whole
from models.graph.build import build_graph
from models.kustomize import build
from models.platform import read_platform
from models.render import find_repository, kustomization_file, walk

ROOT = Path(__file__).parents[2]
GOALS = {"generated": 10.0, "tree": 2.0}
"""Seconds in which a tree is to become a graph: one of 2,000 files, and a person's own."""


def best(times: int, run: Callable[[], Any]) -> tuple[float, Any]:
    """The shortest time of several runs in seconds, and what the last one returned."""
    shortest, result = math.inf, None
    for _ in range(times):
        start = time.perf_counter()
        result = run()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest, result


def roots_of(tree: Path) -> list[Path]:
    """Every Kustomize root below ``tree`` that is no component."""
    found = [folder for folder in walk(tree) if kustomization_file(folder) is not None]
    return [
        folder
        for folder in found
        if "kind: Component" not in (kustomization_file(folder) or folder).read_text(encoding="utf-8", errors="replace")
    ]


def by_kubectl(command: list[str], root: Path) -> str | None:
    """What kubectl prints for a root, or None when it refuses it."""
    done = subprocess.run([*command, str(root)], capture_output=True, text=True, check=False, timeout=120)
    return done.stdout if done.returncode == 0 else None


def compare(trees: list[Path], repeat: int) -> None:
    """Print the ratio for every tree."""
    command = oracle_command()
    if command is None:
        print("neither kubectl nor kustomize is on PATH: no ratio")
        return
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name)
        (empty / "kustomization.yaml").write_text("namespace: none\n", encoding="utf-8")
        start, _ = best(repeat, lambda: by_kubectl(command, empty))
    print(f"{command[0]} needs {start * 1000:.0f} ms for an empty root")
    print(f"{'tree':40} {'roots':>6} {'equal':>6} {'ours ms':>9} {'theirs ms':>10} {'ratio':>7} {'without start':>14}")
    for tree in trees:
        repository = find_repository(tree)
        ours = theirs = 0.0
        count = equal = 0
        for root in roots_of(tree):
            output = by_kubectl(command, root)
            if output is None:
                continue
            try:
                seconds, rendered = best(repeat, lambda root=root, at=repository: build(root, repository=at))
            except InputError:
                continue
            if not rendered.complete:
                continue
            theirs += best(repeat, lambda root=root: by_kubectl(command, root))[0]
            ours += seconds
            count += 1
            equal += sorted(map(repr, objects_in(output))) == sorted(
                repr(dict(sorted(item.manifest.items()))) for item in rendered.objects
            ) or [item.manifest for item in rendered.objects] == objects_in(output)
        if count:
            pure = max(theirs - count * start, 0.0)
            name = os.path.relpath(tree, ROOT) if tree.is_relative_to(ROOT) else tree.name
            print(
                f"{name:40} {count:6} {equal:6} {ours / count * 1000:9.1f} {theirs / count * 1000:10.1f}"
                f" {theirs / ours:6.1f}x {pure / ours:13.1f}x"
            )


def generated_tree(folder: Path, files: int) -> None:
    """A GitOps tree of ``files`` YAML files: applications of ten files each under one root."""
    names = []
    for number in range(files // 10):
        name = f"app-{number:04}"
        names.append(name)
        home = folder / "apps" / name
        home.mkdir(parents=True)
        for file, text in application(name, f"app-{max(number - 1, 0):04}"):
            (home / file).write_text(text, encoding="utf-8")
    lines = "".join(f"- apps/{name}\n" for name in names)
    (folder / "kustomization.yaml").write_text(f"resources:\n{lines}commonLabels: {{tree: big}}\n", encoding="utf-8")


def application(name: str, other: str) -> Iterator[tuple[str, str]]:
    """Ten files of one application that calls another one."""
    head = "apiVersion: {}\nkind: {}\nmetadata: {{name: {}}}\n"
    backend = f"{{service: {{name: {name}, port: {{number: 80}}}}}}"
    kinds = {
        "service": ("v1", "Service", f"spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: http}}]}}\n"),
        "account": ("v1", "ServiceAccount", ""),
        "claim": (
            "v1",
            "PersistentVolumeClaim",
            "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
        ),
        "ingress": (
            "networking.k8s.io/v1",
            "Ingress",
            f"spec: {{rules: [{{host: {name}.example.org, http: {{paths: [{{path: /, backend: {backend}}}]}}}}]}}\n",
        ),
        "policy": (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            f"spec: {{podSelector: {{matchLabels: {{app: {name}}}}}, ingress: [{{ports: [{{port: 8080}}]}}]}}\n",
        ),
        "budget": (
            "policy/v1",
            "PodDisruptionBudget",
            f"spec: {{minAvailable: 1, selector: {{matchLabels: {{app: {name}}}}}}}\n",
        ),
        "secret": ("v1", "Secret", "stringData: {TOKEN: none}\n"),
        "config": ("v1", "ConfigMap", f"data:\n  UPSTREAM: http://{other}\n  MODE: plain\n"),
    }
    for file, (version, kind, body) in kinds.items():
        yield f"{file}.yaml", head.format(version, kind, name) + body
    yield (
        "deployment.yaml",
        head.format("apps/v1", "Deployment", name)
        + f"""\
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      serviceAccountName: {name}
      containers:
      - name: main
        image: registry.example.org/{name}:1.0.0
        ports: [{{name: http, containerPort: 8080}}]
        envFrom: [{{configMapRef: {{name: {name}}}}}, {{secretRef: {{name: {name}}}}}]
        resources: {{requests: {{cpu: 50m, memory: 64Mi}}, limits: {{memory: 128Mi}}}}
        volumeMounts: [{{name: data, mountPath: /data}}]
      volumes: [{{name: data, persistentVolumeClaim: {{claimName: {name}}}}}]
""",
    )
    files = "".join(f"- {file}.yaml\n" for file in (*kinds, "deployment"))
    yield "kustomization.yaml", f"namespace: ns-{name}\nresources:\n{files}"


def read_whole(tree: Path) -> str:
    """Render a tree, make a platform and a graph of it; how many of what came out."""
    rendered = render_whole(tree)
    graph = build_graph(read_platform(rendered))
    return f"{len(rendered.objects)} objects, {graph.number_of_nodes()} nodes, {graph.number_of_edges()} edges"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, metavar="TREE")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    trees = [tree.resolve() for tree in arguments.trees]
    compare([ROOT / "scenarios" / "homelab", ROOT / "tests" / "kustomize" / "corpus", *trees], arguments.repeat)
    print()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "tree"
        folder.mkdir()
        generated_tree(folder, arguments.files)
        for tree, goal in ((folder, GOALS["generated"]), *((tree, GOALS["tree"]) for tree in trees)):
            name = f"a generated tree of {arguments.files} files" if tree == folder else tree.name
            seconds, what = best(arguments.repeat, lambda tree=tree: read_whole(tree))
            verdict = "within" if seconds < goal else "MISSES"
            print(f"{name}: {seconds:.2f} s to a graph ({what}); {verdict} the goal of {goal:g} s")
    if shutil.which("kubectl") is None:
        print("install kubectl to see the ratio", file=sys.stderr)


if __name__ == "__main__":
    main()

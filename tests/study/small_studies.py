"""Small platforms written as files: a tree of a few manifests and a scenario, from disk to results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from models.scenario_file import load_scenario
from reports.build import build_report
from reports.commands.reading import read_trees
from reports.jsonout import to_json
from sim.study import Results, Study, prepare

Dict = dict[str, Any]
HOST = "app.example.org"


def container(name: str = "app", image: str = "ghcr.io/example/app:1", **fields: Any) -> Dict:
    return {"name": name, "image": image, **fields}


def asks(cpu: str = "", memory: str = "", limit: str = "") -> Dict:
    """Resources of a container."""
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    return {"resources": {"requests": requests, **({"limits": {"memory": limit}} if limit else {})}}


def deployment(name: str, *containers: Dict, replicas: int = 1, **pod: Any) -> Dict:
    """A Deployment in namespace ``home``."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": list(containers), **pod}},
        },
    }


def service(name: str, port: int = 80, **spec: Any) -> Dict:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}], **spec},
    }


def ingress(name: str, host: str = HOST) -> Dict:
    """A way to a Service that no proxy of the tree serves: requests enter at the Service."""
    backend = {"service": {"name": name, "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "home"},
        "spec": {"rules": [rule]},
    }


def traefik() -> list[Dict]:
    """A Traefik with a load balancer."""
    return [
        deployment("traefik", container("traefik", "traefik:v3.1", args=["--providers.kubernetescrd"])),
        service("traefik", 443, type="LoadBalancer"),
    ]


def route(*services: Dict, host: str = HOST, middlewares: tuple[str, ...] = ()) -> Dict:
    """An IngressRoute to several services."""
    rule: Dict = {"match": f"Host(`{host}`)", "kind": "Rule", "services": list(services)}
    if middlewares:
        rule["middlewares"] = [{"name": name} for name in middlewares]
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {"name": "app", "namespace": "home"},
        "spec": {"entryPoints": ["websecure"], "routes": [rule]},
    }


def study(folder: Path, manifests: list[Dict], **spec: Any) -> Study:
    """Write the tree and the scenario, read them back, and make everything ready to run.

    One node of 16 GiB (``m920q``: six cores of speed 1.2 or so) unless ``cluster`` says otherwise.
    """
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "all.yaml").write_text(yaml.safe_dump_all(manifests), encoding="utf-8")
    cluster: Mapping[str, Any] = {"nodes": [{"name": "one", "machine": "m920q", "role": "server", "memory": "16Gi"}]}
    run = {"length": "10m", "warmUp": "0s", "replications": 1, **spec.pop("run", {})}
    scenario = {
        "apiVersion": "stowplan/v1",
        "kind": "Scenario",
        "metadata": {"name": "small"},
        "spec": {"trees": [{"path": "tree"}], "cluster": cluster, "run": run, **spec},
    }
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    loaded = load_scenario(path)
    return prepare(loaded, read_trees(loaded))


def report(prepared: Study, results: Results) -> Dict:
    """The report as JSON."""
    content: Dict = json.loads(to_json(build_report(prepared, results, command="stowplan run")))
    return content

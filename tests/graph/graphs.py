"""Small platforms for the tests of the graph."""

from __future__ import annotations

import textwrap

import networkx as nx

from models.graph.build import build_graph
from models.platform import Platform, read_platform
from models.render import render_text


def platform(text: str) -> Platform:
    return read_platform(render_text(textwrap.dedent(text)))


def graph(text: str) -> nx.MultiDiGraph[str]:
    return build_graph(platform(text))


def edges(built: nx.MultiDiGraph[str], *kinds: str) -> set[tuple[str, str, str]]:
    return {(a, b, str(key)) for a, b, key in built.edges(keys=True) if not kinds or key in kinds}


def deployment(name: str, namespace: str = "x", *, image: str = "app", extra: str = "", port: int = 80) -> str:
    """A Deployment and a Service of one name. ``extra``: fields of the container, as flow YAML without braces."""
    more = f", {extra}" if extra else ""
    return textwrap.dedent(
        f"""
        ---
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: {name}, namespace: {namespace}}}
        spec:
          selector: {{matchLabels: {{app: {name}}}}}
          template:
            metadata: {{labels: {{app: {name}}}}}
            spec:
              containers:
                - {{name: main, image: "{image}", ports: [{{name: http, containerPort: {port}}}]{more}}}
        ---
        apiVersion: v1
        kind: Service
        metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}
        spec: {{selector: {{app: {name}}}, ports: [{{name: http, port: {port}, targetPort: http}}]}}
        """
    )

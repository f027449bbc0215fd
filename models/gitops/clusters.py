"""The clusters that Argo CD knows: what its cluster Secrets in the tree say, or the one that the tree must be for.

Source: https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/Generators-Cluster/
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from models.objects import KubeObject, string_map
from models.operators.make import items, mapping, maps, selector_of

LABEL: Final = "argocd.argoproj.io/secret-type"
HERE: Final = "https://kubernetes.default.svc"
_DNS: Final = re.compile(r"[^a-z0-9-]+")
Values = dict[str, Any]


@dataclass
class Clusters:
    """The clusters known so far, and the labels that the one behind the tree is taken to have when none is known.

    Nobody writes what Argo CD was told by hand. So the first value that a selector asks for counts as that cluster's,
    and a later selector with another value finds nothing.
    """

    known: dict[str, Values] = field(default_factory=dict)
    assumed: dict[str, str] = field(default_factory=dict)

    def learn(self, objects: Iterable[KubeObject]) -> None:
        """Take note of the cluster Secrets among ``objects``, also of those that an operator will write."""
        for item in objects:
            if is_cluster(item):
                metadata = mapping(_template(item).get("metadata"))
                labels = string_map(metadata.get("labels"))
                name = _decoded(item, "name") or str(metadata.get("name") or item.name)
                facts = cluster(name, _decoded(item, "server") or HERE, labels)
                facts["metadata"]["annotations"] = string_map(metadata.get("annotations"))
                self.known[name] = facts

    def selected(self, selector: Mapping[str, Any]) -> tuple[list[Values], str]:
        """The clusters with these labels, and what of that is not known."""
        if not selector:
            # The cluster that Argo CD runs in needs no Secret.
            here = any(entry["server"] == HERE for entry in self.known.values())
            return [*([] if here else [cluster("in-cluster", HERE, {})]), *self.known.values()], ""
        if self.known:
            wanted = selector_of(selector)
            found = [entry for entry in self.known.values() if wanted.matches(entry["metadata"]["labels"])]
            return found, "" if found else "no cluster Secret of the tree has these labels"
        unknown = "which clusters have these labels is known to Argo CD only"
        labels = {**_asked(selector), **self.assumed}
        if not selector_of(selector).matches(labels):
            return [], f"{unknown}: the one of this tree has others"
        self.assumed.update(labels)
        found = [cluster("in-cluster", HERE, {LABEL: "cluster", **labels})]
        return found, f"{unknown}: the tree is taken to be for one that has them"


def is_cluster(item: KubeObject) -> bool:
    """Whether an object is, or makes, a Secret that tells Argo CD of a cluster."""
    return string_map(mapping(_template(item).get("metadata")).get("labels")).get(LABEL) == "cluster"


def cluster(name: str, server: str, labels: Mapping[str, str]) -> Values:
    """The parameters of one cluster."""
    metadata: Values = {"labels": dict(labels), "annotations": {}}
    normal = _DNS.sub("-", name.lower()).strip("-")
    return {"name": name, "nameNormalized": normal, "server": server, "project": "", "metadata": metadata}


def _asked(selector: Mapping[str, Any]) -> dict[str, str]:
    """Labels that fit a selector as far as single expressions go."""
    labels = dict(string_map(selector.get("matchLabels")))
    for expression in maps(selector.get("matchExpressions")):
        key, values = str(expression.get("key") or ""), items(expression.get("values"))
        if expression.get("operator") == "In" and values:
            labels.setdefault(key, str(values[0]))
        elif expression.get("operator") == "Exists":
            labels.setdefault(key, "true")
    return labels


def _template(item: KubeObject) -> Mapping[str, Any]:
    """The Secret itself, or what an ExternalSecret or SealedSecret will make one of."""
    if item.kind == "Secret":
        return item.manifest
    if item.kind == "ExternalSecret":
        return {"metadata": {"name": item.name}, **mapping(mapping(item.spec.get("target")).get("template"))}
    return mapping(item.spec.get("template")) if item.kind == "SealedSecret" else {}


def _text(value: Any) -> str:
    """A value that stands there as it is: neither encrypted nor to be filled in by a template."""
    return value if isinstance(value, str) and "{{" not in value and not value.startswith("ENC[") else ""


def _decoded(item: KubeObject, key: str) -> str:
    """A text of a Secret (or of the template of one); "" when nobody here can read it."""
    template = _template(item)
    plain = _text(mapping(template.get("stringData")).get(key))
    encoded = _text(mapping(template.get("data")).get(key))
    if plain or item.kind != "Secret":
        return plain or encoded
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""

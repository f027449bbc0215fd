"""Charts in the tree, the cache or a repository, rendered by the real engine and compared with ``helm template``."""

from __future__ import annotations

import functools
import hashlib
import http.server
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.errors import RenderError
from models.gitops import render_whole
from models.helm import EngineError, engine_name, render_chart

CHARTS = Path(__file__).parent / "charts"
pytestmark = pytest.mark.skipif(not engine_name(), reason="neither helm-python-sdk nor a helm binary is installed")


def _identity(item: dict[str, Any]) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


@pytest.mark.oracle
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"replicas": 5, "hosts": ["b.example.org", "c.example.org"]},
        {"cache": {"enabled": False}, "resources": None},
        {"cache": {"size": "7Gi"}, "global": {"zone": "us"}},
    ],
    ids=["defaults", "lists", "without the sub-chart", "values of the sub-chart"],
)
def test_engine_renders_what_helm_template_renders(values: dict[str, Any], tmp_path: Path) -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not on PATH")
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    done = subprocess.run(
        [
            helm,
            "template",
            "shop",
            str(CHARTS / "web"),
            "-n",
            "prod",
            "-f",
            str(tmp_path / "values.yaml"),
            "--include-crds",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [item for item in yaml.safe_load_all(done.stdout) if item]
    found = render_chart(CHARTS / "web", values, release="shop", namespace="prod", include_crds=True)
    assert sorted(found, key=_identity) == sorted(expected, key=_identity)


def test_hooks_tests_and_definitions_are_left_out_as_asked() -> None:
    everything = render_chart(CHARTS / "web", {}, release="shop", include_crds=True)
    assert ("CustomResourceDefinition", "things.example.org") in map(_identity, everything)
    assert ("Pod", "shop-test") in map(_identity, everything)
    without_tests = render_chart(CHARTS / "web", {}, release="shop", skip_tests=True)
    assert {"Job"} == {item["kind"] for item in without_tests} & {"Job", "Pod", "CustomResourceDefinition"}
    without_hooks = render_chart(CHARTS / "web", {}, release="shop", skip_hooks=True)
    assert not {item["kind"] for item in without_hooks} & {"Job", "Pod"}


def test_a_chart_that_helm_refuses_says_what_helm_says() -> None:
    with pytest.raises(EngineError, match="range can't iterate over 5"):
        render_chart(CHARTS / "web", {"hosts": 5}, release="shop")


def _tree(root: Path, entry: dict[str, Any], **fields: Any) -> Path:
    (root / "kustomization.yaml").write_text(yaml.safe_dump({"namespace": "shop", "helmCharts": [entry], **fields}))
    return root


def _pack(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:gz") as archive:
        archive.add(CHARTS / "web", arcname="web")
    return target


def test_chart_home_of_the_tree_is_rendered_with_the_kustomization_around_it(tmp_path: Path) -> None:
    shutil.copytree(CHARTS / "web", tmp_path / "vendor-charts" / "web")
    entry = {"name": "web", "releaseName": "web", "valuesInline": {"replicas": 4}}
    tree = _tree(tmp_path, entry, helmGlobals={"chartHome": "vendor-charts"}, namePrefix="my-")
    rendered = render_whole(tree)
    deployment = next(item for item in rendered.objects if item.kind == "Deployment")
    assert (deployment.name, deployment.namespace, deployment.spec["replicas"]) == ("my-web", "shop", 4)
    assert deployment.origin.provenance == "chart"
    assert rendered.missing == ()


def test_an_archive_beside_the_tree_is_rendered_and_another_version_is_not(tmp_path: Path) -> None:
    _pack(tmp_path / "charts" / "web-1.2.3.tgz")
    entry = {"name": "web", "releaseName": "web", "repo": "https://charts.example.org", "version": "1.2.3"}
    assert render_whole(_tree(tmp_path, entry)).complete
    other = render_whole(_tree(tmp_path, {**entry, "version": "2.0.0"}), cache=tmp_path / "none")
    assert [(item.what, item.modelled) for item in other.missing] == [
        ("web 2.0.0 from https://charts.example.org", False)
    ]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A chart repository on this machine that has ``web`` 1.2.3."""
    folder = tmp_path / "served"
    archive = _pack(folder / "web-1.2.3.tgz")
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    version = {
        "apiVersion": "v2",
        "name": "web",
        "version": "1.2.3",
        "digest": digest,
        "urls": [f"{url}/web-1.2.3.tgz"],
    }
    (folder / "index.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "entries": {"web": [version]}}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_a_download_happens_only_with_fetch_and_is_locked(served: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    cache = tmp_path / "cache"
    _tree(tree, {"name": "web", "releaseName": "web", "repo": served, "version": "1.2.3"})
    assert not render_whole(tree, cache=cache).complete
    assert not cache.exists()

    fetched = render_whole(tree, cache=cache, fetch=True)
    assert fetched.complete
    archive = next(cache.rglob("web-1.2.3.tgz"))
    locked = yaml.safe_load((tree / "stowplan.lock").read_text())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert locked == {"charts": [{"name": "web", "repo": served, "version": "1.2.3", "sha256": digest}]}

    assert render_whole(tree, cache=cache).complete, "the cache is used without --fetch"
    with tarfile.open(archive, "w:gz") as changed:
        changed.add(CHARTS / "web" / "Chart.yaml", arcname="web/Chart.yaml")
    with pytest.raises(RenderError, match=r"stowplan\.lock says " + digest):
        render_whole(tree, cache=cache)


def test_fetch_without_a_pinned_version_downloads_nothing(served: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    _tree(tree, {"name": "web", "releaseName": "web", "repo": served})
    rendered = render_whole(tree, cache=tmp_path / "cache", fetch=True)
    assert ["no version is pinned" in item.reason for item in rendered.missing] == [True]
    assert not (tmp_path / "cache").exists()


def test_an_umbrella_chart_brings_its_own_objects_and_models_of_what_it_does_not_carry(tmp_path: Path) -> None:
    chart = tmp_path / "charts" / "umbrella"
    (chart / "templates").mkdir(parents=True)
    needs = [{"name": "reflector", "version": "9.1.0", "repository": "https://emberstack.github.io/helm-charts"}]
    needs += [{"name": "unheard-of", "version": "1.0.0", "repository": "https://charts.example.org"}]
    content = {"apiVersion": "v2", "name": "umbrella", "version": "0.1.0", "dependencies": needs}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(content))
    (chart / "values.yaml").write_text("reflector: {replicaCount: 3}\n")
    (chart / "templates" / "map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\n")
    rendered = render_whole(_tree(tmp_path, {"name": "umbrella", "releaseName": "reflector"}), cache=tmp_path / "none")
    found = {(item.kind, item.name): item for item in rendered.objects}
    assert set(found) == {("ConfigMap", "own"), ("Deployment", "reflector")}
    assert found["Deployment", "reflector"].spec["replicas"] == 3
    assert [(item.what.split()[0], item.modelled) for item in rendered.missing] == [
        ("reflector", True),
        ("unheard-of", False),
    ]


def test_a_patch_of_what_only_the_real_chart_makes_leaves_every_model_in_place(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(
        "helmCharts:\n"
        "- {name: metrics-server, repo: https://kubernetes-sigs.github.io/metrics-server/, version: 3.12.2}\n"
        "- {name: reloader, repo: https://stakater.github.io/stakater-charts, version: 1.2.0}\n"
        "patches:\n"
        "- patch: |-\n"
        "    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: only-the-chart-has-it}\n    data: {a: b}\n"
    )
    rendered = render_whole(overlay, repository=tmp_path)
    assert {"metrics-server", "reloader-reloader"} <= {
        item.name for item in rendered.objects if item.kind == "Deployment"
    }
    (absent,) = [entry for entry in rendered.missing if "only-the-chart-has-it" in entry.reason]
    assert "a chart is modelled" in absent.reason
    assert absent.origin.file == "overlay/kustomization.yaml"

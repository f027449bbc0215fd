"""Downloads: from a chart repository and an OCI registry on this machine, only when asked, whole or not at all."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.errors import RenderError
from models.gitops import render_whole
from models.helm import LOCK_FILE, Lock, engine_name
from models.helm.fetch import put_file

CHARTS = Path(__file__).parent / "charts"
pytestmark = pytest.mark.skipif(not engine_name(), reason="neither helm-python-sdk nor a helm binary is installed")


def packed(folder: Path) -> bytes:
    """The archive of the chart ``web`` 1.2.3."""
    file = folder / "web.tgz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(CHARTS / "web", arcname="web")
    return file.read_bytes()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(http.server.BaseHTTPRequestHandler):
    """An OCI registry and a chart repository with one chart; counts what it is asked."""

    content: bytes
    asked: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.asked.append(self.path)
        config = json.dumps({"apiVersion": "v2", "name": "web", "version": "1.2.3"}).encode()
        layer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
        manifest = {
            "schemaVersion": 2,
            "config": self._part("application/vnd.cncf.helm.config.v1+json", config),
            "layers": [self._part(layer, self.content)],
        }
        entry = {"apiVersion": "v2", "name": "web", "version": "1.2.3", "urls": ["web-1.2.3.tgz"]}
        index = yaml.safe_dump({"apiVersion": "v1", "entries": {"web": [entry]}}).encode()
        answers = {
            "/v2/": (b"{}", "application/json"),
            f"/v2/charts/web/blobs/{digest(config)}": (config, "application/json"),
            f"/v2/charts/web/blobs/{digest(self.content)}": (self.content, "application/octet-stream"),
            "/v2/charts/web/tags/list": (b'{"name": "charts/web", "tags": ["1.2.3"]}', "application/json"),
            "/index.yaml": (index, "text/yaml"),
            "/web-1.2.3.tgz": (self.content, "application/gzip"),
        }
        known = json.dumps(manifest).encode()
        for reference in ("1.2.3", digest(known)):
            answers[f"/v2/charts/web/manifests/{reference}"] = (known, "application/vnd.oci.image.manifest.v1+json")
        found, kind = answers.get(self.path, (b"{}", "application/json"))
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(found)))
        self.send_header("Docker-Content-Digest", digest(found))
        self.end_headers()
        if body:
            self.wfile.write(found)

    @staticmethod
    def _part(kind: str, content: bytes) -> dict[str, Any]:
        return {"mediaType": kind, "digest": digest(content), "size": len(content)}

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[str, type[Registry]]]:
    """``127.0.0.1:PORT`` of a server, and its class, whose chart may be changed."""
    handler = type("OneRegistry", (Registry,), {"content": packed(tmp_path), "asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    thread.join()
    server.server_close()


def tree(root: Path, repo: str) -> Path:
    root.mkdir()
    chart = {"name": "web", "releaseName": "shop", "version": "1.2.3", "repo": repo}
    (root / "kustomization.yaml").write_text(yaml.safe_dump({"helmCharts": [chart]}), encoding="utf-8")
    return root


@pytest.mark.parametrize("form", ["oci://{}/charts", "http://{}"])
def test_a_chart_is_downloaded_once_locked_and_then_read_offline(
    form: str, registry: tuple[str, type[Registry]], tmp_path: Path
) -> None:
    address, server = registry
    root, cache = tree(tmp_path / "tree", form.format(address)), tmp_path / "cache"
    assert not render_whole(root, cache=cache).complete
    assert server.asked == [], "nothing is asked without --fetch"
    assert render_whole(root, cache=cache, fetch=True).complete
    archive = next(cache.rglob("web-1.2.3.tgz"))
    assert archive.read_bytes() == server.content
    (entry,) = yaml.safe_load((root / LOCK_FILE).read_text(encoding="utf-8"))["charts"]
    assert entry == {
        "name": "web",
        "repo": form.format(address),
        "version": "1.2.3",
        "sha256": hashlib.sha256(server.content).hexdigest(),
    }
    asked = len(server.asked)
    assert render_whole(root, cache=cache).complete
    assert render_whole(root, cache=cache, fetch=True).complete
    assert len(server.asked) == asked, "the cache answers"


def test_a_release_of_an_oci_repository_is_fetched_as_well(
    registry: tuple[str, type[Registry]], tmp_path: Path
) -> None:
    address, server = registry
    source = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {"url": f"oci://{address}/charts/web", "ref": {"tag": "1.2.3"}},
    }
    release = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "shop", "namespace": "prod"},
        "spec": {"chartRef": {"kind": "OCIRepository", "name": "web"}},
    }
    root = tmp_path / "tree"
    root.mkdir()
    (root / "all.yaml").write_text(yaml.safe_dump_all([source, release]), encoding="utf-8")
    assert [entry.kind for entry in render_whole(root, cache=tmp_path / "cache").missing] == ["chart"]
    assert server.asked == []
    found = render_whole(root, cache=tmp_path / "cache", fetch=True)
    assert found.complete
    assert {item.namespace for item in found.objects if item.kind == "Deployment"} == {"prod"}


def test_another_archive_than_the_locked_one_is_refused(registry: tuple[str, type[Registry]], tmp_path: Path) -> None:
    address, server = registry
    root = tree(tmp_path / "tree", f"http://{address}")
    assert render_whole(root, cache=tmp_path / "cache", fetch=True).complete
    first = hashlib.sha256(server.content).hexdigest()
    (tmp_path / "other").mkdir()
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as archive:
        archive.add(CHARTS / "web" / "Chart.yaml", arcname="web/Chart.yaml")
    server.content = (tmp_path / "other.tgz").read_bytes()
    with pytest.raises(RenderError, match=rf"stowplan\.lock says {first}"):
        render_whole(root, cache=tmp_path / "empty-cache", fetch=True)


def test_a_repository_that_does_not_answer_leaves_no_trace(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    root = tree(tmp_path / "tree", f"http://{address}")
    found = render_whole(root, cache=tmp_path / "cache", fetch=True)
    assert [entry.kind for entry in found.missing] == ["chart"]
    assert "Helm" in found.missing[0].reason
    assert not list(tmp_path.rglob("*.tgz"))
    assert not (root / LOCK_FILE).exists()


def test_nothing_opens_a_socket_without_fetch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    root = tree(tmp_path / "tree", "https://charts.example.com")
    (root / "kustomization.yaml").write_text(
        (root / "kustomization.yaml").read_text(encoding="utf-8") + "resources: [https://example.com/all.yaml]\n",
        encoding="utf-8",
    )
    kinds = [entry.kind for entry in render_whole(root, cache=tmp_path / "cache").missing]
    assert sorted(kinds) == ["chart", "remote"]


def test_a_file_is_written_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = tmp_path / "cache" / "a.tgz"
    put_file(target, b"old")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        put_file(target, b"new")
    assert [path.name for path in target.parent.iterdir()] == ["a.tgz"]
    assert target.read_bytes() == b"old"


def test_a_lock_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    lock = Lock().with_sum(("web", "https://a", "1"), "aa").with_sum(("db", "", "2"), "bb")
    lock.save(tmp_path)
    assert Lock.load(tmp_path) == lock

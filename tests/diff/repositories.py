"""Repositories with real commits: a small media platform whose quota somebody lowers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

QUOTA = """\
apiVersion: v1
kind: ResourceQuota
metadata:
  name: htpc
spec:
  hard:
    requests.cpu: "{cpu}"
"""

KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: htpc
resources:
  - namespace.yaml
  - quota.yaml
  - jellyfin.yaml
  - sonarr.yaml
"""

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: htpc\n"

JELLYFIN = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: jellyfin
spec:
  selector: {matchLabels: {app: jellyfin}}
  template:
    metadata: {labels: {app: jellyfin}}
    spec:
      containers:
        - name: jellyfin
          image: jellyfin/jellyfin:10.9.1
          resources: {requests: {cpu: "1", memory: 1Gi}, limits: {memory: 2Gi}}
          readinessProbe: {tcpSocket: {port: 8096}}
"""

SONARR = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: sonarr
spec:
  selector: {matchLabels: {app: sonarr}}
  strategy: {type: Recreate}
  template:
    metadata: {labels: {app: sonarr}}
    spec:
      initContainers:
        - name: fix-permissions
          image: busybox:1.36
          resources: {requests: {cpu: 50m}}
      containers:
        - name: sonarr
          image: linuxserver/sonarr:4.0.4
          resources: {requests: {cpu: 700m, memory: 512Mi}, limits: {memory: 1Gi}}
          readinessProbe: {tcpSocket: {port: 8989}}
"""

FILES = {
    "home/kustomization.yaml": KUSTOMIZATION,
    "home/namespace.yaml": NAMESPACE,
    "home/quota.yaml": QUOTA.format(cpu=4),
    "home/jellyfin.yaml": JELLYFIN,
    "home/sonarr.yaml": SONARR,
    "README.md": "# my platform\n",
}
"""At rest 1.7 requests.cpu: jellyfin 1, sonarr 0.7. A rollout of jellyfin needs 2.7."""

LOWERED = {"home/quota.yaml": QUOTA.format(cpu=2)}
UNSTATED = {"home/sonarr.yaml": SONARR.replace("          resources: {requests: {cpu: 50m}}\n", "")}

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in ``folder`` with a fixed identity and date: the same commits everywhere."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **_IDENTITY},
    )
    return done.stdout.strip()


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files below ``folder``."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def commit(folder: Path, files: dict[str, str], message: str) -> str:
    """Write files and commit everything; returns the commit's id."""
    write(folder, files)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def repository(folder: Path, change: dict[str, str] | None = None, branch: str = "cut") -> Path:
    """A repository whose branch ``main`` has the platform and whose ``branch``, checked out, has ``change``."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q", "-b", "main", ".")
    commit(folder, FILES, "the platform")
    git(folder, "checkout", "-q", "-b", branch)
    commit(folder, LOWERED if change is None else change, "a change")
    return folder

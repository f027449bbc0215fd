"""Whether a URL means the repository that is being read."""

from __future__ import annotations

import re
from pathlib import Path

_REMOTE = re.compile(r"^\s*url\s*=\s*(\S+)", re.MULTILINE)
_HOSTED = re.compile(r"(?!file:)(?:[\w+.-]+://|(?![A-Za-z]:[\\/])[^/\\:]+:)")
"""``scheme://…`` or scp's ``[user@]host:path``, but neither ``file://`` nor a path, with or without a drive."""


def is_this_repository(repository: Path, url: str) -> bool:
    """True when ``url`` is a remote of the repository, or when that cannot be known.

    A tree without remotes (a copy, an archive), or with none but folders of this machine (a clone of a clone), is taken
    to be what its GitOps objects point at; a fork keeps the last part of the name.
    """
    remotes = _remotes(repository)
    return not url or not remotes or _last(url) in {_last(remote) for remote in remotes}


def _remotes(repository: Path) -> list[str]:
    """The URLs of the remotes that lie on a network: a folder's name tells nothing about where it was hosted."""
    file = repository / ".git" / "config"
    found = _REMOTE.findall(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else []
    return [url for url in found if _HOSTED.match(url)]


def _last(url: str) -> str:
    return re.split(r"[/:]", url.rstrip("/").removesuffix(".git"))[-1].lower()

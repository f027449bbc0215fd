"""Whether a URL means the repository that is being read."""

from __future__ import annotations

import re
from pathlib import Path

_REMOTE = re.compile(r"^\s*url\s*=\s*(\S+)", re.MULTILINE)


def is_this_repository(repository: Path, url: str) -> bool:
    """True when ``url`` is a remote of the repository, or when that cannot be known.

    A tree without remotes (a copy, an archive) is taken to be what its GitOps objects point at; a fork keeps the last
    part of the name.
    """
    remotes = _remotes(repository)
    return not url or not remotes or _last(url) in {_last(remote) for remote in remotes}


def _remotes(repository: Path) -> list[str]:
    file = repository / ".git" / "config"
    return _REMOTE.findall(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else []


def _last(url: str) -> str:
    return re.split(r"[/:]", url.rstrip("/").removesuffix(".git"))[-1].lower()

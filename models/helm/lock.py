"""``stowplan.lock``: which archive a chart was when it was downloaded, so that it stays that one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from models.documents import read_documents
from models.errors import InputError, Problem, Where
from models.helm.fetch import put_file

LOCK_FILE = "stowplan.lock"
Key = tuple[str, str, str]


@dataclass(frozen=True)
class Lock:
    """SHA-256 sums (hexadecimal) of chart archives by name, repository and version."""

    sums: Mapping[Key, str] = field(default_factory=dict)

    @classmethod
    def load(cls, repository: Path) -> Lock:
        """The lock of a repository, empty when it has none. Raises InputError when it is malformed."""
        file = repository / LOCK_FILE
        if not file.is_file():
            return cls()
        documents = read_documents(file, display=LOCK_FILE)
        content = documents[0].value if documents else {}
        entries = content.get("charts") if isinstance(content, dict) else None
        try:
            return cls({(item["name"], item["repo"], str(item["version"])): item["sha256"] for item in entries or []})
        except (KeyError, TypeError) as error:
            raise InputError(
                Problem(Where(LOCK_FILE), "not a list of charts with sums", "delete the file and run with --fetch")
            ) from error

    def with_sum(self, key: Key, digest: str) -> Lock:
        """The lock with one more sum."""
        return Lock({**self.sums, key: digest})

    def save(self, repository: Path) -> None:
        """Write the lock beside the tree."""
        charts = [
            {"name": name, "repo": repo, "version": version, "sha256": digest}
            for (name, repo, version), digest in sorted(self.sums.items())
        ]
        text = "# Charts that were downloaded with --fetch; a changed archive is refused.\n"
        content = text + yaml.safe_dump({"charts": charts}, sort_keys=False)
        put_file(repository / LOCK_FILE, content.encode("utf-8"))

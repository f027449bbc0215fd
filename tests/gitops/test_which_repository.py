"""Which URLs mean the repository that is being read."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.gitops.repository import is_this_repository

ASKED = "https://github.com/example/home.git"


def cloned_from(folder: Path, *remotes: str) -> Path:
    (folder / ".git").mkdir()
    lines = [f'[remote "r{index}"]\n\turl = {url}\n' for index, url in enumerate(remotes)]
    (folder / ".git" / "config").write_text("".join(lines))
    return folder


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/fork/home",
        "git@github.com:someone/home.git",
        "ssh://git@git.example.org:2222/team/home.git",
        # a clone of a clone: nothing is known about where it was hosted
        "/srv/checkouts/main",
        "../main",
        "file:///srv/checkouts/main.git",
        "C:/checkouts/main",
    ],
)
def test_a_fork_or_a_local_clone_is_what_its_objects_point_at(tmp_path: Path, remote: str) -> None:
    assert is_this_repository(cloned_from(tmp_path, remote), ASKED)


@pytest.mark.parametrize("remote", ["https://github.com/example/other.git", "git@github.com:example/other.git"])
def test_a_hosted_remote_of_another_name_is_another_repository(tmp_path: Path, remote: str) -> None:
    assert not is_this_repository(cloned_from(tmp_path, remote, "/srv/checkouts/home"), ASKED)


def test_a_tree_without_remotes_is_what_its_objects_point_at(tmp_path: Path) -> None:
    assert is_this_repository(tmp_path, ASKED)

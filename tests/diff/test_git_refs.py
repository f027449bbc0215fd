"""Commits as folders: what is read, what is contained, what is left alone, and what is said when it cannot be had."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import repositories as repos

from models.errors import InputError
from models.gitrefs import checkout, merge_base, resolve_commit, work_tree


def files_of(folder: Path) -> dict[str, bytes]:
    """Every regular file below ``folder`` with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".git" not in path.parts
    }


def tree_of(repository: Path, entries: list[tuple[str, str, str]]) -> str:
    """A commit of one flat tree, made with ``git mktree``: entries (mode, content or id, name)."""
    lines = []
    for mode, content, name in entries:
        kind = "commit" if mode == "160000" else "blob"
        blob = content
        if kind == "blob":
            made = subprocess.run(
                ["git", "hash-object", "-w", "--stdin"],
                cwd=repository,
                input=content.encode(),
                capture_output=True,
                check=True,
            )
            blob = made.stdout.decode().strip()
        lines.append(f"{mode} {kind} {blob}\t{name}")
    made = subprocess.run(
        ["git", "mktree", "--missing"], cwd=repository, input="\n".join(lines).encode(), capture_output=True, check=True
    )
    return repos.git(repository, "commit-tree", "-m", "odd", made.stdout.decode().strip())


def test_checkout_has_the_bytes_of_the_commit_and_is_removed_afterwards(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    odd = {"dir with space/ü.yaml": "a: ü\r\nb: no end of line"}
    commit = repos.commit(repo, odd, "odd names")
    with checkout(repo, commit) as found:
        kept = found.folder
        assert files_of(kept) == files_of(repo)
        assert found.notes == ()
    assert not kept.exists()


def test_checkout_is_removed_when_the_reader_fails(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    seen: list[Path] = []

    def fail() -> None:
        with checkout(repo, repos.git(repo, "rev-parse", "HEAD")) as found:
            seen.append(found.folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not seen[0].exists()


def test_work_tree_index_and_configuration_stay_as_they_are(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    repos.write(repo, {"home/quota.yaml": "not committed\n", "new.yaml": "a: 1\n"})
    repos.git(repo, "add", "new.yaml")
    before = files_of(repo), (repo / ".git/index").read_bytes(), repos.git(repo, "status", "--porcelain")
    os.utime(repo / "README.md", (1, 1))  # a stale stat entry: git status would refresh the index
    index = (repo / ".git/index").read_bytes()
    with checkout(repo, resolve_commit(repo, "main", "--base")) as found:
        assert (found.folder / "home/quota.yaml").read_text() == repos.QUOTA.format(cpu=4)
    assert (repo / ".git/index").read_bytes() == index
    assert (files_of(repo), before[1], repos.git(repo, "status", "--porcelain")) == before


def test_attributes_filters_and_ignored_exports_of_the_repository_have_no_say(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    marker = tmp_path / "smudged"
    repos.git(repo, "config", "filter.evil.smudge", f"touch {marker}")
    attributes = "secret.yaml export-ignore\nhome/*.yaml filter=evil\nmacro.yaml export-subst\n"
    commit = repos.commit(
        repo, {".gitattributes": attributes, "secret.yaml": "a: 1\n", "macro.yaml": "a: $Format:%H$\n"}, "attributes"
    )
    with checkout(repo, commit) as found:
        assert (found.folder / "secret.yaml").read_text() == "a: 1\n"
        assert (found.folder / "macro.yaml").read_text() == "a: $Format:%H$\n"
        assert (found.folder / "home/quota.yaml").is_file()
    assert not marker.exists()


def test_links_inside_stay_and_links_outside_go_with_a_note(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    commit = tree_of(
        repo,
        [
            ("100644", "a: 1\n", "real.yaml"),
            ("120000", "real.yaml", "inside.yaml"),
            ("120000", "/etc/passwd", "absolute.yaml"),
            ("120000", "../../etc/passwd", "above.yaml"),
            ("120000", ".", "here"),
            ("120000", "here/..", "through"),
        ],
    )
    with checkout(repo, commit) as found:
        names = {path.name for path in found.folder.iterdir()}
        assert names == {"real.yaml", "inside.yaml", "here"}
        assert (found.folder / "inside.yaml").read_text() == "a: 1\n"
        noted = {item.what for item in found.notes}
        assert noted == {"absolute.yaml", "above.yaml", "through"}
        assert {item.reason for item in found.notes} == {"a symbolic link that leads outside of the repository"}


def test_submodules_and_lfs_pointers_are_listed(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n"
    commit = tree_of(repo, [("100644", pointer, "big.yaml"), ("160000", "1" * 40, "charts")])
    with checkout(repo, commit) as found:
        assert [(item.kind, item.what) for item in found.notes] == [("file", "big.yaml"), ("repository", "charts")]
        assert "Git LFS pointer" in found.notes[0].reason
        assert "submodule" in found.notes[1].reason
        assert (found.folder / "big.yaml").read_text() == pointer


@pytest.mark.parametrize("ref", ["main", "v1", "cut~1", "origin-less", "SHORT", "FULL"])
def test_branches_tags_ancestors_and_ids_name_commits(ref: str, tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    full = repos.git(repo, "rev-parse", "main")
    repos.git(repo, "tag", "-a", "v1", "-m", "one", "main")
    repos.git(repo, "branch", "origin-less", "main")
    name = {"SHORT": full[:9], "FULL": full}.get(ref, ref)
    assert resolve_commit(repo, name, "--base") == full


def test_unknown_ref_suggests_the_branches_of_similar_names(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo", branch="feature/quota-cut")
    with pytest.raises(InputError) as caught:
        resolve_commit(repo, "feature/quota-cutt", "--head")
    assert str(caught.value) == (
        "--head feature/quota-cutt: git knows no such commit and there is no such folder\n"
        "    did you mean feature/quota-cut?"
    )


@pytest.mark.parametrize("ref", ["--upload-pack=touch x", "-h", "HEAD^{tree}", "main:README.md", ""])
def test_what_is_no_commit_is_refused_and_never_an_option(ref: str, tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    with pytest.raises(InputError, match="git knows no such commit"):
        resolve_commit(repo, ref, "--base")


def test_folder_without_repository_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not inside a git work tree") as caught:
        work_tree(tmp_path)
    assert "--base ./OLD --head ./NEW" in str(caught.value)


def test_without_git_folders_are_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = repos.repository(tmp_path / "repo")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        work_tree(repo)
    assert str(caught.value) == ("git is not installed\n    install git, or compare folders: --base ./OLD --head ./NEW")


def test_shallow_clone_names_fetch_depth(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    repos.git(tmp_path, "clone", "-q", "--depth", "1", "--no-single-branch", repo.as_uri(), "shallow")
    shallow = tmp_path / "shallow"
    with pytest.raises(InputError, match="fetch-depth: 0"):
        resolve_commit(shallow, repos.git(repo, "rev-parse", "main~0") + "0", "--base")
    base, head = (repos.git(shallow, "rev-parse", name) for name in ("origin/main", "origin/cut"))
    with pytest.raises(InputError, match=r"common ancestor .* shallow clone\n    .*fetch-depth: 0"):
        merge_base(shallow, base, head)


def test_merge_base_is_the_newest_common_ancestor_or_none(tmp_path: Path) -> None:
    repo = repos.repository(tmp_path / "repo")
    fork = repos.git(repo, "rev-parse", "main")
    repos.git(repo, "checkout", "-q", "main")
    ahead = repos.commit(repo, {"later.md": "x\n"}, "later")
    assert merge_base(repo, ahead, repos.git(repo, "rev-parse", "cut")) == fork
    repos.git(repo, "checkout", "-q", "--orphan", "other")
    unrelated = repos.commit(repo, {}, "unrelated")
    assert merge_base(repo, ahead, unrelated) is None

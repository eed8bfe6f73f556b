"""Commits by the real git program."""
from __future__ import annotations

from pathlib import Path

import pytest
from esaas.framework.releases.git import GitError, Repository, split_address

from .repository import CLUSTER, NODE, commit, git

FILES = {"logs/cluster.yaml": CLUSTER, "logs/node.yaml": NODE}


def test_a_local_commit_is_read_and_not_the_working_tree(tmp_path: Path) -> None:
    first = commit(tmp_path / "r", FILES, "first")
    (tmp_path / "r/logs/node.yaml").write_text("count: 99")
    (tmp_path / "r/link.yaml").symlink_to("/etc/passwd")
    with Repository(str(tmp_path / "r")) as repository:
        found = repository.commit()
        assert (found.sha, found.author, found.subject, found.ref) == (
            first, "Ada", "first", "HEAD")
        assert b"99" not in repository.files(found)["logs/node.yaml"]
    git(tmp_path / "r", "add", "link.yaml")
    commit(tmp_path / "r", {}, "a link")
    with Repository(str(tmp_path / "r")) as repository:
        assert "link.yaml" not in repository.files(repository.commit()), "links are left out"


def test_a_branch_a_tag_and_a_commit(tmp_path: Path) -> None:
    home = tmp_path / "r"
    first = commit(home, FILES, "first")
    git(home, "tag", "v1")
    git(home, "checkout", "--quiet", "-b", "feature/more")
    second = commit(home, {"logs/node.yaml": NODE | {"count": 4}}, "second")
    for ref, sha in (("v1", first), ("feature/more", second), (first, first)):
        with Repository(f"{home}@{ref}") as repository:
            assert repository.commit().sha == sha
    with Repository(f"{home}@nowhere") as repository, pytest.raises(GitError, match="nowhere"):
        repository.commit()


def test_a_remote_is_fetched_and_followed(tmp_path: Path) -> None:
    home = tmp_path / "r"
    commit(home, FILES, "first")
    with Repository(f"file://{home}@main") as repository:
        assert repository.commit().subject == "first"
        second = commit(home, {"logs/node.yaml": NODE | {"count": 4}}, "second")
        found = repository.commit()
        assert found.sha == second and b"count: 4" in repository.files(found)["logs/node.yaml"]


@pytest.mark.parametrize(("address", "found"), [
    ("git@example.org:team/es", ("git@example.org:team/es", "HEAD")),
    ("git@example.org:team/es@v1", ("git@example.org:team/es", "v1")),
    ("ssh://git@example.org/team/es", ("ssh://git@example.org/team/es", "HEAD")),
    ("https://me:secret@example.org/es@a/b", ("https://me:secret@example.org/es", "a/b")),
    ("/no/such/path@main", ("/no/such/path@main", "HEAD"))])
def test_addresses(address: str, found: tuple[str, str]) -> None:
    assert split_address(address) == found


@pytest.mark.parametrize("address", [
    "ext::sh -c id", "--upload-pack=id", "http://127.0.0.1:1/es", "/no/such/path",
    "https://me:secret@127.0.0.1:1/es@--output=x"])
def test_what_is_no_safe_way_is_refused(address: str) -> None:
    with pytest.raises(GitError) as caught, Repository(address) as repository:
        repository.commit()
    assert "secret" not in str(caught.value)

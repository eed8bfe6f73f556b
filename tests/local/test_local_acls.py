"""The rules of the master, read as Mesos reads them: the first that matches decides."""

import json
from pathlib import Path
from typing import Any

import pytest
from esaas.local.acls import ADMIN, build_acls, ensure_credentials, read_credentials
from esaas.local.errors import LocalError

ACLS = build_acls({"shop": ["shop"], "all": ["*"]}, user="esaas")


def matches(entity: dict[str, Any], value: str | None) -> bool:
    if entity.get("type") == "ANY":
        return True
    return any(
        value == v or (v.endswith("/%") and value is not None and value.startswith(v[:-1]))
        for v in entity["values"]
    )


def allowed(action: str, principal: str | None, thing: str) -> bool:
    for rule in ACLS[action]:
        subject, *objects = rule.values()
        if matches(subject, principal) and matches(objects[0], thing):
            return True
    return bool(ACLS["permissive"])


@pytest.mark.parametrize("action", ["register_frameworks", "reserve_resources", "create_volumes"])
def test_a_principal_has_its_role_and_what_is_under_it(action: str) -> None:
    assert allowed(action, "shop", "shop")
    assert allowed(action, "shop", "shop/search/x")
    assert not allowed(action, "shop", "shopping")
    assert not allowed(action, "shop", "bank")
    assert not allowed(action, None, "shop")
    assert allowed(action, "all", "bank")
    assert allowed(action, ADMIN, "bank")


@pytest.mark.parametrize("action", ["unreserve_resources", "destroy_volumes"])
def test_what_one_made_only_it_and_admin_undo(action: str) -> None:
    assert allowed(action, "shop", "shop")
    assert not allowed(action, "all", "shop")
    assert allowed(action, ADMIN, "shop")


def test_only_admin_operates() -> None:
    for action in ("update_quotas", "update_weights", "drain_agents", "mark_agents_gone"):
        assert allowed(action, ADMIN, "any")
        assert not allowed(action, "all", "any")


def test_everybody_reads_and_agents_register() -> None:
    for action in ("view_tasks", "view_frameworks", "view_roles", "register_agents"):
        assert allowed(action, None, "any")


def test_tasks_run_as_the_unprivileged_user_only() -> None:
    assert allowed("run_tasks", "shop", "esaas")
    assert not allowed("run_tasks", "shop", "root")


def test_secrets_are_made_once_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first = ensure_credentials(path, ["shop"])
    assert set(first) == {"shop", ADMIN}
    assert path.stat().st_mode & 0o777 == 0o600
    more = ensure_credentials(path, ["shop", "bank"])
    assert more["shop"] == first["shop"] and len(set(more.values())) == 3
    assert read_credentials(path) == more
    assert json.loads(path.read_text())["credentials"][0]["principal"] == "shop"


def test_a_broken_credentials_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text("{}")
    with pytest.raises(LocalError, match=r"credentials\.json"):
        read_credentials(path)

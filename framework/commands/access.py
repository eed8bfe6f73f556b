"""``esaas login``, ``user`` and ``token``: who one is, and for admins everybody else."""
from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import credentials
from .frame import (
    F,
    answer,
    client,
    common,
    problem,
    quoted,
    safe,
    service_url,
    table,
    tell,
    wants_json,
    when,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

ROLES = ("viewer", "operator", "admin")


def password_file(function: F) -> F:
    """``--password-file``."""
    return click.option(
        "--password-file", type=click.File("r", encoding="utf-8"), metavar="FILE",
        help="Take the password from a file, - for standard input; otherwise it is asked for. It "
        "cannot be an argument, which other users of this machine could read.")(function)


def password_from(file: Any, question: str, *, confirm: bool) -> str:
    """A password from a file, or asked for and not shown."""
    if file is None:
        asked: str = click.prompt(question, hide_input=True, confirmation_prompt=confirm, err=True)
        return asked
    try:
        read: str = file.read().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError(f"{file.name} is not UTF-8") from None
    return read


def tenants_of(one: dict[str, Any]) -> str:
    """Somebody's tenants in words."""
    return "all tenants" if one["tenants"] == ["*"] else ", ".join(one["tenants"]) or "no tenant"


@click.command()
@click.option("--user", help="Who you are; otherwise it is asked for.")
@password_file
@common
def login(user: str | None, password_file: Any) -> None:
    """Log in to a service: get a token for this machine and keep it.

    It is good for 30 days, and stored in a file that only you can read.
    """
    name = user or click.prompt("User", err=True)
    password = password_from(password_file, f"Password of {name}", confirm=False)
    made = client("").post("/v1/login", {
        "user": name, "password": password, "token_name": f"esaas on {socket.gethostname()}"[:100]})
    before = credentials.stored(service_url())
    kept = credentials.store(service_url(), {key: made[key] for key in (
        "token", "id", "user", "expires_at")})
    _revoke(before)
    shown = {key: value for key, value in made.items() if key != "token"}
    answer(shown, lambda one: f"You are {safe(one['user'])} at {safe(service_url())}, "
           f"{safe(one['role'])} of {safe(tenants_of(one))}, until {when(one['expires_at'])}. "
           f"The token is in {safe(kept)}.")


def _revoke(token: str) -> bool:
    """End a token of one's own; whether it was good for something."""
    from ..client import Refused

    if not token:
        return False
    try:
        client(token).post("/v1/logout")
    except Refused as error:
        if error.status not in (401, 409):
            raise
        return False
    return True


@click.command()
@common
def logout() -> None:
    """Revoke the token that login has stored, and forget it."""
    _revoke(credentials.stored(service_url()))
    gone = credentials.forget(service_url())
    answer({"logged_out": gone}, lambda _: "Logged out." if gone else
           f"You were not logged in at {safe(service_url())}.")


@click.command()
@common
def whoami() -> None:
    """Who the service takes you for, and what you may do."""
    answer(client().get("/v1/me"), lambda one: f"{safe(one['name'])}, {safe(one['role'])} of "
           f"{safe(tenants_of(one))}")


# ---- users ------------------------------------------------------------------------------------

def rights(function: F) -> F:
    """``--role`` and ``--tenant``."""
    role = click.option("--role", type=click.Choice(ROLES), required=True,
                        help="viewer sees, operator changes clusters, admin does everything.")
    return role(_tenant(function))


def _tenant(function: F) -> F:
    return click.option("--tenant", "tenants", multiple=True, metavar="NAME",
                        help="A tenant whose clusters it is about; repeat for more; * for all. An "
                        "admin has all.")(function)


def rights_body(role: str, tenants: tuple[str, ...]) -> dict[str, Any]:
    """Role and tenants as the API takes them."""
    return {"role": role} | ({"tenants": list(tenants)} if tenants else {})


def users_table(found: list[dict[str, Any]]) -> RenderableType:
    """Users for people."""
    made = table("user", "role", "tenants", "", "password set at")
    for one in found:
        made.add_row(safe(one["name"]), safe(one["role"]), safe(tenants_of(one)),
                     "[yellow]disabled[/]" if one["disabled"] else "",
                     when(one["password_set_at"]))
    return made


@click.group()
@common
def user() -> None:
    """Who may log in, and as what; for admins, but for one's own password."""


@user.command("list")
@common
def list_users() -> None:
    """Everybody who may log in."""
    answer(client().get("/v1/users"), users_table)


@user.command()
@click.argument("name")
@rights
@password_file
@common
def add(name: str, role: str, tenants: tuple[str, ...], password_file: Any) -> None:
    """Let somebody log in."""
    password = password_from(password_file, f"Password for {name}", confirm=True)
    answer(client().post("/v1/users", rights_body(role, tenants) | {
        "name": name, "password": password}), lambda one: users_table([one]))


@user.command("set")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), help="Another role.")
@_tenant
@click.option("--disable/--enable", "disabled", default=None,
              help="Whether he may log in; to disable logs him out everywhere.")
@common
def set_(name: str, role: str | None, tenants: tuple[str, ...], disabled: bool | None) -> None:
    """Change somebody's role, tenants, or whether he may log in; it holds at once."""
    body = {key: value for key, value in (
        ("role", role), ("tenants", list(tenants) or None), ("disabled", disabled))
        if value is not None}
    if not body:
        raise click.UsageError("nothing to change: give --role, --tenant, --disable or --enable")
    answer(client().patch(f"/v1/users/{quoted(name)}", body), lambda one: users_table([one]))


@user.command()
@click.argument("name")
@common
def remove(name: str) -> None:
    """Remove somebody with all his tokens."""
    answer(client().delete(f"/v1/users/{quoted(name)}"),
           lambda one: f"{safe(one['name'])} is removed, with all tokens of his.")


@user.command("password")
@click.argument("name", required=False)
@password_file
@click.option("--old-password-file", type=click.File("r", encoding="utf-8"), metavar="FILE",
              help="As --password-file, for your own password until now.")
@common
def set_password(name: str | None, password_file: Any, old_password_file: Any) -> None:
    """Set somebody's password as an admin; without NAME your own.

    Whoever was logged in with the old one is logged out.
    """
    if name is None:
        old = password_from(old_password_file, "Your password until now", confirm=False)
        new = password_from(password_file, "Your new password", confirm=True)
        answer(client().post("/v1/me/password", {"old": old, "new": new}),
               lambda one: f"The password of {safe(one['name'])} is changed.")
        return
    new = password_from(password_file, f"New password of {name}", confirm=True)
    answer(client().post(f"/v1/users/{quoted(name)}/password", {"password": new}),
           lambda one: f"The password of {safe(one['name'])} is set.")


@user.command("reset-admin")
@click.option("--state-dir", envvar="ESAAS_STATE_DIR", show_envvar=True, metavar="DIR",
              default="~/.local/state/esaas", show_default=True,
              help="The state directory of the service, which must not run.")
@common
def reset_admin(state_dir: str) -> None:
    """Give the user admin a new password, on the service's own host, while it is stopped.

    For when nobody can log in any more. Run it as the user that the service runs as. The password
    is written to admin-password in the state directory.
    """
    from ..core.errors import EsaasError
    from ..service.access.offline import reset_admin as reset

    try:
        file = reset(Path(state_dir).expanduser())
    except (EsaasError, OSError) as error:
        tell(problem("cannot_reset", str(error)), f"Error: {error}")
        click.get_current_context().exit(1)
    answer({"user": "admin", "password_file": str(file)},
           lambda one: f"admin has the password in {safe(one['password_file'])}.")


# ---- tokens -----------------------------------------------------------------------------------

@click.group()
@common
def token() -> None:
    """Tokens of machines and people; for admins."""


@token.command("list")
@common
def list_tokens() -> None:
    """All tokens, without their values."""
    def render(found: list[dict[str, Any]]) -> RenderableType:
        made = table("id", "name", "role", "tenants", "of", "used", "expires")
        for one in found:
            made.add_row(safe(one["id"]), safe(one["name"]), safe(one["role"]),
                         safe(tenants_of(one)), safe(one["user"] or "a machine"),
                         *(when(at) if at else "-" for at in (
                             one["last_used_at"], one["expires_at"])))
        return made if found else "There is no token."
    answer(client().get("/v1/tokens"), render)


@token.command()
@click.argument("name")
@rights
@click.option("--expires", metavar="TIME", help="Good for so long, such as 12h or 90d; otherwise "
              "until it is revoked.")
@common
def create(name: str, role: str, tenants: tuple[str, ...], expires: str | None) -> None:
    """Make a token for a machine; it is printed this once."""
    from ..words import seconds_of

    body = rights_body(role, tenants) | {"name": name}
    if expires is not None:
        try:
            body["expires_in_s"] = seconds_of(expires)
        except ValueError as error:
            raise click.UsageError(f"--expires takes {error}") from error
    made = client().post("/v1/tokens", body)
    if not wants_json():
        click.echo(f"{made['name']} has the id {made['id']}. The token is not shown again:",
                   err=True)
        click.echo(made["token"])
        return
    answer(made, lambda _: "")


@token.command()
@click.argument("ident", metavar="ID")
@common
def revoke(ident: str) -> None:
    """A token is good for nothing any more; the ids: esaas token list."""
    answer(client().delete(f"/v1/tokens/{quoted(ident)}"),
           lambda one: f"{safe(one['name'])} is revoked.")

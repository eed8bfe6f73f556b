"""The part of the REST API about people: who one is, users, tokens."""
from __future__ import annotations

from esaas.framework.service.access.people import Role
from esaas.framework.service.access.requests import (
    LoginRequest,
    NewPassword,
    NewToken,
    NewUser,
    OwnPassword,
    UserChange,
)
from esaas.framework.service.access.views import (
    MeView,
    TokenMade,
    TokenView,
    UserView,
    me_view,
)
from esaas.framework.service.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooManyTries,
    Unauthenticated,
    Unavailable,
)

from .route import BODY, Answer, Call, Reply, Route, change, get

USER, TOKEN = "/v1/users/{user}", "/v1/tokens/{token}"
DONE = {200: Answer("done", UserView)}


async def me(call: Call) -> Reply:
    """``GET /v1/me``; a session learns here what its changes must send as ``X-XSRFToken``."""
    headers = {"X-XSRFToken": call.xsrf_token()} if call.principal.session else {}
    return Reply(me_view(call.principal), headers=headers)


async def login(call: Call) -> Reply:
    """``POST /v1/login``."""
    wanted = call.body
    return Reply(await call.context.access.login_for_token(
        wanted.user, wanted.password.get_secret_value(), call.remote, wanted.token_name), 201)


async def logout(call: Call) -> Reply:
    """``POST /v1/logout``."""
    await call.context.access.logout(call.principal)
    return Reply(me_view(call.principal))


async def own_password(call: Call) -> Reply:
    """``POST /v1/me/password``."""
    wanted = call.body
    session = await call.context.access.change_own_password(
        call.principal, wanted.old.get_secret_value(), wanted.new.get_secret_value(), call.remote)
    return Reply(me_view(call.principal), session=session)


async def users(call: Call) -> Reply:
    """``GET /v1/users``."""
    return Reply(await call.context.access.users())


async def add_user(call: Call) -> Reply:
    """``POST /v1/users``."""
    return Reply(await call.context.access.add_user(call.body), 201)


async def change_user(call: Call) -> Reply:
    """``PATCH /v1/users/{user}``."""
    return Reply(await call.context.access.change_user(call.path["user"], call.body))


async def remove_user(call: Call) -> Reply:
    """``DELETE /v1/users/{user}``."""
    return Reply(await call.context.access.remove_user(call.path["user"]))


async def set_password(call: Call) -> Reply:
    """``POST /v1/users/{user}/password``."""
    return Reply(await call.context.access.set_password(
        call.path["user"], call.body.password.get_secret_value()))


async def tokens(call: Call) -> Reply:
    """``GET /v1/tokens``."""
    return Reply(await call.context.access.tokens())


async def create_token(call: Call) -> Reply:
    """``POST /v1/tokens``."""
    return Reply(await call.context.access.create_token(call.body, call.principal), 201)


async def revoke_token(call: Call) -> Reply:
    """``DELETE /v1/tokens/{token}``."""
    return Reply(await call.context.access.revoke_token(call.path["token"]))


ACCESS_ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/login", "login", "Get a token for the command line by user and password",
          login, {201: Answer("the token, which is never shown again", TokenMade)}, role=None,
          refuses=(*BODY, Unauthenticated, Invalid, TooManyTries, Unavailable), body=LoginRequest,
          secret=True),
    Route("POST", "/v1/logout", "logout", "End the session, or the token of one's own, that this "
          "request comes with", logout, {200: Answer("who was logged in", MeView)},
          role=Role.VIEWER, refuses=(*BODY, NotFound, Conflict, Unavailable)),
    get("/v1/me", me, "whoAmI", "Who asks, and what he may do; a session finds in the header "
        "X-XSRFToken what its changes must send there", MeView),
    Route("POST", "/v1/me/password", "changeOwnPassword", "Change one's own password; all else "
          "that one was logged in with ends", own_password,
          {200: Answer("who has a new password", MeView)}, role=Role.VIEWER, body=OwnPassword,
          refuses=(*BODY, Forbidden, Invalid, TooManyTries, Unavailable), secret=True),
    get("/v1/users", users, "listUsers", "Everybody who may log in", list[UserView],
        role=Role.ADMIN),
    Route("POST", "/v1/users", "addUser", "Let somebody log in", add_user,
          {201: Answer("who may log in from now on", UserView)}, role=Role.ADMIN, body=NewUser,
          refuses=(*BODY, Conflict, Invalid, Unavailable), secret=True),
    change("PATCH", USER, change_user, "changeUser", "Change role, tenants, or whether somebody "
           "may log in", body=UserChange, answers=DONE, role=Role.ADMIN),
    change("DELETE", USER, remove_user, "removeUser", "Remove a user with his tokens",
           answers=DONE, role=Role.ADMIN),
    change("POST", f"{USER}/password", set_password, "setPassword", "Set somebody's password; he "
           "is logged out everywhere", body=NewPassword, answers=DONE, role=Role.ADMIN,
           secret=True),
    get("/v1/tokens", tokens, "listTokens", "All tokens without their values, newest first",
        list[TokenView], role=Role.ADMIN),
    Route("POST", "/v1/tokens", "createToken", "Make a token for a machine", create_token,
          {201: Answer("the token, which is never shown again", TokenMade)}, role=Role.ADMIN,
          refuses=(*BODY, Conflict, Invalid, Unavailable), body=NewToken),
    change("DELETE", TOKEN, revoke_token, "revokeToken", "A token is good for nothing any more",
           answers={200: Answer("done", TokenView)}, role=Role.ADMIN),
)

"""The part of the REST API for people on call: steps, nodes, switches, operations, secrets."""
from __future__ import annotations

from urllib.parse import quote

from esaas.framework.core.spec import Plugin
from esaas.framework.service.views import CredentialsView, OperationView, SecretView

from .models import (
    ChangeQuery,
    ConfirmRequest,
    ForceRequest,
    OverrideQuery,
    RunRequest,
    SecretsRequest,
    SwitchRequest,
)
from .route import CLUSTER, Answer, Call, Reply, change, get, post, taken

STEP = f"{CLUSTER}/plan/steps/{{step}}"
NODE = f"{CLUSTER}/nodes/{{node}}"
SWITCH = f"{CLUSTER}/switches/{{switch}}"
TOLD = {200: Answer("never kept on the way", CredentialsView)}
BEGUN = {202: Answer("recorded; what comes of it is listed with the operations", OperationView)}


async def abandon(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/abandon``."""
    dry_run = call.query.dry_run
    return taken(await call.service.abandon(
        call.name, dry_run=dry_run, override=call.query.override), dry_run=dry_run)


async def force_step(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/plan/steps/{step}/force``."""
    return taken(await call.service.force_step(
        call.name, call.path["step"], call.body.gate, call.body.confirm))


async def restart_step(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/plan/steps/{step}/restart``."""
    return taken(await call.service.restart_step(call.name, call.path["step"]))


async def replace(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/nodes/{node}/replace``."""
    dry_run = call.query.dry_run
    return taken(await call.service.replace(
        call.name, call.path["node"], call.body.confirm, dry_run=dry_run), dry_run=dry_run)


async def keep(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/nodes/{node}/keep``."""
    return taken(await call.service.keep(call.name, call.path["node"]))


async def hold_node(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/nodes/{node}/pause``."""
    return taken(await call.service.hold_node(call.name, call.path["node"], True))


async def release_node(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/nodes/{node}/continue``."""
    return taken(await call.service.hold_node(call.name, call.path["node"], False))


async def set_switch(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/switches/{switch}``."""
    return taken(await call.service.set_switch(
        call.name, call.path["switch"], call.body.text, call.body.timeout_s))


async def restore_switch(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/switches/{switch}/restore``."""
    return taken(await call.service.restore_switch(call.name, call.path["switch"]))


async def operations(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/operations``."""
    return Reply(call.service.operations(call.name))


async def run(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/operations``."""
    begun = await call.service.run(call.name, call.body.kind, call.body.parameters())
    return Reply(begun, 202, {"Location": f"/v1/clusters/{quote(call.name)}/operations"})


async def secrets(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/secrets``."""
    return Reply(call.service.secrets(call.name))


async def set_secrets(call: Call) -> Reply:
    """``PUT /v1/clusters/{name}/secrets``."""
    return taken(await call.service.set_secrets(call.name, dict(call.body.root)))


async def credentials(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/credentials``."""
    return Reply(await call.service.credentials(call.name), headers={"Cache-Control": "no-store"})


async def rotate_certificates(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/rotate-certificates``."""
    return taken(await call.service.rotate_certificates(call.name))


async def install_plugin(call: Call) -> Reply:
    """``POST /v1/clusters/{name}/plugins``."""
    dry_run = call.query.dry_run
    return taken(await call.service.install_plugin(call.name, call.body, dry_run=dry_run),
                 dry_run=dry_run)


async def remove_plugin(call: Call) -> Reply:
    """``DELETE /v1/clusters/{name}/plugins/{plugin}``."""
    dry_run = call.query.dry_run
    return taken(await call.service.remove_plugin(
        call.name, call.path["plugin"], dry_run=dry_run), dry_run=dry_run)


OPERATE_ROUTES = (
    post(f"{CLUSTER}/abandon", abandon, "abandonChange", "Give up the change under way: want the "
         "last settled revision again, as a new one", query=OverrideQuery),
    post(f"{STEP}/force", force_step, "forceStep", "Go past one gate that holds a step; recorded",
         body=ForceRequest),
    post(f"{STEP}/restart", restart_step, "restartStep", "Begin a step anew, at once"),
    post(f"{NODE}/replace", replace, "replaceNode", "Another node takes its place elsewhere; then "
         "it is drained, and its volume destroyed", query=ChangeQuery, body=ConfirmRequest),
    post(f"{NODE}/keep", keep, "keepNode",
         "Take a replacement back, while the node has not been stopped"),
    post(f"{NODE}/pause", hold_node, "pauseNode", "Stop Elasticsearch on a node, gated; sandbox "
         "and volume stay for debugging"),
    post(f"{NODE}/continue", release_node, "continueNode", "Start a node again that was paused"),
    post(SWITCH, set_switch, "setSwitch", "Set allocation, rebalance or read_only, until a "
         "time-out or until it is restored", body=SwitchRequest),
    post(f"{SWITCH}/restore", restore_switch, "restoreSwitch",
         "Let a switch go back to what it was, now"),
    get(f"{CLUSTER}/operations", operations, "listOperations",
        "What was done once, newest first", list[OperationView]),
    post(f"{CLUSTER}/operations", run, "runOperation", "Do something once: flush, clear caches, "
         "merge segments, try failed allocations again", body=RunRequest, answers=BEGUN),
    get(f"{CLUSTER}/secrets", secrets, "listSecrets", "Secure settings by name, never their "
        "values", list[SecretView]),
    change("PUT", f"{CLUSTER}/secrets", set_secrets, "setSecrets", "Set secure settings or take "
           "them out, node by node; nothing ever answers a value", body=SecretsRequest,
           secret=True),
    post(f"{CLUSTER}/credentials", credentials, "showCredentials", "User, password and "
         "certificate authority of a secured cluster; that somebody asked is recorded",
         answers=TOLD, secret=True),
    post(f"{CLUSTER}/rotate-certificates", rotate_certificates, "rotateCertificates",
         "Give every node of a secured cluster a new certificate, node by node and gated"),
    post(f"{CLUSTER}/plugins", install_plugin, "installPlugin", "Want one more plugin, or another "
         "source of it", query=ChangeQuery, body=Plugin, check_body=False),
    change("DELETE", f"{CLUSTER}/plugins/{{plugin}}", remove_plugin, "removePlugin",
           "Want a plugin no more", query=ChangeQuery),
)

"""What requests are called in the operation log, and what they are about."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Routes and pages whose own name says it differently; for the others it is their name.
ROUTE_OPERATIONS = {
    "scaleCluster": "scale", "rollbackCluster": "roll_back", "setSwitch": "edit_switch",
    "drainAgent": "drain_host", "restoreAgent": "restore_host",
    "changeOwnPassword": "change_password",
}
PAGE_OPERATIONS = {
    "Create": "create_cluster", "Edit": "update_cluster", "Delete": "delete_cluster",
    "Rollback": "roll_back", "Pause": "pause_cluster", "Continue": "continue_cluster",
    "Restart": "restart", "Abandon": "abandon_change", "Force": "force_step",
    "Replace": "replace_node", "Keep": "keep_node", "Hold": "pause_node",
    "Release": "continue_node", "Switch": "edit_switch", "Run": "run_operation",
    "Secrets": "set_secrets", "Plugins": "change_plugins", "Account": "change_password",
    "Users": "add_user", "OneUser": "change_user", "Tokens": "create_token",
    "Revoke": "revoke_token", "AckAlert": "acknowledge_alert", "SilenceAlerts": "add_silence",
    "EndSilence": "remove_silence",
}
# What pages ask the service for, by its method.
METHODS = {
    "create": "create_cluster", "update": "update_cluster", "delete": "delete_cluster",
    "rollback": "roll_back", "abandon": "abandon_change", "replace": "replace_node",
    "keep": "keep_node", "set_switch": "edit_switch", "reregister": "reregister_cluster",
    "drain_agent": "drain_host", "restore_agent": "restore_host",
    "credentials": "show_credentials", "login_for_token": "login",
    "change_own_password": "change_password", "acknowledge": "acknowledge_alert",
    "test_sinks": "test_alert_sinks",
}
RUNS = {"flush": "flush", "clear_cache": "cache_clear", "force_merge": "force_merge",
        "reroute_retry": "reroute", "snapshot": "snapshot", "restore": "restore",
        "restore_drill": "restore_drill"}
SUBJECTS = ("node", "switch", "user", "token", "host", "plugin", "step", "orphan", "ident")
READS = frozenset({"events", "revisions", "users", "tokens", "fresh", "hotspots", "snapshots",
                   "housekeeping", "autoscale",
                   "releases", "release", "followers", "platform",
                   "alerts", "alert_history", "silences",
                   "logs", "log_text", "log_hits"})
PEOPLE = frozenset({"add_user", "change_user", "set_password", "remove_user", "create_token",
                    "revoke_token", "change_password"})


def snake(name: str) -> str:
    """``restartNode`` as ``restart_node``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def route_operation(name: str, declared: str, body: Any) -> str:
    """The operation of a route; a run is called by its kind."""
    if name == "runOperation":
        kind = body.get("kind") if isinstance(body, dict) else getattr(body, "kind", None)
        return RUNS.get(str(kind), "run_operation")
    return declared or ROUTE_OPERATIONS.get(name) or snake(name)


def method_operation(method: str, given: Mapping[str, Any]) -> str:
    """The operation of a method of the service with its arguments."""
    if method == "pause":
        return "pause_cluster" if given.get("paused") else "continue_cluster"
    if method == "hold_node":
        return "pause_node" if given.get("held") else "continue_node"
    if method == "restart":
        return "restart_node" if given.get("node") else "restart_cluster"
    if method == "run":
        return RUNS.get(str(given.get("kind")), "run_operation")
    return METHODS.get(method, method)


def page_operation(kind: type) -> str:
    """The operation of a page, for what is refused before it asks the service for anything."""
    return PAGE_OPERATIONS.get(kind.__name__) or snake(kind.__name__)


def subject_of(given: Mapping[str, Any]) -> str:
    """What of a cluster or of the service something is about."""
    for name in SUBJECTS:
        if isinstance(given.get(name), str) and given[name]:
            return str(given[name])
    return ""

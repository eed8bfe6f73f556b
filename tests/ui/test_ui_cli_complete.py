"""Whatever the API can do, the command line can, too; what it cannot has a reason here."""
from __future__ import annotations

from collections.abc import Iterator

import click
from esaas.framework.cli import main
from esaas.ui.routes import ROUTES

COMMANDS = {
    "abandonChange": "cluster abandon", "acknowledgeAlert": "alert ack",
    "addSilence": "alert silence add", "addUser": "user add", "applyHotspot": "hotspots apply",
    "beginRelease": "release apply", "changeOwnPassword": "user password",
    "changeUser": "user set", "continueCluster": "cluster continue",
    "continueNode": "cluster node continue", "createCluster": "cluster create",
    "createFromTemplate": "cluster make", "createToken": "token create",
    "deleteCluster": "cluster delete", "drainAgent": "agent drain", "exportLog": "log export",
    "forceStep": "cluster step force", "installPlugin": "plugin install",
    "keepNode": "cluster node keep", "listAgents": "agent list",
    "listAlertHistory": "alert history", "listAlerts": "alert list",
    "listAllEndpoints": "haproxy", "listAllEvents": "cluster events",
    "listClusters": "cluster list", "listEndpoints": "cluster endpoints",
    "listEvents": "cluster events", "listFollowers": "release followers",
    "findInLog": "logs",
    "listHostLoad": "agent load", "listLogs": "logs",
    "listNodes": "cluster nodes", "listOffers": "cluster offers",
    "listOperations": "cluster operations", "listReleases": "release list",
    "listRevisions": "cluster revisions", "listSecrets": "secret list",
    "listSilences": "alert silence list", "listTemplates": "spec templates",
    "listTenants": "tenant list", "listTokens": "token list", "listUsers": "user list",
    "login": "login", "logout": "logout", "makeSpec": "spec make",
    "pauseCluster": "cluster pause", "pauseNode": "cluster node pause",
    "readLog": "logs", "recordOutcome": "release apply", "releaseOrphan": "agent release-orphan",
    "removeFollower": "release followers", "removePlugin": "plugin remove",
    "removeSilence": "alert silence remove", "removeTenant": "tenant remove",
    "removeUser": "user remove", "replaceNode": "cluster node replace",
    "reportFollower": "release follow", "reregisterCluster": "cluster reregister",
    "restartCluster": "cluster restart", "restartNode": "cluster restart",
    "restartStep": "cluster step restart", "restoreAgent": "agent restore",
    "restoreSwitch": "cluster switch restore", "revokeToken": "token revoke",
    "rollbackCluster": "cluster rollback", "rotateCertificates": "cluster rotate-certificates",
    "runOperation": "cluster flush", "scaleCluster": "cluster scale", "searchLog": "log",
    "setPassword": "user password", "setSecrets": "secret set", "setSwitch": "cluster switch set",
    "setTenant": "tenant set", "showAgent": "agent list", "showAlert": "alert show",
    "showAutoscale": "cluster autoscale",
    "showCluster": "cluster show", "showCredentials": "secret credentials",
    "showDelivery": "cluster facts", "showHostSeries": "agent load",
    "showHostSpots": "hotspots hosts", "showHotspots": "hotspots show",
    "showHousekeeping": "cluster housekeeping",
    "showPlan": "cluster plan", "showPlatform": "platform", "showRelease": "release show",
    "showSeries": "cluster chart", "showSnapshots": "cluster snapshots",
    "showTenant": "tenant show", "streamAllEvents": "top",
    "streamEvents": "cluster events", "testAlertSinks": "alert test",
    "updateCluster": "cluster update", "verifyLog": "log verify", "whoAmI": "whoami",
    "status": "platform",
}
WITHOUT = {
    "fetchExecutor": "agents fetch it", "health": "load balancers ask for it",
    "openapi": "programs read it", "scrapeMetrics": "Prometheus reads it"}


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command by its words."""
    yield " ".join(path)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


def test_every_operation_has_a_command() -> None:
    operations = {route.name for route in ROUTES}
    assert operations == COMMANDS.keys() | WITHOUT.keys()
    assert not COMMANDS.keys() & WITHOUT.keys()
    known = set(commands(main))
    assert sorted(set(COMMANDS.values()) - known) == []

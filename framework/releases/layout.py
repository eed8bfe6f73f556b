"""The files of a repository as cluster specs; every fault of every file at once.

::

    CLUSTER/cluster.yaml             the cluster's own fields; its name is the folder's
    CLUSTER/GROUP.yaml               a node group; its name is the file's
    environments/ENV/defaults.yaml   over every cluster
    environments/ENV/CLUSTER/...     over the files of the same names

YAML or JSON, by the ending. What lies over something else is merged into it: objects field by
field, everything else replaces what was there, and null takes a field out.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from ..core.errors import EsaasError
from ..core.spec import ClusterSpec, SpecFaults, parse_spec

ENVIRONMENTS = "environments"
DEFAULTS, CLUSTER = "defaults", "cluster"
ENDINGS = (".yaml", ".yml", ".json")
MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class FileFault:
    """What is wrong with a file; ``path`` is the field in it, empty for all of it."""

    file: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.path + ': ' if self.path else ''}{self.message}"


class LayoutFaults(EsaasError):
    """Everything that is wrong with the files, a line each."""

    def __init__(self, faults: list[FileFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def merged(under: Any, over: Any) -> Any:
    """``over`` laid over ``under``; neither is changed."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    found = {key: value for key, value in under.items() if key not in over}
    for key, value in over.items():
        if value is not None:
            found[key] = merged(under[key], value) if key in under else _without_null(value)
    return found


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return value


def specs_of(files: Mapping[str, bytes], environment: str = "") -> dict[str, ClusterSpec]:
    """The specs of all clusters by name; ``files`` by path from the root of the repository.

    Raises LayoutFaults. Files that belong to no cluster are left alone.
    """
    faults: list[FileFault] = []
    parsed = _parsed(files, environment, faults)
    places = {path.parts[:-1] for path in parsed}
    if environment and not any(place[:2] == (ENVIRONMENTS, environment) for place in places):
        known = sorted({path.split("/")[1] for path in files
                        if path.startswith(f"{ENVIRONMENTS}/") and path.count("/") > 1})
        faults.append(FileFault(f"{ENVIRONMENTS}/{environment}", "", "there is no such environment"
                                f"; there are: {', '.join(known) or 'none'}"))
    found = {}
    for name in sorted({path.parts[0] for path in parsed
                        if len(path.parts) == 2 and path.stem == CLUSTER}):
        spec = _spec(name, parsed, environment, faults)
        if spec is not None:
            found[name] = spec
    faults += _groups_of_nothing(parsed, environment, found, faults)
    if not found and not faults:
        faults.append(FileFault("", "", "no folder holds a cluster.yaml"))
    if faults:
        raise LayoutFaults(faults)
    return found


def _parsed(files: Mapping[str, bytes], environment: str,
            faults: list[FileFault]) -> dict[PurePosixPath, dict[str, Any]]:
    """What the files hold that count in this environment, by path without ending."""
    found: dict[PurePosixPath, dict[str, Any]] = {}
    for name, data in sorted(files.items()):
        path = PurePosixPath(name)
        if path.suffix not in ENDINGS or not _counts(path, environment):
            continue
        stem = path.with_suffix("")
        if stem in found:
            faults.append(FileFault(name, "", "the same file stands there with another ending"))
            continue
        value = _content(name, data, faults)
        if value is not None:
            found[stem] = value
    return found


def _counts(path: PurePosixPath, environment: str) -> bool:
    parts = path.parts
    if parts[0].startswith("."):
        return False
    if parts[0] == ENVIRONMENTS:
        return bool(environment) and len(parts) in (3, 4) and parts[1] == environment
    return len(parts) == 2


def _content(name: str, data: bytes, faults: list[FileFault]) -> dict[str, Any] | None:
    if len(data) > MAX_FILE_BYTES:
        faults.append(FileFault(name, "", f"larger than {MAX_FILE_BYTES} bytes"))
        return None
    try:
        value = json.loads(data) if name.endswith(".json") else yaml.safe_load(data)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        faults.append(FileFault(name, "", f"neither YAML nor JSON: {error}"))
        return None
    if not isinstance(value, dict):
        faults.append(FileFault(name, "", f"must hold an object, not {type(value).__name__}"))
        return None
    return value


def _spec(name: str, parsed: Mapping[PurePosixPath, dict[str, Any]], environment: str,
          faults: list[FileFault]) -> ClusterSpec | None:
    """One cluster out of its files; its faults are told with the file that they are of."""
    own, over = PurePosixPath(name), PurePosixPath(ENVIRONMENTS, environment, name)
    body = dict(parsed[own / CLUSTER])
    before = len(faults)
    if "groups" in body:
        faults.append(FileFault(f"{name}/cluster", "groups", "each group is a file of its own"))
    if body.setdefault("name", name) != name:
        faults.append(FileFault(f"{name}/cluster", "name", f"the folder is called {name}"))
    for layer in (PurePosixPath(ENVIRONMENTS, environment, DEFAULTS), over / CLUSTER):
        body = merged(body, parsed.get(layer, {}))
    groups: dict[str, dict[str, Any]] = {}
    for place in (own, over):
        for path in parsed:
            if path.parent == place and path.name != CLUSTER:
                groups[path.name] = merged(groups.get(path.name, {}), parsed[path])
    names = sorted(groups, key=lambda one: ("master" not in groups[one].get("roles", ["master"]),
                                            one))
    for one in names:
        if groups[one].setdefault("name", one) != one:
            faults.append(FileFault(f"{name}/{one}", "name", f"the file is called {one}"))
    if len(faults) > before:
        return None
    try:
        return parse_spec(body | {"groups": [groups[one] for one in names]})
    except SpecFaults as error:
        faults += [_located(name, names, fault.path, fault.message) for fault in error.faults]
        return None


def _located(name: str, groups: list[str], path: str, message: str) -> FileFault:
    """A fault of a spec with the file of its group."""
    if path.startswith("groups["):
        number, _, field = path.removeprefix("groups[").partition("]")
        return FileFault(f"{name}/{groups[int(number)]}", field.lstrip("."), message)
    return FileFault(f"{name}/cluster", "" if path == "(body)" else path, message)


def _groups_of_nothing(parsed: Mapping[PurePosixPath, Any], environment: str,
                       found: Mapping[str, ClusterSpec],
                       faults: list[FileFault]) -> list[FileFault]:
    """Overlays of clusters that are not there: a slip in a name must not go unseen."""
    known = set(found) | {fault.file.split("/")[0] for fault in faults}
    return [FileFault(str(path), "", f"there is no cluster {path.parts[2]}")
            for path in parsed if len(path.parts) == 4 and path.parts[0] == ENVIRONMENTS
            and path.parts[2] not in known]


def in_order(specs: Mapping[str, ClusterSpec]) -> list[str]:
    """Clusters after those that they search; by name where that does not matter."""
    found: list[str] = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name in found or name not in specs or name in way:
            return                          # those that search each other go by name
        for remote in sorted(item.cluster or "" for item in specs[name].remotes):
            visit(remote, (*way, name))
        found.append(name)

    for name in sorted(specs):
        visit(name, ())
    return found


def chosen_groups(running: Mapping[str, Any], wanted: ClusterSpec,
                  groups: tuple[str, ...]) -> dict[str, Any]:
    """The running spec with the chosen groups as they are wanted; the rest stays.

    Raises LayoutFaults for a group that neither has.
    """
    kept = {group["name"]: group for group in running["groups"]}
    new = {group.name: group.model_dump(mode="json") for group in wanted.groups}
    unknown = [name for name in groups if name not in kept and name not in new]
    if unknown:
        raise LayoutFaults([FileFault(f"{wanted.name}/{name}", "", "there is no such group")
                            for name in unknown])
    for name in groups:
        if name in new:
            kept[name] = new[name]
        else:
            del kept[name]
    return dict(running) | {"groups": list(kept.values())}

"""What the dashboard of logs asks of Elasticsearch, as searches that anybody can send."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .prometheus_files import ROOT

LOG_DASHBOARD = ROOT / "deploy" / "grafana" / "logs" / "logs.json"
_FIELD = re.compile(r"\b([a-z_@]+):")


def targets(path: Path = LOG_DASHBOARD) -> list[dict[str, Any]]:
    """Every query of every panel."""
    return [target for panel in json.loads(path.read_text())["panels"]
            for target in panel["targets"]]


def fields(target: dict[str, Any]) -> set[str]:
    """Fields that a query names."""
    return {*_FIELD.findall(target["query"]), target["timeField"],
            *(one["field"] for one in target["bucketAggs"])}


def search(target: dict[str, Any]) -> dict[str, Any]:
    """The body of a search for a query with every variable at its widest."""
    body: dict[str, Any] = {"size": 0, "query": {"query_string": {
        "query": re.sub(r"\$\w+", "*", target["query"])}}}
    inner = body
    for one in target["bucketAggs"]:
        kind = {"terms": {"field": one["field"], "size": 10}} if one["type"] == "terms" else {
            "date_histogram": {"field": one["field"], "interval": "1m"}}
        inner["aggs"] = {one["id"]: kind}
        inner = kind
    return body

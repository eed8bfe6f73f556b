"""The dashboard of logs, held against what executors ship."""
from __future__ import annotations

import json

from esaas.executor.bulk import _WORDS

from .log_dashboard import LOG_DASHBOARD, fields, search, targets

SHIPPED = {*_WORDS, "@timestamp", "message"}


def test_it_asks_for_fields_that_executors_ship() -> None:
    assert len(targets()) == 7
    for target in targets():
        assert fields(target) <= SHIPPED, target["query"]
    variables = json.loads(LOG_DASHBOARD.read_text())["templating"]["list"]
    asked = {json.loads(one["query"])["field"] for one in variables if one["type"] == "query"}
    assert asked == {"cluster", "node", "host", "level"}


def test_its_searches_are_nested_as_its_panels_are() -> None:
    [first, *_] = targets()
    body = search(first)
    assert body["query"]["query_string"]["query"] == (
        "cluster:* AND node:* AND level:* AND host:* AND *")
    assert body["aggs"]["2"]["terms"]["field"] == "level"
    assert body["aggs"]["2"]["aggs"]["9"]["date_histogram"]["field"] == "@timestamp"

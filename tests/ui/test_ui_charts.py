"""Series by the API: points with gaps, comparison of nodes, every fault of a query."""
from __future__ import annotations

import re
from xml.etree import ElementTree

from asking import ask
from click.testing import CliRunner, Result
from esaas.framework.cli import main
from esaas.framework.commands.charts import sparks
from esaas.framework.service.views import LineView, PointView
from esaas.ui.chart_pages import OF_CLUSTER, OF_NODES, shade
from esaas.ui.charts import highest, with_gaps
from live_app import LiveApp

SERIES = "/v1/clusters/demo/series"


def test_a_series_has_points_and_a_gap(live: LiveApp) -> None:
    got = ask(live, "GET", f"{SERIES}?metric=documents").json
    (line,) = got["lines"]
    times = [point["at"] for point in line["points"]]
    assert times == sorted(times) and len(times) > 40
    assert max(after - before for before, after in zip(times, times[1:], strict=False)) >= 600
    assert all(point["low"] <= point["mean"] <= point["high"] for point in line["points"])


def test_nodes_side_by_side_or_one(live: LiveApp) -> None:
    everybody = ask(live, "GET", f"{SERIES}?metric=heap_used_percent").json
    assert [line["name"] for line in everybody["lines"]] == ["node-0", "node-1", "node-2"]
    assert everybody["lines"] == ask(
        live, "GET", f"{SERIES}?metric=heap_used_percent&node=*&since={everybody['since']}"
        f"&until={everybody['until']}").json["lines"]
    one = ask(live, "GET", f"{SERIES}?metric=shards&node=node-1&points=5").json
    assert [line["name"] for line in one["lines"]] == ["node-1"]
    assert 0 < len(one["lines"][0]["points"]) <= 5


def test_every_fault_is_told(live: LiveApp) -> None:
    refused = ask(live, "GET", f"{SERIES}?metric=nothing&since=20&until=10")
    assert refused.status == 422
    assert {fault["path"] for fault in refused.json["error"]["faults"]} == {"metric", "since"}
    refused = ask(live, "GET", f"{SERIES}?points=0&since=soon")
    assert refused.status == 422
    assert {fault["path"] for fault in refused.json["error"]["faults"]} == {
        "metric", "since", "points"}
    assert ask(live, "GET", "/v1/clusters/nobody/series?metric=documents").status == 404


def test_hosts(live: LiveApp) -> None:
    load = ask(live, "GET", "/v1/hosts/load").json
    assert [one["host"] for one in load] == [f"agent-{n}.example" for n in range(1, 5)]
    got = ask(live, "GET", "/v1/hosts/agent-1.example/series?metric=load_per_core").json
    assert len(got["lines"][0]["points"]) > 40
    assert ask(live, "GET", "/v1/hosts/agent-1.example/series?metric=documents").status == 422


def test_a_page_of_charts_with_a_table_beside_each(live: LiveApp) -> None:
    page = ask(live, "GET", "/clusters/demo/charts?range=6h").text
    assert page.count("<figure") == len(OF_CLUSTER) + len(OF_NODES)
    assert 'src="/clusters/demo/charts/heap_used_percent.svg?range=6h"' in page
    assert page.count("<tr><th scope=\"row\">node-1") == len(OF_NODES)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    empty = ask(live, "GET", "/clusters/archive/charts").text
    assert "Nothing was measured in this time." in empty and "<img loading" not in empty
    assert ask(live, "GET", "/clusters/demo/charts?range=1y").status == 422
    assert ask(live, "GET", "/clusters/none/charts").status == 404


def test_an_image_is_a_drawing_and_nothing_that_acts(live: LiveApp) -> None:
    got = ask(live, "GET", "/clusters/demo/charts/heap_used_percent.svg?scheme=dark")
    assert got.headers["Content-Type"] == "image/svg+xml"
    assert "default-src 'none'" in got.headers["Content-Security-Policy"]
    tree = ElementTree.fromstring(got.body)
    assert tree.tag.endswith("svg") and "node-2" in got.text
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"|<!--.*?-->', "", got.text, flags=re.S)
    assert ask(live, "GET", "/clusters/demo/charts/nothing.svg").status == 422
    assert ask(live, "GET", "/hosts/agent-1.example/load_1m.svg").status == 200


def test_a_gap_is_drawn_as_one(live: LiveApp) -> None:
    line = LineView(name="n", points=[PointView(at=at, low=1, mean=1, high=1)
                                      for at in (0, 10, 20, 100, 110)])
    assert [value for _, value in with_gaps(line)] == [1, 1, 1, None, 1, 1]
    many = [LineView(name=f"n-{one}", points=[PointView(at=1, low=one, mean=one, high=one)])
            for one in range(30)]
    assert [one.name for one in highest(many)] == [f"n-{one}" for one in range(18, 30)]


def test_hosts_as_a_heat_map(live: LiveApp) -> None:
    page = ask(live, "GET", "/hosts").text
    assert page.count("<tr><th scope=\"row\">") == 4 and "heat-" in page
    assert shade(50, 100) == "heat-3" and shade(100, 100) == "heat-5" and shade(None, 1) == ""
    assert "agent-1.example" in ask(live, "GET", "/hosts/agent-1.example").text


def test_in_the_terminal(live: LiveApp) -> None:
    def esaas(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["cluster", "chart", *arguments],
                                  env={"ESAAS_URL": live.url, "COLUMNS": "200"})
    nodes = esaas("demo", "heap_used_percent")
    assert nodes.exit_code == 0 and "node-2" in nodes.output and "█" in nodes.output, nodes.output
    assert "Nothing was measured" in esaas("archive", "documents").output
    refused = esaas("demo", "luck")
    assert refused.exit_code == 1 and "known_metric" in refused.output
    assert esaas("demo", "documents", "--last", "soon").exit_code == 2
    gap = sparks([{"at": 0, "mean": 0.0}, {"at": 59, "mean": 1.0}], 0, 60, 0.0, 1.0)
    assert gap == "▁" + " " * 58 + "█"


def test_hosts_in_the_terminal(live: LiveApp) -> None:
    def esaas(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["agent", "load", *arguments],
                                  env={"ESAAS_URL": live.url, "COLUMNS": "250"})
    assert "agent-1.example" in esaas().output
    one = esaas("agent-1.example", "load_1m")
    assert one.exit_code == 0 and "█" in one.output, one.output
    assert esaas("agent-1.example").exit_code == 2

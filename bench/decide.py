"""Offers per second of the pure core, next to the time to decode the same offers' JSON.

Also the edge to Mesos: one event with 10,000 offers through the reader that the driver uses.

    python -m bench.decide
"""
from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
from esaas.framework.core import events as ev
from esaas.framework.core.apply import apply
from esaas.framework.core.decide import decide
from esaas.framework.core.facts import ClusterState, EsView, Identity
from esaas.framework.core.plan import founded
from esaas.framework.core.spec import ClusterSpec, parse_spec
from esaas.framework.mesos.recordio import RecordReader
from esaas.framework.mesos.translate import offer_in

from bench import report

ROUNDS = 3
CHUNK_BYTES = 1 << 20


def raw_offer(number: int) -> dict[str, Any]:
    """An offer as Mesos sends it, about 2 KB."""
    def resource(name: str, body: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "allocation_info": {"role": "demo/demo"}, **body}

    resources = [resource(name, {"type": "SCALAR", "scalar": {"value": amount}})
                 for name, amount in (("cpus", 16.0), ("mem", 65536.0), ("disk", 1e6))]
    resources.append(resource("ports", {"type": "RANGES", "ranges": {
        "range": [{"begin": 31000, "end": 32000}]}}))
    return {
        "id": {"value": f"6e0f1a2b-offer-O{number}"},
        "framework_id": {"value": "6e0f1a2b-framework-0001"},
        "agent_id": {"value": f"6e0f1a2b-agent-S{number}"}, "hostname": f"host-{number}",
        "url": {"scheme": "http", "path": "/slave(1)", "address": {
            "hostname": f"host-{number}", "ip": "10.0.0.1", "port": 5051}},
        "attributes": [{"name": name, "type": "TEXT", "text": {"value": value}} for name, value in (
            ("rack", f"rack-{number % 40}"), ("zone", f"zone-{number % 3}"), ("os", "debian-12"),
            ("generation", "7"))],
        "resources": resources, "allocation_info": {"role": "demo/demo"}}


def wanting() -> ClusterState:
    """A registered cluster that wants 30 nodes spread over racks."""
    spec = parse_spec({"name": "demo", "tenant": "demo", "version": "6.8.23", "groups": [
        {"name": "master", "count": 3, "roles": ["master"]},
        {"name": "data", "count": 27, "roles": ["data"], "placement": {
            "constraints": "hostname UNIQUE and not zone IS zone-9"}}]})
    state = apply(founded(Identity("demo", "demo", "uid", 0.0), spec), ev.Registered(1.0, "fw"))
    return decide(state, [], 2.0).state


def growing(count: int) -> ClusterState:
    """A formed cluster that is asked for many more data nodes at once."""
    def spec(size: int) -> ClusterSpec:
        groups: list[dict[str, Any]] = [{"name": "master", "count": 3, "roles": ["master"]}]
        return parse_spec({"name": "demo", "tenant": "demo", "version": "7.17.29", "groups": [
            *groups, *({"name": f"data{number}", "count": size, "roles": ["data"]}
                       for number in range(5))]})

    state = apply(founded(Identity("demo", "demo", "uid", 0.0), spec(1)), ev.Registered(1.0, "fw"))
    state = replace(state, bootstrap=replace(state.bootstrap, cluster_uuid="u"),
                    es=EsView(3.0, "green", "u", {}, template_replicas=1))
    return apply(state, ev.SpecAccepted(2.0, 2, spec(count // 5)))


def best_s(run: Callable[[], object]) -> float:
    """The fastest of some rounds, in seconds."""
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def read_event(stream: bytes) -> object:
    """What the driver does with an event: pieces of the socket's size, then one decode."""
    reader = RecordReader()
    for start in range(0, len(stream), CHUNK_BYTES):
        for record in reader.feed(stream[start:start + CHUNK_BYTES]):
            return orjson.loads(record)
    raise AssertionError("the event is not whole")


def main() -> None:
    """Measure and keep."""
    state, rows, edge = wanting(), [], []
    idle = decide(state, [offer_in(raw_offer(number)) for number in range(60)], 3.0).state
    for count in (1_000, 10_000, 50_000):
        raw = [raw_offer(number) for number in range(count)]
        body = orjson.dumps({"type": "OFFERS", "offers": {"offers": raw}})
        stream = str(len(body)).encode() + b"\n" + body
        decode_s = best_s(lambda body=body: json.loads(body))
        offers = [offer_in(item) for item in raw]
        translate_s = best_s(lambda raw=raw: [offer_in(item) for item in raw])
        busy_s = best_s(lambda offers=offers: decide(state, offers, 3.0))
        idle_s = best_s(lambda offers=offers: decide(idle, offers, 4.0))
        rows.append({
            "offers": count, "event MB": len(body) / 1e6,
            "decide, placing 30 nodes (offers/s)": round(count / busy_s),
            "decide, nothing wanted (offers/s)": round(count / idle_s),
            "translate (offers/s)": round(count / translate_s),
            "json.loads (offers/s)": round(count / decode_s),
            "decide / json.loads": busy_s / decode_s})
        read_s = best_s(lambda stream=stream: read_event(stream))
        edge.append({"offers": count, "event MB": len(body) / 1e6, "json.loads (s)": decode_s,
                     "orjson.loads (s)": best_s(lambda body=body: orjson.loads(body)),
                     "read and decode (s)": read_s, "ratio to json.loads": read_s / decode_s})
    report.keep("decide", "Pure core: offers per second",
                "One `decide` over all offers at once; the best of three rounds.", rows)
    nodes = []
    for count in (200, 800, 3_200):
        grown = growing(count)
        first_s = best_s(lambda grown=grown: decide(grown, [], 3.0))
        planned = decide(grown, [], 3.0).state
        again_s = best_s(lambda planned=planned: decide(planned, [], 3.0))
        nodes.append({"nodes": count, "first decide (s)": first_s, "next decide (s)": again_s,
                      "first, us per node": 1e6 * first_s / count,
                      "next, us per node": 1e6 * again_s / count})
    report.keep("nodes", "Pure core: nodes",
                "A cluster that is asked for so many data nodes at once: the turn that plans them, "
                "and any turn after it, plan and gates included.", nodes)
    report.keep("edge", "Edge to Mesos: reading one event of offers",
                "Framing and decoding as the driver does it, in pieces of 1 MiB, over "
                "`json.loads` of the same event (aim: at most 1.5).", edge)


if __name__ == "__main__":
    main()

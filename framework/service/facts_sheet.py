"""The delivery facts of a cluster: what whoever uses it has to know, in one answer."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .views import ClusterDetail, DeliveryView, NodeFacts, SnippetView

PLACEHOLDER = "PASSWORD"


def delivery_facts(detail: ClusterDetail) -> DeliveryView:
    """All of it, from what the service shows of a cluster anyway."""
    spec = detail.spec
    urls = detail.endpoints.get("http", [])
    return DeliveryView(
        name=detail.name, tenant=detail.tenant, version=detail.version, health=detail.health,
        description=detail.description, endpoints=detail.endpoints,
        nodes=[NodeFacts(name=node.name, host=node.host, rack=node.rack, roles=node.roles,
                         http=node.http_address, transport=node.transport_address,
                         cpus=node.cpus, mem_mb=node.mem_mb, heap_mb=node.heap_mb,
                         disk_mb=node.disk_mb) for node in detail.nodes],
        plugins=[plugin["name"] for plugin in spec.get("plugins", ())],
        settings=_settings(spec), default_replicas=int(spec.get("default_replicas", 1)),
        secured=detail.secured,
        credentials=(f"user elastic; its password and the certificate authority: operators of "
                     f"{detail.tenant}, by esaas secret credentials {detail.name}"
                     if detail.secured else "none: whoever reaches the nodes may do everything"),
        reserved_mb={"mem": sum(node.mem_mb for node in detail.nodes if node.host),
                     "disk": sum(node.disk_mb for node in detail.nodes if node.host)},
        reserved_cpus=round(sum(node.cpus for node in detail.nodes if node.host), 3),
        dashboards=_dashboards(detail), snippets=list(_snippets(detail, urls)))


def _settings(spec: dict[str, Any]) -> dict[str, Any]:
    """Of the cluster, then those of groups by ``group: key``."""
    found = dict(spec.get("settings", {}))
    for group in spec.get("groups", ()):
        found |= {f"{group['name']}: {key}": value
                  for key, value in group.get("settings", {}).items()}
    return found


def _dashboards(detail: ClusterDetail) -> list[str]:
    """Addresses of sidecars that answer, such as kibana."""
    return [f"http://{node.http_address}" for node in detail.nodes
            if node.kind == "sidecar" and node.http_address]


def _snippets(detail: ClusterDetail, urls: list[str]) -> Iterable[SnippetView]:
    if not urls:
        return
    major = int(detail.version.split(".")[0])
    makers = (("curl", _curl), ("Python", _python), ("Java", _java), ("Logstash", _logstash))
    for language, make in makers:
        yield SnippetView(language=language, text=make(urls, major, detail.secured))


def _curl(urls: list[str], major: int, secured: bool) -> str:
    trust = "--cacert ca.crt -u elastic " if secured else ""
    return f"curl {trust}'{urls[0]}/_cluster/health?pretty'"


def _python(urls: list[str], major: int, secured: bool) -> str:
    package = f"elasticsearch{min(max(major, 7), 9)}"
    listed = ",\n     ".join(f'"{url}"' for url in urls)
    if not secured:
        more = ""
    elif major >= 8:
        more = f',\n    ca_certs="ca.crt", basic_auth=("elastic", "{PLACEHOLDER}")'
    else:
        more = f',\n    ca_certs="ca.crt", http_auth=("elastic", "{PLACEHOLDER}")'
    return (f"# pip install {package}\nfrom {package} import Elasticsearch\n\n"
            f"es = Elasticsearch(\n    [{listed}]{more})\nprint(es.cluster.health())")


def _java(urls: list[str], major: int, secured: bool) -> str:
    hosts = ",\n    ".join(f'HttpHost.create("{url}")' for url in urls)
    login = ""
    if secured:
        login = (".setHttpClientConfigCallback(http -> http\n"
                 "        .setSSLContext(trusting(\"ca.crt\"))      // a trust store of ca.crt\n"
                 "        .setDefaultCredentialsProvider(credentials)) // elastic, its password\n")
    return ("// org.elasticsearch.client:elasticsearch-rest-client\n"
            f"RestClient client = RestClient.builder(\n    {hosts})\n    {login}.build();\n"
            'client.performRequest(new Request("GET", "/_cluster/health"));')


def _logstash(urls: list[str], major: int, secured: bool) -> str:
    hosts = ", ".join(f'"{url}"' for url in urls)
    more = ('    user => "elastic"\n    password => "${ES_PASSWORD}"\n    cacert => "ca.crt"\n'
            if secured else "")
    return (f"output {{\n  elasticsearch {{\n    hosts => [{hosts}]\n{more}"
            '    index => "logs-%{+YYYY.MM.dd}"\n  }\n}')

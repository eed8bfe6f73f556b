"""Delivery facts: a route, and a page that people can hand over."""
from __future__ import annotations

from esaas.framework.service.facts_sheet import delivery_facts
from esaas.framework.service.views import DeliveryView
from tornado.routing import URLSpec

from .pages import Page
from .route import CLUSTER, Call, Reply, get


async def delivery(call: Call) -> Reply:
    """``GET /v1/clusters/{name}/delivery``."""
    return Reply(delivery_facts(call.service.show(call.name)))


DELIVERY_ROUTES = (
    get(f"{CLUSTER}/delivery", delivery, "showDelivery", "What whoever uses a cluster has to know: "
        "endpoints, nodes, settings, plugins, credentials' holder, snippets", DeliveryView),
)


class Delivery(Page):
    """``/clusters/NAME/delivery``: the same for people."""

    async def get(self, name: str) -> None:  # type: ignore[override]
        """The page; it is not live, for it is handed over and printed."""
        self.render("delivery.html", d=delivery_facts(self.context.service.show(name)))


def delivery_rules() -> list[URLSpec]:
    """The address of the page."""
    return [URLSpec(r"/clusters/(?P<name>[^/]+)/delivery", Delivery)]

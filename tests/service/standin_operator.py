"""StandInOperator: the master's operator API as far as quota goes, on the loopback interface."""
from __future__ import annotations

import base64
import json
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.web


class StandInOperator:
    """Keeps quota by role; ``answer`` is given to everything instead: (status, text).

    ``use`` is shown at ``/roles``. ``leader`` is where it sends everybody on to. Must be started
    and stopped on one event loop.
    """

    def __init__(self, principal: str | None = None, secret: str = "") -> None:
        self.quotas: dict[str, dict[str, Any]] = {}
        self.use: dict[str, dict[str, Any]] = {}
        self.agents: list[dict[str, float]] = [{"cpus": 8.0, "mem": 16384.0, "disk": 100000.0}]
        self.answer: tuple[int, str] | None = None
        self.leader: str | None = None
        self.updates: list[dict[str, Any]] = []
        self.deaf = False               # says yes to an update, and forgets it
        pair = base64.b64encode(f"{principal}:{secret}".encode()).decode()
        self.expected = f"Basic {pair}" if principal else None
        self.address = ""               # once it is started
        self._server: tornado.httpserver.HTTPServer | None = None

    def start(self) -> str:
        """``host:port`` that it answers at."""
        application = tornado.web.Application([("/(.*)", _Handler, {"master": self})])
        self._server = tornado.httpserver.HTTPServer(application)
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        self._server.add_sockets(sockets)
        self.address = f"127.0.0.1:{sockets[0].getsockname()[1]}"
        return self.address

    async def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()

    def called(self, body: dict[str, Any]) -> Any:
        """What the API answers to a call."""
        if body["type"] == "GET_QUOTA":
            return {"type": "GET_QUOTA", "get_quota": {"status": {
                "configs": list(self.quotas.values())}}}
        if body["type"] == "GET_AGENTS":
            return {"type": "GET_AGENTS", "get_agents": {"agents": [
                {"total_resources": [
                    *({"name": name, "type": "SCALAR", "scalar": {"value": value}}
                      for name, value in agent.items()),
                    {"name": "ports", "type": "RANGES", "ranges": {"range": []}}]}
                for agent in self.agents]}}
        assert body["type"] == "UPDATE_QUOTA", body
        self.updates.append(body["update_quota"])
        for config in body["update_quota"]["quota_configs"] if not self.deaf else ():
            if config["guarantees"] or config["limits"]:
                self.quotas[config["role"]] = config
            else:
                self.quotas.pop(config["role"], None)
        return None


class _Handler(tornado.web.RequestHandler):
    def initialize(self, master: StandInOperator) -> None:
        self.master = master

    def _refused(self) -> bool:
        if self.master.leader is not None:
            self.set_status(307)
            self.set_header("Location", f"//{self.master.leader}{self.request.path}")
            return True
        if self.master.expected not in (None, self.request.headers.get("Authorization")):
            self.set_status(401)
            return True
        if self.master.answer is not None:
            self.set_status(self.master.answer[0])
            self.write(self.master.answer[1])
            return True
        return False

    def get(self, path: str) -> None:
        if not self._refused():
            assert path == "roles"
            self.write({"roles": [{"name": name} | use for name, use in self.master.use.items()]})

    def post(self, path: str) -> None:
        if not self._refused():
            assert path == "api/v1"
            answer = self.master.called(json.loads(self.request.body))
            if answer is not None:
                self.write(answer)

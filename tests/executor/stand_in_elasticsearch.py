#!/usr/bin/env python3
"""StandInElasticsearch: what the executor needs of a node, as ``bin/elasticsearch``.

Reads the configuration that the executor wrote and answers the probe. Settings of its own:
``stand_in.exit`` (print an error, exit with this code), ``stand_in.deaf`` (ignore SIGTERM),
``stand_in.child`` (run a child in the same process group, as 8.x runs its server JVM). It answers
503 as long as there is a file ``silent`` in ``path.data``.
"""
import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

config = Path(os.environ["ES_PATH_CONF"])
settings = {}
for line in (config / "elasticsearch.yml").read_text().splitlines():
    key, _, value = line.partition(": ")
    settings[json.loads(key)] = json.loads(value)
data = Path(settings["path.data"])

print("starting", settings["node.name"], flush=True)
if "stand_in.exit" in settings:
    for number in range(100):
        print("line", number)
    print("ERROR: the stand-in was told to fail")
    sys.exit(settings["stand_in.exit"])
if settings.get("stand_in.deaf"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
if settings.get("stand_in.child"):
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (data / "child.pid").write_text(str(child.pid))
(data / "environment.json").write_text(json.dumps(dict(os.environ)))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = 503 if (data / "silent").exists() else 200
        body = json.dumps({"nodes": {"stand-in-id": {
            "name": settings["node.name"], "version": "6.8.23",
            "transport_address": f"127.0.0.1:{settings['transport.tcp.port']}",
            "http": {"publish_address": f"127.0.0.1:{settings['http.port']}"},
            "process": {"id": os.getpid()}}}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer((settings["network.host"], settings["http.port"]), Handler).serve_forever()

"""Real sinks: an HTTP server, an SMTP server with TLS, a program; and what goes wrong there."""
from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from esaas.framework.core.alerts.machine import Alert, Phase, Severity
from esaas.framework.core.alerts.routing import Notice
from esaas.framework.service.alerts.message import body_of, subject_line
from esaas.framework.service.alerts.sending import Channel, NotSent
from esaas.framework.sinks import AlertSettings, Command, Email, Webhook
from pydantic import ValidationError

from .hooks import Hook

FIRING = Alert("node_disk", "node-1", Phase.FIRING, Severity.CRITICAL, "the disk is full", 1000.0,
               fired_at=1010.0)
BODY = body_of(Notice("logs", (FIRING,), ()), "id-1", "acme", "http://esaas", 1020.0)
PASSWORD = "of-the-mail-server"


def secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


async def test_a_webhook_gets_the_body_signed_and_under_its_id(tmp_path: Path) -> None:
    hook = Hook()
    key, token = secret(tmp_path / "key", "k1\n"), secret(tmp_path / "token", "t1")
    channel = Channel(Webhook(kind="webhook", name="ops", url=hook.url, hmac_key_file=key,
                              bearer_token_file=token))
    assert await channel.send("id-1", BODY) == "HTTP 200"
    got = hook.got[0]
    assert got.headers["X-Esaas-Notification"] == "id-1"
    assert got.headers["Authorization"] == "Bearer t1"
    expected = hmac.new(b"k1", got.body, hashlib.sha256).hexdigest()
    assert got.headers["X-Esaas-Signature"] == f"sha256={expected}"
    body = json.loads(got.body)
    assert (body["version"], body["status"], body["id"]) == ("4", "firing", "id-1")
    one = body["alerts"][0]
    assert one["labels"] == {"alertname": "node_disk", "cluster": "logs", "tenant": "acme",
                             "subject": "node-1", "severity": "critical"}
    assert one["startsAt"] == "1970-01-01T00:16:50.000Z"
    assert one["annotations"]["runbook"] == "docs/runbooks.md#node_disk"
    channel.close()
    hook.close()


@pytest.mark.parametrize(("status", "hangs", "why"), [(503, False, "503"), (302, False, "302"),
                                                      (200, True, "imeout")])
async def test_a_webhook_that_refuses_or_hangs_is_not_sent(
        status: int, hangs: bool, why: str) -> None:
    hook = Hook(status)
    if hangs:
        hook.hold()
    channel = Channel(Webhook(kind="webhook", name="ops", url=hook.url, timeout_s=0.3))
    with pytest.raises(NotSent, match=why):
        await channel.send("id-1", BODY)
    hook.close()
    with pytest.raises(NotSent):            # nobody listens there any more
        await channel.send("id-1", BODY)
    channel.close()


async def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    key = secret(tmp_path / "key", "k1")
    key.chmod(0o644)
    channel = Channel(Webhook(kind="webhook", name="ops", url="http://127.0.0.1:9/",
                              hmac_key_file=key))
    with pytest.raises(NotSent, match="chmod 600"):
        await channel.send("id-1", BODY)


class _Inbox:
    """Takes mail; ``refuses`` is its answer instead."""

    def __init__(self) -> None:
        self.mail: list[Envelope] = []
        self.refuses = ""

    async def handle_DATA(self, server: SMTP, session: Session,  # noqa: N802 (aiosmtpd's)
                          envelope: Envelope) -> str:
        if self.refuses:
            return self.refuses
        self.mail.append(envelope)
        return "250 OK"


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[tuple[Controller, _Inbox, Path]]:
    """A real SMTP server that wants STARTTLS and a password."""
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def checked(server: Any, session: Any, envelope: Any, mechanism: Any, data: Any) -> AuthResult:
        return AuthResult(
            success=(data.login, data.password) == (b"esaas", PASSWORD.encode()), handled=False)

    inbox = _Inbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(inbox, "127.0.0.1", port, tls_context=context, require_starttls=True,
                            auth_required=True, authenticator=checked)
    controller.start()
    yield controller, inbox, ca_file
    controller.stop()


def mail_sink(controller: Controller, ca_file: Path | None, password: Path) -> Email:
    return Email(kind="email", name="mail", host="127.0.0.1", port=controller.port, ca_file=ca_file,
                 user="esaas", password_file=password, sender="esaas@example.org",
                 to=("ops@example.org", "dba@example.org"), timeout_s=5)


async def test_a_mail_goes_over_tls_with_a_password(
        smtp: tuple[Controller, _Inbox, Path], tmp_path: Path) -> None:
    controller, inbox, ca_file = smtp
    password = secret(tmp_path / "password", PASSWORD)
    channel = Channel(mail_sink(controller, ca_file, password))
    assert await channel.send("id-1", BODY) == "accepted for 2 of 2"
    assert inbox.mail[0].rcpt_tos == ["ops@example.org", "dba@example.org"]
    text = bytes(inbox.mail[0].content or b"").decode()
    assert "Subject: [critical] logs: Disk of a node" in text and "<id-1@esaas>" in text
    assert "the disk is full" in text and "docs/runbooks.md#node_disk" in text
    inbox.refuses = "452 no space"
    with pytest.raises(NotSent, match="452"):
        await channel.send("id-2", BODY)
    secret(password, "wrong")
    with pytest.raises(NotSent, match="refused the password of esaas") as refused:
        await channel.send("id-3", BODY)
    assert "wrong" not in str(refused.value)
    channel.close()


async def test_a_mail_server_that_nobody_vouches_for_gets_no_password(
        smtp: tuple[Controller, _Inbox, Path], tmp_path: Path) -> None:
    controller, inbox, _ = smtp
    channel = Channel(mail_sink(controller, None, secret(tmp_path / "password", PASSWORD)))
    with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
        await channel.send("id-1", BODY)
    assert inbox.mail == []
    channel.close()


def script(path: Path, text: str) -> tuple[str, ...]:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return sys.executable, str(path)


async def test_a_program_gets_it_on_standard_input_and_no_shell(tmp_path: Path) -> None:
    argv = script(tmp_path / "take.py", f"""
import json, os, sys
body = json.load(sys.stdin)
open({str(tmp_path / 'out')!r}, "w").write(json.dumps(
    [sys.argv[1:], body["id"], os.environ["ESAAS_NOTIFICATION"], "HOME" in os.environ]))
""")
    channel = Channel(Command(kind="command", name="run", argv=(*argv, "$(id); *")))
    assert await channel.send("id-1", BODY) == "ended with 0"
    assert json.loads((tmp_path / "out").read_text()) == [["$(id); *"], "id-1", "id-1", False]


async def test_a_program_that_fails_or_hangs_is_not_sent_and_leaves_nothing(
        tmp_path: Path) -> None:
    fails = script(tmp_path / "fail.py", "import sys; sys.exit('no such pager')")
    with pytest.raises(NotSent, match="ended with 1: no such pager"):
        await Channel(Command(kind="command", name="run", argv=fails)).send("i", BODY)
    hangs = script(tmp_path / "hang.py", f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(tmp_path / 'pids')!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(600)
""")
    with pytest.raises(NotSent, match="did not end within"):
        await Channel(Command(kind="command", name="run", argv=hangs, timeout_s=2)).send(
            "i", BODY)
    pids = [int(one) for one in (tmp_path / "pids").read_text().split()]
    async with asyncio.timeout(10):
        while any(_lives(pid) for pid in pids):
            await asyncio.sleep(0.05)
    with pytest.raises(NotSent, match="No such file"):
        await Channel(Command(kind="command", name="run", argv=("/no/such",))).send("i", BODY)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_settings_are_checked_with_every_fault() -> None:
    mail = {"kind": "email", "name": "m", "host": "h", "sender": "a@b", "to": ["c@d"]}
    with pytest.raises(ValidationError) as refused:
        AlertSettings.model_validate({"sinks": [
            {"kind": "webhook", "name": "a", "url": "http://user:pw@host/"},
            mail | {"user": "u"}, {"kind": "pager", "name": "p"},
            {"kind": "command", "name": "c", "argv": []}], "limits": {"nothing": {}}})
    assert refused.value.error_count() == 5
    with pytest.raises(ValidationError, match="over TLS only"):
        AlertSettings.model_validate({"sinks": [
            mail | {"user": "u", "password_file": "/p", "tls": "none"}]})
    with pytest.raises(ValidationError, match="named twice"):
        AlertSettings.model_validate({"sinks": [mail, mail]})


def test_the_subject_line_counts_what_else_there_is() -> None:
    both = body_of(Notice("logs", (FIRING, FIRING), ()), "i", "", "", 0.0)
    assert subject_line(json.loads(both)) == "[critical] logs: Disk of a node and 1 more"
    assert os.linesep not in subject_line(json.loads(both))

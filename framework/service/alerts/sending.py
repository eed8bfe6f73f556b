"""Bringing one notification to one sink: webhook, e-mail, command."""
from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import signal
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate

import orjson
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from ...core.errors import EsaasError
from ...sinks import Command, Email, Sink, Webhook, secret_of
from .message import subject_line, words

MAX_SAID = 300                          # characters of what a sink answers


class NotSent(EsaasError):
    """The sink did not take it, as far as we know."""


class Channel:
    """One sink, with connections and a thread of its own: one that hangs holds up no other."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._client: SimpleAsyncHTTPClient | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def send(self, ident: str, body: str) -> str:
        """What the sink answered; NotSent. Gives up after the sink's time-out."""
        sink = self.sink
        try:
            async with asyncio.timeout(sink.timeout_s + 5):
                if isinstance(sink, Webhook):
                    return await self._post(sink, ident, body)
                if isinstance(sink, Email):
                    if self._thread is None:
                        self._thread = ThreadPoolExecutor(1, f"sink-{sink.name}")
                    return await asyncio.get_running_loop().run_in_executor(
                        self._thread, _mail, sink, ident, body)
                return await _run(sink, ident, body)
        except TimeoutError as error:
            raise NotSent(f"no answer within {sink.timeout_s:g} s") from error
        except ValueError as error:         # of a file with a secret
            raise NotSent(str(error)) from error

    async def _post(self, sink: Webhook, ident: str, body: str) -> str:
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(force_instance=True)
        headers = {"Content-Type": "application/json", "X-Esaas-Notification": ident}
        if sink.hmac_key_file is not None:
            key = secret_of(sink.hmac_key_file).encode()
            digest = hmac.new(key, body.encode(), hashlib.sha256).hexdigest()
            headers["X-Esaas-Signature"] = f"sha256={digest}"
        if sink.bearer_token_file is not None:
            headers["Authorization"] = f"Bearer {secret_of(sink.bearer_token_file)}"
        try:
            answer = await self._client.fetch(HTTPRequest(
                sink.url, "POST", headers, body, connect_timeout=sink.timeout_s,
                request_timeout=sink.timeout_s, follow_redirects=False), raise_error=False)
        except (OSError, HTTPClientError, StreamClosedError) as error:
            raise NotSent(f"{type(error).__name__}: {error}"[:MAX_SAID]) from error
        if not 200 <= answer.code < 300:
            raise NotSent(f"HTTP {answer.code} {answer.reason}"[:MAX_SAID])
        return f"HTTP {answer.code}"

    def close(self) -> None:
        """Let go of connections; a thread that hangs ends with its time-out."""
        if self._client is not None:
            self._client.close()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


def _mail(sink: Email, ident: str, body: str) -> str:
    value = orjson.loads(body)
    message = EmailMessage()
    message["Subject"], message["From"] = subject_line(value), sink.sender
    message["To"], message["Date"] = ", ".join(sink.to), formatdate()
    # The same at every try, so that mail programs show it once.
    message["Message-ID"] = f"<{ident}@esaas>"
    message.set_content(words(value))
    context = ssl.create_default_context(cafile=str(sink.ca_file) if sink.ca_file else None)
    server: smtplib.SMTP
    try:
        if sink.tls == "tls":
            server = smtplib.SMTP_SSL(sink.host, sink.port, timeout=sink.timeout_s,
                                      context=context)
        else:
            server = smtplib.SMTP(sink.host, sink.port, timeout=sink.timeout_s)
        with server:
            if sink.tls == "starttls":
                server.starttls(context=context)
            if sink.user is not None and sink.password_file is not None:
                server.login(sink.user, secret_of(sink.password_file))
            refused = server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise NotSent(f"the server refused the password of {sink.user}: {error.smtp_code}"
                      ) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{type(error).__name__}: {error}"[:MAX_SAID]) from error
    return f"accepted for {len(sink.to) - len(refused)} of {len(sink.to)}"


async def _run(sink: Command, ident: str, body: str) -> str:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "ESAAS_NOTIFICATION": ident}
    try:
        process = await asyncio.create_subprocess_exec(
            *sink.argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, env=environment, start_new_session=True)
    except OSError as error:
        raise NotSent(f"{sink.argv[0]}: {error.strerror}") from error
    try:
        async with asyncio.timeout(sink.timeout_s):
            _, said = await process.communicate(body.encode())
    except TimeoutError as error:
        raise NotSent(f"did not end within {sink.timeout_s:g} s") from error
    finally:
        with suppress(ProcessLookupError):      # also whatever it has left behind in its group
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode != 0:
        text = said.decode(errors="replace").strip()[:MAX_SAID]
        raise NotSent(f"ended with {process.returncode}: {text}")
    return "ended with 0"

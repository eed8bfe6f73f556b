"""Where notifications go, and limits of alerts for all clusters: a file of ``esaas serve``.

Secrets stand in files of their own, which are read when something is sent, so that they can be
changed while the service runs; here are their paths only.
"""
from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .core.alerts.machine import Severity
from .core.alerts.policy import AlertPolicy


class _Sink(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,38}$")
    timeout_s: float = Field(10.0, gt=0, le=120)
    at_least: Severity = Field(Severity.WARNING, description="nothing below this is sent")
    clusters: tuple[str, ...] = Field((), description="only of these; nothing: of all")

    @property
    def where(self) -> str:
        """For people and logs, without secrets."""
        return self.name

    def wants(self, cluster: str, severity: Severity) -> bool:
        """Whether a notification goes here."""
        return (self.at_least is Severity.WARNING or severity is Severity.CRITICAL) and (
            not self.clusters or cluster in self.clusters)


class Webhook(_Sink):
    """An HTTP POST of JSON, in the shape of Alertmanager's."""

    kind: Literal["webhook"]
    url: str = Field(pattern=r"^https?://.+")
    hmac_key_file: Path | None = Field(None, description="signs the body: X-Esaas-Signature")
    bearer_token_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _no_password(cls, value: str) -> str:
        if urlsplit(value).username or urlsplit(value).password:
            raise ValueError("no user or password in the address: use bearer_token_file")
        return value

    @property
    def where(self) -> str:
        """Scheme and host: the path of a hook is often its secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


class Email(_Sink):
    """A message by SMTP."""

    kind: Literal["email"]
    host: str
    port: int = Field(587, ge=1, le=65535)
    tls: Literal["none", "starttls", "tls"] = "starttls"
    ca_file: Path | None = Field(None, description="PEM: what signs the server's certificate")
    user: str | None = None
    password_file: Path | None = None
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s,]+@[^@\s,]+$")], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Email:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file belong together")
        if self.user is not None and self.tls == "none":
            raise ValueError("a password goes over TLS only: tls is starttls or tls")
        return self

    @property
    def where(self) -> str:
        """The server."""
        return f"{self.host}:{self.port}"


class Command(_Sink):
    """A program that gets the notification as JSON on its standard input; no shell."""

    kind: Literal["command"]
    argv: tuple[str, ...] = Field(min_length=1)

    @property
    def where(self) -> str:
        """The program, without its arguments."""
        return self.argv[0]


Sink = Annotated[Webhook | Email | Command, Field(discriminator="kind")]


class AlertSettings(BaseModel):
    """Alerts of this service; times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sinks: tuple[Sink, ...] = ()
    limits: AlertPolicy = Field(AlertPolicy(), description="for all clusters; a spec goes before")
    evaluate_s: float = Field(15.0, ge=0.5, le=300, description="time between two evaluations")
    repeat_s: float = Field(4 * 3600.0, ge=60, description="who was told is told again")
    expire_s: float = Field(86400.0, ge=60, description="a notification is tried for so long")

    @field_validator("sinks")
    @classmethod
    def _once(cls, value: tuple[Sink, ...]) -> tuple[Sink, ...]:
        names = [one.name for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"named twice: {', '.join(twice)}")
        return value


def secret_of(path: Path) -> str:
    """What a file of a secret says; ValueError that does not quote it."""
    try:
        if path.stat().st_mode & 0o077:
            raise ValueError(f"{path} can be read by others: chmod 600 it")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {path}") from error

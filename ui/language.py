"""Languages of the pages: what the browser asks for, unless somebody has chosen another.

Texts stand in the templates in English; ``locale/CODE.csv`` has a line for each: the English
text, its translation. What the service says itself (sentences, reasons, faults) is in English.
"""
from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import tornado.locale
from esaas.framework.service.access.people import Role
from tornado.routing import URLSpec

from .access_pages import safe_next
from .pages import LANGUAGE_COOKIE, Page

HERE = Path(__file__).parent / "locale"
LANGUAGES = {"en": "English", "zh": "中文"}
KEPT_DAYS = 365


def load() -> None:
    """Read all translations; once for a process, before the first page."""
    tornado.locale.load_translations(str(HERE), encoding="utf-8")
    tornado.locale.set_default_locale("en")


class Language(Page):
    """``/language``: the switch on every page."""

    sees: ClassVar[Role | None] = None
    acts: ClassVar[Role | None] = None

    async def get(self) -> None:  # type: ignore[override]
        """Somebody reloaded the form."""
        self.see("/")

    async def post(self) -> None:  # type: ignore[override]
        """Remember the language in the browser, and go back."""
        self.read_form()
        wanted = self.field("to")
        if wanted in LANGUAGES:
            self.set_cookie(LANGUAGE_COOKIE, wanted, expires_days=KEPT_DAYS, httponly=True,
                            samesite="Lax", secure=self.context.secure)
        self.see(safe_next(self.field("back")))


def language_rules() -> list[URLSpec]:
    """The address of the switch."""
    return [URLSpec(r"/language", Language)]

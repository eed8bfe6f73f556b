"""A real Chromium for tests: headless, fresh, and never downloaded."""
from __future__ import annotations

from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 30
DRIVER = Path("/usr/bin/chromedriver")
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"


def start_chromium(profile: Path) -> webdriver.Chrome:
    """A browser with a profile of its own."""
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(str(DRIVER)))


def resize(browser: webdriver.Chrome, width: int, height: int = 900, *,
           scheme: str = "light") -> None:
    """The page's own width, whatever the window's least width is; and its colour scheme."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})


def overflow(browser: webdriver.Chrome) -> list[str]:
    """What sticks out of the page at its sides; empty when all is well."""
    found: list[str] = browser.execute_script("""
        const width = document.documentElement.clientWidth;
        const out = [...document.body.querySelectorAll("*")].filter((element) => {
          if (element.closest(".unseen, .skip, textarea, .scroll > *")) return false;
          const box = element.getBoundingClientRect();
          return box.width > 0 && (box.right > width + 0.5 || box.left < -0.5);
        }).map((element) => `${element.nodeName}.${element.className}`);
        if (document.documentElement.scrollWidth > width) out.push("the page scrolls");
        return out;""")
    return found


def shoot(browser: webdriver.Chrome, name: str) -> Path:
    """A picture of the whole page, however long, among the outputs of the build."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    height = browser.execute_script("return document.documentElement.scrollHeight")
    width = browser.execute_script("return document.documentElement.clientWidth")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": min(height, 6000), "deviceScaleFactor": 1, "mobile": False})
    path = SCREENSHOTS / f"{name}.png"
    assert browser.save_screenshot(str(path))
    return path


def find(browser: webdriver.Chrome, selector: str) -> WebElement:
    """An element, as soon as it is there."""
    return WebDriverWait(browser, PATIENCE_S).until(
        lambda _: browser.find_element(By.CSS_SELECTOR, selector))


def log_in(browser: webdriver.Chrome, url: str, user: str, password: str) -> None:
    """Open a page of a service with login: fill in the login page, and come back."""
    browser.get(url)
    find(browser, "#user").send_keys(user)
    find(browser, "#password").send_keys(password)
    press(browser, "Log in")
    WebDriverWait(browser, PATIENCE_S).until(lambda _: "/login" not in browser.current_url)


def until_text(browser: webdriver.Chrome, selector: str, text: str) -> None:
    """Wait until an element shows a text, looking it up anew each time."""
    WebDriverWait(browser, PATIENCE_S).until(
        lambda _: text in browser.execute_script(
            "return document.querySelector(arguments[0])?.textContent ?? ''", selector),
        f"{selector} never showed {text!r}")


def until_live(browser: webdriver.Chrome) -> None:
    """Wait until the page's stream is open."""
    find(browser, ".link.on")


def press(browser: webdriver.Chrome, text: str) -> None:
    """Press the button or link with a text."""
    xpath = f"//*[self::button or self::a][starts-with(normalize-space(), '{text}')]"
    WebDriverWait(browser, PATIENCE_S).until(
        lambda _: browser.find_element(By.XPATH, xpath)).click()


def shoot_both(browser: webdriver.Chrome, name: str) -> None:
    """A picture at both widths, where nothing may stick out; wide again afterwards."""
    for width in (400, 1280):
        resize(browser, width)
        assert overflow(browser) == []
        shoot(browser, f"{name}-{width}")
    resize(browser, 1280)

"""Headless Chromium for tests of pages, from Debian's packages."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


@contextlib.contextmanager
def chromium(width: int = 1280, height: int = 1000) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own.

    Fails the test, saying what to install, where there is no Chromium.
    """
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in programs.items():
        if path is None:
            pytest.fail(
                f"{name} is not installed; this test opens the report in it: "
                "apt-get install -y chromium chromium-driver"
            )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = programs["chromium"]
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for flag in _FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={profile}")
        options.add_argument(f"--window-size={width},{height}")
        service = Service(programs["chromedriver"])
        driver = webdriver.Chrome(options=options, service=service)
        try:
            # Windows have a least width of their own; the page's is set apart.
            driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                dict(width=width, height=height, deviceScaleFactor=1, mobile=False),
            )
            yield driver
        finally:
            driver.quit()


def open_report(driver: webdriver.Chrome, path: Path, timeout: float = 60) -> float:
    """Opens a report from disk; seconds from the start of loading until it can be used.

    Raises:
        TimeoutError: it is not ready in time; says what the browser logged.
    """
    driver.get(path.resolve().as_uri())
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        ready = driver.execute_script("return document.documentElement.dataset.ready")
        if ready:
            return int(ready) / 1000
        time.sleep(0.02)
    raise TimeoutError(f"{path} is not ready: {driver.get_log('browser')}")


def find(page: webdriver.Chrome, selector: str) -> WebElement:
    """The first element of a CSS selector; there has to be one."""
    return page.find_element(By.CSS_SELECTOR, selector)


def find_all(page: webdriver.Chrome, selector: str) -> list[WebElement]:
    return page.find_elements(By.CSS_SELECTOR, selector)


def choose(page: webdriver.Chrome, menu: str, text: str) -> None:
    """Takes an entry of a menu of the report."""
    Select(find(page, f"#{menu}")).select_by_visible_text(text)


def number(text: str) -> float:
    """As the report writes it, with a minus sign."""
    return float(text.replace("\N{MINUS SIGN}", "-"))

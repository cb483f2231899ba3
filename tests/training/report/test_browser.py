"""The report in headless Chromium, driven by selenium."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tinygrad_ckn.training import Result
from tinygrad_ckn.training.report.page import REPORT

selenium = pytest.importorskip(
    "selenium", reason="selenium is not installed: pip install -e '.[test]'"
)
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="there is no browser: apt-get install chromium chromium-driver",
)
# Elements that are wider than the page and not inside one that scrolls.
OVERFLOWING = """
return [...document.querySelectorAll("main *, header *, nav *")].filter(e =>
    e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .skip, .hidden")
).map(e => e.tagName + "." + e.className)
"""


@pytest.fixture
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def test_the_page_in_a_browser(browser: Any, reported: Result):
    address = (reported.run.folder / REPORT).as_uri()
    browser.get(address)
    backgrounds = {}
    for width in (1280, 390):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        for scheme in ("light", "dark"):
            emulated = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
            widest = browser.execute_script("return document.documentElement.scrollWidth")
            assert widest <= width, (width, scheme)
            assert browser.execute_script(OVERFLOWING) == []
            backgrounds[scheme] = background(browser)
    assert backgrounds["light"] != backgrounds["dark"]
    # The scheme is dark now: the box makes it light.
    browser.find_element("id", "theme").click()
    assert background(browser) == backgrounds["light"]
    click_everything(browser, address)
    # Not an error, nor any warning.
    assert browser.get_log("browser") == []
    requests = [
        entry["message"]
        for entry in browser.get_log("performance")
        if "Network.requestWillBeSent" in entry["message"]
    ]
    assert all('"url":"file:' in line or '"url":"data:' in line for line in requests)


def background(browser: Any) -> str:
    return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))


def click_everything(browser: Any, address: str) -> None:
    """Follow all links of the page, open all that is closed, reach the first link by keyboard."""
    from selenium.webdriver.common.keys import Keys

    links = browser.find_elements("css selector", "nav a")
    assert len(links) >= 8
    for link in links:
        link.click()
        target = link.get_attribute("href").partition("#")[2]
        assert browser.current_url == f"{address}#{target}"
        top = browser.execute_script(
            "return document.getElementById(arguments[0]).getBoundingClientRect().top", target
        )
        assert -1 <= top < 900
    closed = browser.find_elements("css selector", "details:not([open]) > summary")
    assert len(closed) >= 3
    for summary in closed:
        summary.click()
    assert browser.find_elements("css selector", "details:not([open])") == []
    browser.get(address)
    browser.find_element("tag name", "body").send_keys(Keys.TAB)
    focused = browser.switch_to.active_element
    assert focused.text == "Skip to the results"
    assert focused.rect["x"] >= 0
    focused.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"

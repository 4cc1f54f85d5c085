"""A page of somebody else's in a real browser, which wants a script run."""

from __future__ import annotations

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.sync_api import sync_playwright

from tests.system.test_rest_session import DEADLINE, adapter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.system.stack_process import StackProcess

CHROMIUM = shutil.which("chromium")
# Whoever owns a name can have it mean this machine, a moment after its page was loaded from elsewhere. What
# the browser then loads from here is of the same origin, also a refusal.
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
REBOUND = "--host-resolver-rules=MAP evil.example 127.0.0.1"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

ASK = """async ({url, method, type, mode}) => {
    const script = {script_type: "embedded", script_source: "def main(): pass"};
    const body = method === "GET" ? undefined : JSON.stringify({script});
    try {
        const answer = await fetch(url, {method, mode, body, headers: {"Content-Type": type}});
        return {status: answer.status, text: await answer.text()};
    } catch (error) {
        return {status: null, text: String(error)};
    }
}"""


@pytest.fixture(scope="module")
def served(stack: StackProcess) -> Iterator[str]:
    with adapter(stack) as proxy:
        yield proxy.url


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, REBOUND])
        yield browser
        browser.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The origin of another server, with a page."""
    (tmp_path / "index.html").write_text("<title>kittens</title>")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://evil.example:{server.server_port}"
        server.shutdown()
        thread.join()


def ask_from(browser: Browser, origin: str, url: str, method: str, type_: str, mode: str = "cors") -> Any:
    """Have a page of `origin` make a request."""
    page = browser.new_page()
    page.goto(f"{origin}/")
    answer = page.evaluate(ASK, {"url": url, "method": method, "type": type_, "mode": mode})
    page.close()
    return answer


def procedures(served: str) -> Any:
    return httpx.get(f"{served}/procedures", timeout=DEADLINE).json()["procedures"]


def test_a_name_that_is_made_to_mean_this_machine_gets_nothing(browser: Browser, served: str) -> None:
    before = procedures(served)
    url = httpx.URL(served)
    origin = f"http://evil.example:{url.port}"
    for method in ("POST", "GET"):
        answer = ask_from(browser, origin, f"{origin}{url.path}/procedures", method, "application/json")
        assert answer["status"] == 421, answer
        assert "is not known as 'evil.example:" in answer["text"]
    assert procedures(served) == before


@pytest.mark.parametrize("type_", ["text/plain", "application/json"])
@pytest.mark.parametrize("mode", ["no-cors", "cors"])
def test_a_page_of_another_origin_has_nothing_done(
    browser: Browser, served: str, elsewhere: str, type_: str, mode: str
) -> None:
    before = procedures(served)
    answer = ask_from(browser, elsewhere, f"{served}/procedures", "POST", type_, mode)
    assert answer["status"] in {None, 0}, answer
    assert procedures(served) == before


def test_its_own_page_has_it_done(browser: Browser, served: str, tmp_path: Path) -> None:
    quiet = tmp_path / "quiet.py"
    quiet.write_text("def main(): pass\n")
    origin = str(httpx.URL(served).join("/")).rstrip("/")
    page = browser.new_page()
    page.goto(f"{origin}/healthz")
    script = {"script_type": "filesystem", "script_uri": quiet.as_uri()}
    status = page.evaluate(
        """async ({url, script}) => (await fetch(url, {method: "POST", body: JSON.stringify({script}),
            headers: {"Content-Type": "application/json"}})).status""",
        {"url": f"{served}/procedures", "script": script},
    )
    assert status == 201

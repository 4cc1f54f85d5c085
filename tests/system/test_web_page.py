"""The operator's page in a real browser, before a running stack."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import httpx
import pytest
import tango
from playwright.sync_api import expect, sync_playwright

from ska_oso_oet.client import DEFAULT_DEVICE
from tests.system.test_rest_session import DEADLINE, ENDED, adapter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.system.stack_process import StackProcess

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SCRIPT = """
import time

def init(subarray_id=None):
    print("ready for subarray", subarray_id)

def main(name="nobody"):
    print("<b>observing</b>", name, flush=True)
    time.sleep(600)
"""

expect.set_options(timeout=DEADLINE * 1000)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def served(stack: StackProcess) -> Iterator[str]:
    with adapter(stack) as proxy:
        yield proxy.url


@pytest.fixture
def page(served: str) -> Iterator[Page]:
    """The page, opened; a fault in its program fails the test."""
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "requestfailed", lambda request: faults.append(request.url) if served not in request.url else None
        )
        page.goto(str(httpx.URL(served).join("/")))
        expect(page.locator("#link")).to_have_text("live")
        yield page
        browser.close()
    for procedure in httpx.get(f"{served}/procedures").json()["procedures"]:
        if procedure["state"] not in ENDED:
            httpx.put(procedure["uri"], json={"state": "STOPPED"}, timeout=DEADLINE)
    assert not faults


def create(page: Page, uri: str, subarray: int) -> None:
    page.get_by_role("button", name="New procedure").click()
    dialog = page.get_by_role("dialog", name="New procedure")
    dialog.get_by_label("Script URI").fill(uri)
    dialog.get_by_label("Subarray").fill(str(subarray))
    dialog.get_by_label("Subarray").press("Enter")
    expect(dialog).to_be_hidden()


def stop_without_abort(dialog: Locator) -> None:
    """Say so: what runs is aborted otherwise."""
    abort = dialog.get_by_label("abort its subarray")
    expect(abort).to_be_checked()
    abort.uncheck()
    dialog.get_by_role("button", name="Stop it").click()


def test_a_procedure_is_created_started_and_stopped(page: Page, tmp_path: Path) -> None:
    script = tmp_path / "observe_page.py"
    script.write_text(SCRIPT)
    create(page, script.as_uri(), 7)
    row = page.locator("#procedures tr").first
    expect(row).to_contain_text("observe_page.py")
    expect(row.locator(".state")).to_have_text("READY")
    output = page.get_by_role("log", name="Output")
    expect(output).to_contain_text("ready for subarray 7")

    page.locator("#detail").get_by_role("button", name="Start").click()
    dialog = page.get_by_role("dialog", name="Start")
    dialog.get_by_label("Keyword arguments of main").fill('{"name": "Vela"}')
    dialog.get_by_role("button", name="Start").click()
    expect(row.locator(".state")).to_have_text("RUNNING")
    # What a script prints is shown as text, never taken for markup.
    expect(output).to_contain_text("<b>observing</b> Vela")
    bar = page.locator("#chart g.bar.RUNNING")
    expect(bar).to_have_attribute("aria-label", re.compile("observe_page.py, RUNNING"))
    expect(page.locator("#chart")).to_contain_text("subarray 7")

    stop = page.locator("#detail").get_by_role("button", name="Stop")
    stop.click()
    dialog = page.get_by_role("dialog", name="Stop")
    dialog.get_by_role("button", name="Keep it running").click()
    expect(dialog).to_be_hidden()
    expect(row.locator(".state")).to_have_text("RUNNING")
    stop.click()
    stop_without_abort(dialog)
    expect(row.locator(".state")).to_have_text("STOPPED")
    expect(page.get_by_role("alert").first).to_contain_text("Successfully stopped script")
    expect(stop).to_be_disabled()
    expect(page.locator("#events")).to_contain_text("procedure.lifecycle.stopped")


def test_what_others_do_is_seen_live(page: Page, served: str, tmp_path: Path) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text("def main():\n    raise ValueError('dish 4 is away')\n")
    uri = httpx.post(f"{served}/procedures", json={"script_uri": script.as_uri()}).json()["procedure"]["uri"]
    row = page.locator("#procedures tr", has_text="elsewhere.py")
    expect(row.locator(".state")).to_have_text("READY")
    httpx.put(uri, json={"state": "RUNNING"})
    expect(row.locator(".state")).to_have_text("FAILED")
    row.get_by_role("button").press("Enter")
    expect(page.locator("#about")).to_contain_text("ValueError: dish 4 is away")


def test_events_are_shown_as_those_of_the_procedure_that_they_come_from(
    page: Page, served: str, tmp_path: Path
) -> None:
    boast = tmp_path / "boast.py"
    boast.write_text(
        "from pubsub import pub\n"
        "def init():\n"
        "    pub.sendMessage('procedure.progress', msg_src='1', progress=18, message='borrowed')\n"
        "    pub.sendMessage('test.boast', msg_src='SESWorker', result={'id': 1, 'state': 'COMPLETE'})\n"
        "def main(): pass\n"
    )
    silent = tmp_path / "silent.py"
    silent.write_text("def main(): pass\n")
    uri = httpx.post(f"{served}/procedures", json={"script_uri": boast.as_uri()}).headers["Location"]
    number = uri.rpartition("/")[2]
    events = page.locator("#events")
    expect(events).to_contain_text(f"procedure {number} (1): 18 % borrowed")
    expect(events).to_contain_text(f"procedure {number} (SESWorker): ")
    expect(events).not_to_contain_text("procedure 1 COMPLETE")
    create(page, silent.as_uri(), 9)
    expect(page.locator("#detail-title")).to_contain_text("silent.py")
    page.get_by_label("of this procedure only").check()
    expect(events.locator("li:visible", has_text="borrowed")).to_have_count(0)
    expect(events.locator("li:visible", has_text="procedure.lifecycle.ready")).to_have_count(1)
    page.locator("#procedures tr", has_text="boast.py").first.get_by_role("button").click()
    expect(events.locator("li:visible", has_text="borrowed")).to_have_count(1)
    page.get_by_label("of this procedure only").uncheck()


def test_a_new_procedure_is_shown_whatever_else_happens(page: Page, served: str, tmp_path: Path) -> None:
    """Events of others, which have the page ask for everything again, do not take it away."""
    busy = tmp_path / "busy.py"
    busy.write_text(
        "import time\nfrom pubsub import pub\n"
        "def main():\n"
        "    while True:\n"
        "        pub.sendMessage('procedure.progress', msg_src='busy', progress=1.0, message='on')\n"
        "        time.sleep(0.02)\n"
    )
    uri = httpx.post(f"{served}/procedures", json={"script_uri": busy.as_uri()}).headers["Location"]
    expect(page.locator("#procedures tr", has_text="busy.py").locator(".state")).to_have_text("READY")
    body = {"state": "RUNNING", "script_args": {"run": {"kwargs": {}}}}
    assert httpx.put(uri, json=body).status_code == 200
    expect(page.locator("#procedures tr", has_text="busy.py").locator(".state")).to_have_text("RUNNING")
    for number in range(5):
        script = tmp_path / f"new_{number}.py"
        script.write_text("def main(): pass\n")
        create(page, script.as_uri(), 9)
        expect(page.locator("#detail-title")).to_contain_text(f"new_{number}.py")
        expect(page.locator("#detail .state")).to_have_text("READY")


def test_a_procedure_that_has_left_the_list_stays_for_who_looks_at_it(
    page: Page, served: str, tmp_path: Path
) -> None:
    script = tmp_path / "looked_at.py"
    script.write_text("def main():\n    raise ValueError('look at me')\n")
    short = tmp_path / "short.py"
    short.write_text("def main(): pass\n")
    create(page, script.as_uri(), 3)
    page.locator("#detail").get_by_role("button", name="Start").click()
    page.get_by_role("dialog", name="Start").get_by_role("button", name="Start").click()
    expect(page.locator("#detail .state")).to_have_text("FAILED")
    for _ in range(11):
        uri = httpx.post(f"{served}/procedures", json={"script_uri": short.as_uri()}).headers["Location"]
        assert httpx.put(uri, json={"state": "STOPPED"}, timeout=DEADLINE).status_code == 200
    expect(page.locator("#procedures tr", has_text="looked_at.py")).to_have_count(0)
    expect(page.locator("#about")).to_contain_text("ValueError: look at me")
    # The picture of an hour has it from the history; that of the list does not.
    bar = page.locator("#chart").get_by_label("looked_at.py")
    expect(bar).to_have_count(0)
    page.locator("#span").select_option("1 hour")
    expect(bar).to_have_count(1)
    page.locator("#procedures tr").first.get_by_role("button").click()
    expect(page.locator("#about")).not_to_contain_text("look at me")
    bar.press("Enter")
    expect(page.locator("#about")).to_contain_text("ValueError: look at me")


def test_a_refusal_is_told_where_it_was_asked(page: Page) -> None:
    page.get_by_role("button", name="New procedure").click()
    dialog = page.get_by_role("dialog", name="New procedure")
    dialog.get_by_label("Script URI").fill("file:///x.py")
    dialog.get_by_label("Keyword arguments of init").fill("{nonsense")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("is no JSON")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_an_activity_is_run(page: Page) -> None:
    page.get_by_role("button", name="Run activity").click()
    dialog = page.get_by_role("dialog", name="Run activity")
    dialog.get_by_label("Scheduling Block definition").fill("sbd-of-the-page")
    dialog.get_by_label("Activity", exact=True).fill("allocate")
    dialog.get_by_role("button", name="Run").click()
    row = page.locator("#activities tr", has_text="sbd-of-the-page")
    expect(row.locator(".state")).to_have_text("FAILED")
    expect(row.locator(".why")).to_contain_text("sbd-of-the-page")


def test_a_restart_of_the_controller_is_seen(own_stack: StackProcess, tmp_path: Path) -> None:
    """What was lost is shown as lost, with what it had written, and the page goes on by itself."""
    script = tmp_path / "numbered.py"
    script.write_text("def init():\n    print('first life')\ndef main(): pass\n")
    with adapter(own_stack) as proxy, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(str(httpx.URL(proxy.url).join("/")))
        httpx.post(f"{proxy.url}/procedures", json={"script_uri": script.as_uri()})
        expect(page.get_by_role("log", name="Output")).to_have_text("first life\n")
        own_stack.named("OETController").kill()
        expect(page.locator("#procedures .state")).to_have_text("FAILED")
        expect(page.locator("#about")).to_contain_text(
            "the controller was lost while the procedure was READY"
        )
        expect(page.get_by_role("log", name="Output")).to_have_text("first life\n")
        expect(page.locator("#link")).to_have_text("live")
        script.write_text(script.read_text().replace("first", "second"))
        httpx.post(f"{proxy.url}/procedures", json={"script_uri": script.as_uri()})
        page.locator("#procedures tr", has_text="READY").get_by_role("button").click()
        expect(page.get_by_role("log", name="Output")).to_have_text("second life\n")
        browser.close()


def test_a_page_of_a_controller_that_starts_no_script_is_not_live(own_stack: StackProcess) -> None:
    controller = tango.DeviceProxy(f"tango://{own_stack.tango_host}/{DEFAULT_DEVICE}")
    with adapter(own_stack) as proxy, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.goto(str(httpx.URL(proxy.url).join("/")))
        expect(page.locator("#link")).to_have_text("live")
        controller.adminMode = 1
        reason = "not ready: the controller is in state DISABLE: adminMode is OFFLINE"
        expect(page.locator("#link")).to_have_text(reason)
        late = browser.new_page()
        late.goto(str(httpx.URL(proxy.url).join("/")))
        expect(late.locator("#link")).to_have_text(reason)
        controller.adminMode = 0
        for each in (page, late):
            expect(each.locator("#link")).to_have_text("live")
        browser.close()


def test_the_parts_stay_together_on_a_large_screen(page: Page) -> None:
    page.set_viewport_size({"width": 1920, "height": 3000})
    timeline, lists = page.locator("#timeline").bounding_box(), page.locator("#lists").bounding_box()
    assert timeline is not None
    assert lists is not None
    assert lists["y"] - (timeline["y"] + timeline["height"]) < 40


def test_every_control_has_a_name(page: Page) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=button]")]
            .filter((each) => !each.labels?.length)
            .filter((each) => !each.getAttribute("aria-label") && !each.textContent.trim())
            .map((each) => each.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize("viewer", ["docs", "redoc"])
def test_the_description_is_shown_without_the_internet(served: str, viewer: str) -> None:
    failures: list[str | None] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("requestfailed", lambda request: failures.append(request.failure))
        page.goto(str(httpx.URL(served).join(f"/{viewer}")))
        expect(page.get_by_text("Prune History").first).to_be_attached()
        page.wait_for_load_state("networkidle")
        browser.close()
    # What a viewer would have from elsewhere is refused before anybody is asked.
    assert set(failures) <= {"csp"}

"""The page in a browser, against a cloud that answers as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import chromium
from tests.console_cloud import FakeCloud, Refused, activity, bulk_jobs, says_no, triggered

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:playwright.*")

expect.set_options(timeout=60_000)  # milliseconds: a loaded machine

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Open]:
    """Opens the page; whatever its scripts throw, or the policy stops, fails the test."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def opened(*, width: int = 1280, theme: Any = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.clock.install()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console", lambda message: faults.append(message.text) if "Content Security" in message.text else None
        )  # fmt: skip
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    from PIL import Image

    path = tmp_path / "dog.jpg"
    Image.new("RGB", (64, 48), (120, 80, 40)).save(path)
    return path


def later(page: Page, seconds: int = 5) -> None:
    """Let the page's time pass, without waiting for it."""
    page.clock.run_for(1000 * seconds)


def drop(page: Page, photo: Path) -> None:
    """As a file manager does it."""
    page.evaluate(
        """async (bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dog.jpg", { type: "image/jpeg" }));
            const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
            document.getElementById("drop").dispatchEvent(event);
        }""",
        list(photo.read_bytes()),
    )  # fmt: skip


def test_a_dropped_photo_is_answered_with_names_and_probabilities(
    open_page: Open, cloud: FakeCloud, photo: Path
) -> None:
    page = open_page()
    drop(page, photo)
    expect(page.locator("#best")).to_have_text("Bernese mountain dog 93.4%")
    expect(page.locator("#top li")).to_have_count(3)
    expect(page.locator("#times")).to_contain_text("19.8 ms at the endpoint")
    expect(page.locator("#times")).to_contain_text("variant primary")
    expect(page.locator("#preview")).to_be_visible()
    assert json.loads(cloud.asked("Invoke")[0]["Payload"])["top_k"] == 5


def test_an_address_is_asked_about_with_the_keyboard_alone(open_page: Open, cloud: FakeCloud) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_text("To the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#photo")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("https://example.com/dog.jpg")
    page.keyboard.press("Enter")
    expect(page.locator("#best")).to_contain_text("Bernese")
    assert json.loads(cloud.asked("Invoke")[0]["Payload"])["url"] == "https://example.com/dog.jpg"


def test_a_refused_photo_is_told_as_the_function_says_it(
    open_page: Open, cloud: FakeCloud, photo: Path
) -> None:
    cloud.says["Invoke"] = says_no("The image is truncated.")
    page = open_page()
    page.set_input_files("#photo", photo)
    expect(page.get_by_role("alert").filter(has_text="The image is truncated.")).to_be_visible()
    expect(page.locator("#answer")).to_be_hidden()
    cloud.says["Invoke"] = FakeCloud().says["Invoke"]
    page.set_input_files("#photo", photo)
    expect(page.locator("#best")).to_contain_text("Bernese")
    expect(page.locator("#ask-error")).to_be_hidden()


def test_every_chart_of_traffic_fills(open_page: Open) -> None:
    page = open_page()
    for title in ("Requests a minute", "Instances", "Model latency", "Requests at once", "Errors a minute"):
        chart = page.locator("#traffic figure").filter(has_text=title).first
        expect(chart.locator("svg path.line").first).to_be_attached()
    expect(page.locator("#traffic figure").filter(has_text="Model latency")).to_contain_text("p99")
    expect(page.locator("#traffic")).to_contain_text("target 100")
    expect(page.locator("#traffic")).to_contain_text("most 4")
    expect(page.locator("#function figure")).to_have_count(3)


def test_a_change_of_the_instance_count_appears(open_page: Open, cloud: FakeCloud) -> None:
    page = open_page()
    expect(page.locator("#instances")).to_contain_text("2 instances · 1 to 4 allowed")
    cloud.scale(2, desired=4)
    later(page)
    expect(page.locator("#instances")).to_contain_text("2 instances, 2 more on the way")
    cloud.scale(4)
    later(page)
    expect(page.locator("#instances")).to_contain_text("4 instances ·")


def test_activities_say_from_where_to_where_and_why(open_page: Open, cloud: FakeCloud) -> None:
    cloud.says["DescribeScalingActivities"]["ScalingActivities"].insert(
        0, activity(9, 3, 30, triggered("High"), StatusCode="InProgress")
    )
    page = open_page()
    entries = page.locator(".activities > li")
    expect(entries).to_have_count(5)
    expect(entries.nth(0)).to_contain_text("2 → 3")
    expect(entries.nth(0)).to_contain_text("InProgress")
    expect(entries.nth(1)).to_contain_text("3 → 2")
    expect(entries.nth(1)).to_contain_text("metric below target")
    expect(entries.nth(2)).to_contain_text("not scaled: already at the maximum")
    expect(page.locator(".alarms > li").first).to_contain_text("target tracking: scale out")
    expect(page.locator(".alarms > li").first).to_contain_text("in alarm")


def test_a_panel_that_fails_leaves_the_others_alone(open_page: Open, cloud: FakeCloud) -> None:
    cloud.says["GetMetricData"] = Refused(
        "AccessDenied", "not authorized to perform: cloudwatch:GetMetricData"
    )
    cloud.says["DescribeAlarms"] = Refused("Throttling", "Rate exceeded")
    page = open_page()
    expect(page.locator("#traffic .error")).to_contain_text("Your credentials may not call GetMetricData.")
    expect(page.locator("#alarms .error")).to_contain_text("AWS is throttling")
    expect(page.locator("#instances")).to_contain_text("2 instances")
    expect(page.locator(".activities > li")).to_have_count(4)


def test_what_was_shown_stays_when_the_cloud_goes_away(open_page: Open, cloud: FakeCloud) -> None:
    page = open_page()
    expect(page.locator("#instances")).to_contain_text("2 instances")
    cloud.says["DescribeEndpoint"] = Refused("InternalFailure", "later", 500)
    later(page)
    expect(page.locator("#endpoint .error")).to_contain_text("Shown is what was at")
    expect(page.locator("#instances")).to_contain_text("2 instances")
    cloud.scale(3)
    later(page, 10)
    expect(page.locator("#instances")).to_contain_text("3 instances")
    expect(page.locator("#endpoint .error")).to_be_hidden()


def test_jobs_open_to_their_curves(open_page: Open) -> None:
    page = open_page()
    entries = page.locator("#jobs .entry")
    expect(entries).to_have_count(2)
    entries.nth(0).locator("summary").click()
    expect(entries.nth(0).locator("figure")).to_have_count(2)
    expect(entries.nth(0).locator("path.line").first).to_be_attached()
    entries.nth(1).locator("summary").press("Enter")
    expect(entries.nth(1).locator("figure")).to_contain_text("best 0.4")


def test_a_bulk_job_is_shown_and_opens_to_nothing(open_page: Open, cloud: FakeCloud) -> None:
    cloud.says["ListTransformJobs"] = bulk_jobs()
    page = open_page()
    job = page.locator("#jobs .entry", has_text="kennel-dev-bulk")
    expect(job).to_contain_text("bulk · ")
    expect(job).to_contain_text("Completed")
    expect(job.locator("summary")).to_have_count(0)


def test_a_stage_with_nothing_in_it_says_what_to_do(open_page: Open, cloud: FakeCloud) -> None:
    cloud.outputs = {}
    page = open_page()
    expect(page.locator("#pulse")).to_contain_text("Nothing is deployed")
    expect(page.locator("#endpoint")).to_contain_text("./inv apply")
    page.locator("#url").fill("https://example.com/dog.jpg")
    page.locator("#ask-url").click()
    expect(page.locator("#ask-error")).to_contain_text("A prediction needs a deployed function.")


def test_a_paused_page_asks_nothing(open_page: Open, cloud: FakeCloud) -> None:
    page = open_page()
    expect(page.locator("#instances")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
    page.wait_for_load_state("networkidle")
    asked = len(cloud.asked("DescribeEndpoint"))
    cloud.scale(3)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#instances")).to_contain_text("3 instances")
    assert len(cloud.asked("DescribeEndpoint")) == asked + 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_accessible_and_fits(
    open_page: Open, photo: Path, theme: str, width: int
) -> None:  # contrast included
    page = open_page(width=width, theme=theme)
    page.set_input_files("#photo", photo)
    expect(page.locator("#best")).to_contain_text("Bernese")
    expect(page.locator("#traffic svg").first).to_be_attached()
    expect(page.locator(".activities > li").first).to_be_visible()
    page.locator("#jobs summary").first.click()
    expect(page.locator("#jobs figure").first).to_be_visible()
    found = Axe().run(
        page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}
    )
    assert [
        (each["id"], node["html"]) for each in found.response["violations"] for node in each["nodes"]
    ] == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_first_paint_does_not_wait_for_the_cloud(open_page: Open, cloud: FakeCloud) -> None:
    cloud.says["DescribeEndpoint"] = Refused("RequestTimeout", "", 408)
    page = open_page()
    expect(page.get_by_role("heading", name="Ask about a photo")).to_be_visible()
    expect(page.locator("#stage")).to_have_text("dev")

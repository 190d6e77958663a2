"""The page at ``/`` in a real browser: see docs/decisions/page.md for what it promises."""

import re
import shutil
import subprocess
import threading
from base64 import b64encode

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from support.http import JPEG, image_bytes
from support.server import in_a_thread

from app.main import create_app
from app.settings import Settings


def choose(page: Page, file) -> None:
    """Choose an image, and wait until it is shown with what it could become."""
    page.set_input_files("#file", file)
    expect(page.locator("#plan-summary")).to_contain_text(file.name)
    settled(page)


def settled(page: Page) -> None:
    expect(page.locator("#change")).not_to_have_attribute("aria-busy", "true")


def fact(page: Page, name: str):
    return page.locator(".fact", has=page.get_by_role("heading", name=name)).locator(".value")


def download(page: Page) -> bytes:
    with page.expect_download() as started:
        page.click("#download")
    return started.value.path().read_bytes()


def analysed(url: str, image: bytes, **query) -> dict:
    answer = httpx.post(f"{url}/analyze", params=query, content=image, headers=JPEG)
    return answer.raise_for_status().json()


def crops_on(page: Page) -> int:
    return page.locator("#figure .crop").count()


def transfer(page: Page, name: str, kind: str, data: bytes):
    """A DataTransfer with one file, as the system hands one over."""
    return page.evaluate_handle(
        """([name, type, data]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const held = new DataTransfer();
            held.items.add(new File([bytes], name, { type }));
            return held;
        }""",
        [name, kind, b64encode(data).decode()],
    )


def test_a_size_that_is_typed_is_planned_at_once(open_page, url):
    """Crops, tokens by kind, overlap and latency are those that the API answers."""
    page = open_page()
    page.fill("#width", "640")
    page.fill("#height", "427")
    plan = httpx.get(f"{url}/plan?width=640&height=427").json()
    expect(page.locator("#plan-summary")).to_contain_text("640 × 427 px: 2×3")
    assert crops_on(page) == plan["tiling"]["crops"] == 6
    expect(fact(page, "Prompt tokens")).to_have_text("740 tokens")
    kinds = page.locator(".legend li").all_inner_texts()
    assert kinds == [
        f"{kind} {plan['tokens'][kind]}" for kind in ("patch", "column", "start", "end")
    ]
    expect(fact(page, "Overlap")).to_contain_text("42.9 %")
    expect(fact(page, "Latency")).to_contain_text(f"{plan['latency']['vision_ms']['p50']:.0f} ms")


def test_crops_lie_where_the_plan_has_them(open_page, url):
    """Each box is drawn at its place on the canvas, to a pixel of the screen."""
    page = open_page("/#width=640&height=427")
    plan = httpx.get(f"{url}/plan?width=640&height=427").json()
    canvas = page.locator("#figure .canvas").bounding_box()
    scale = canvas["width"] / plan["canvas"]["width"]
    for crop, box in zip(plan["crops"], page.locator("#figure .crop").all(), strict=True):
        drawn = box.bounding_box()
        x0, y0, x1, y1 = (side * scale for side in crop["canvas_box"])
        assert drawn["x"] - canvas["x"] == pytest.approx(x0, abs=1)
        assert drawn["y"] - canvas["y"] == pytest.approx(y0, abs=1)
        assert (drawn["width"], drawn["height"]) == pytest.approx((x1 - x0, y1 - y0), abs=1)


def test_the_next_cliffs_are_where_the_tiling_changes(open_page, url):
    """One px less than the page says changes nothing, and just so many change it as said."""
    page = open_page("/#width=640&height=427")
    texts = page.locator("#cliffs li").all_inner_texts()
    assert len(texts) == 4
    for text in texts:
        by, word, tiling, tokens = re.match(
            r"(\d+) px (\w+): (\d+×\d+), \d+ crops?, ([\d,]+) tokens", text
        ).groups()
        side, sign = {
            "narrower": ("width", -1),
            "wider": ("width", 1),
            "shorter": ("height", -1),
            "taller": ("height", 1),
        }[word]
        size = {"width": 640, "height": 427}
        before = httpx.get(f"{url}/plan", params=size | {side: size[side] + sign * (int(by) - 1)})
        beyond = httpx.get(f"{url}/plan", params=size | {side: size[side] + sign * int(by)})
        assert before.json()["tiling"] == {"rows": 2, "cols": 3, "crops": 6, "total_crops": 7}
        found = beyond.json()["tiling"]
        assert f"{found['rows']}×{found['cols']}" == tiling != "2×3"
        assert beyond.json()["tokens"]["prompt"] == int(tokens.replace(",", ""))


def test_an_image_that_is_dropped_is_shown_with_its_crops(open_page, photo_bytes):
    """It is drawn from the user's machine, at its place on the canvas."""
    page = open_page()
    held = transfer(page, "rocket.jpg", "image/jpeg", photo_bytes)
    page.dispatch_event("body", "dragenter", {"dataTransfer": held})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": held})
    expect(page.locator("#drop")).to_be_hidden()
    expect(page.locator("#plan-summary")).to_contain_text("rocket.jpg, 640 × 427 px, 113 kB")
    assert crops_on(page) == 6
    shown = page.locator("#figure img")
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 640
    box, canvas = shown.bounding_box(), page.locator("#figure .canvas").bounding_box()
    assert box["height"] / canvas["height"] == pytest.approx(523 / 560, abs=0.005)


def test_an_image_that_is_pasted_is_taken(open_page, photo_bytes):
    page = open_page()
    held = transfer(page, "clip.jpg", "image/jpeg", photo_bytes)
    page.evaluate(
        "held => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: held}))", held
    )
    expect(page.locator("#plan-summary")).to_contain_text("clip.jpg, 640 × 427 px")


@pytest.mark.parametrize("target", [1, 4, 8, 12])
def test_the_slider_gives_the_crops_it_promises(open_page, photo, url, target):
    """The download, analysed again, has just the crops and tokens that the page says."""
    page = open_page()
    choose(page, photo)
    page.locator("#target").fill(str(target))
    expect(page.locator("#target-value")).to_have_text(f"{target} + 1")
    expect(page.locator("#change-summary")).to_contain_text(f" {target} crop")
    settled(page)
    made = download(page)
    plan = analysed(url, made)
    assert plan["tiling"]["crops"] == target
    then = dict(zip(*rows_and_column(page, 2), strict=True))
    assert then["Grid crops"] == str(target)
    assert then["Prompt tokens"] == f"{plan['tokens']['prompt']:,}"
    assert then["Size"] == f"{plan['image']['width']} × {plan['image']['height']} px"
    assert page.locator("#change figure:nth-of-type(2) .crop").count() == target


def rows_and_column(page: Page, column: int) -> tuple[list[str], list[str]]:
    table = page.locator("#change .differences tbody")
    cells = table.locator(f"td:nth-of-type({column})").all_inner_texts()
    return table.locator("th").all_inner_texts(), cells


@pytest.mark.parametrize(
    ("by", "query", "within"),
    [
        ("Token budget", "max_tokens", lambda plan: plan["tokens"]["prompt"]),
        ("Latency budget", "latency_budget_ms", lambda plan: plan["latency"]["vision_ms"]["p95"]),
    ],
)
def test_a_budget_is_kept_by_what_is_downloaded(open_page, photo, url, by, query, within):
    page = open_page()
    choose(page, photo)
    page.get_by_label(by).check()
    settled(page)
    budget = int(page.locator("#target").input_value())
    assert f"{query}={budget}" in page.locator("#change code").last.inner_text()
    plan = analysed(url, download(page))
    assert within(plan) <= budget
    assert plan["tiling"]["crops"] < 6
    assert "SSIM" in page.locator("#change").inner_text()


def test_the_slider_goes_by_keyboard(open_page, photo):
    """From the focus on, arrow keys change the target and the image follows."""
    page = open_page()
    choose(page, photo)
    page.locator("#target").focus()
    page.keyboard.press("Home")
    expect(page.locator("#change-summary")).to_contain_text("1×1, 1 crop,")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#change-summary")).to_contain_text("1×2, 2 crops,")


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_the_curl_that_is_shown_gives_the_same_image(open_page, photo):
    """Word for word, in a shell, beside a file of that name: also of a name made to break it."""
    name = """it's "<b>$(touch owned)</b>" & co.jpg"""
    photo = photo.rename(photo.with_name(name.replace("/", "_")))
    page = open_page()
    choose(page, photo)
    command = page.locator("#change code").last.inner_text()
    subprocess.run(["sh", "-c", f"{command} -sS"], cwd=photo.parent, check=True, timeout=60)
    written = {file.name for file in photo.parent.iterdir()} - {photo.name}
    assert len(written) == 1
    assert "4crops" in next(iter(written))
    assert (photo.parent / written.pop()).read_bytes() == download(page)


def test_an_unreachable_target_is_a_sentence_and_says_what_can_be_reached(open_page, photo):
    """One click on what can be reached goes there."""
    page = open_page()
    choose(page, photo)
    page.locator("#target").fill("5")
    page.select_option("#mode", "fit")
    alert = page.locator("#change-problem")
    expect(alert).to_contain_text("5 crops is not reachable for a 640x427 image with mode=fit")
    alert.get_by_role("button", name="8", exact=True).click()
    expect(alert).to_be_hidden()
    expect(page.locator("#change-summary")).to_contain_text("8 crops")


def test_what_is_no_image_is_refused_in_a_sentence_and_loses_nothing(open_page, photo, tmp_path):
    """The image before stays, and so does the size."""
    page = open_page()
    choose(page, photo)
    text = tmp_path / "notes.txt"
    text.write_text("not an image")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photo.read_bytes()[:20_000])
    for file in (text, cut):
        page.set_input_files("#file", file)
        problem = page.locator("#problem")
        expect(problem).to_contain_text(f"{file.name}: ")
        assert re.search(r"\.$", problem.inner_text())
        expect(page.locator("#plan-summary")).to_contain_text("rocket.jpg, 640 × 427 px")
        assert page.input_value("#width") == "640"
    choose(page, photo)
    expect(page.locator("#problem")).to_be_hidden()


def test_settings_that_cannot_be_are_said_and_then_forgotten(open_page):
    page = open_page()
    page.fill("#max-crops", "65")
    expect(page.locator("#problem")).to_contain_text("max_crops")
    page.fill("#max-crops", "4")
    expect(page.locator("#problem")).to_be_hidden()
    expect(fact(page, "Crops")).to_contain_text("4 + 1")


def test_family_and_configuration_can_be_switched(open_page, url):
    """Whatever is set goes into every call; Molmo 2 shows no padding, as it stretches."""
    page = open_page("/#width=784&height=560")
    assert page.locator("#figure .padding").count() == 0
    page.fill("#width", "640")
    page.fill("#height", "427")
    expect(page.locator("#figure .padding")).to_have_count(2)
    page.select_option("#model", "molmo2-8b")
    plan = httpx.get(f"{url}/plan?width=640&height=427&model=molmo2-8b").json()
    expect(fact(page, "Prompt tokens")).to_have_text(f"{plan['tokens']['prompt']} tokens")
    expect(page.locator("#figure .padding")).to_have_count(0)
    assert page.get_attribute("#max-crops", "placeholder") == "8"
    page.get_by_text("More", exact=True).click()
    page.fill("#margins", "4,6")
    plan = httpx.get(f"{url}/plan?width=640&height=427&model=molmo2-8b&overlap_margins=4,6").json()
    expect(fact(page, "Prompt tokens")).to_have_text(f"{plan['tokens']['prompt']} tokens")


def test_what_is_entered_is_in_the_address(open_page):
    """So that it can be kept and sent."""
    page = open_page()
    page.fill("#width", "900")
    page.fill("#max-crops", "6")
    page.select_option("#model", "molmo2-4b")
    expect(fact(page, "Crops")).to_contain_text("6 + 1")
    page.wait_for_function("location.hash.includes('molmo2-4b')")
    again = open_page("/" + page.evaluate("location.hash"))
    for field in ("#width", "#height", "#max-crops", "#model"):
        assert again.input_value(field) == page.input_value(field)


def test_an_address_full_of_rubbish_is_a_page_all_the_same(open_page):
    """What can be used of it is; the rest is as if it were not there."""
    page = open_page("/#width=-5&height=427&model=gpt&max_crops=1e9&overlap_margins=<b>&x=%00%FF")
    assert page.input_value("#width") == "1024"
    assert page.input_value("#height") == "427"
    assert page.input_value("#model") == "molmo-7b-d-0924"
    assert page.input_value("#max-crops") == ""
    expect(page.locator("#problem")).to_be_hidden()


def test_the_chart_shows_where_the_image_is_and_sets_the_target(open_page, photo):
    """Tokens and latency each have a mark of the image, over its own count."""
    page = open_page()
    choose(page, photo)
    marks = page.locator("#chart .here").all()
    assert len([mark for mark in marks if mark.evaluate("e => e.localName") == "circle"]) == 2
    tick = page.locator("#chart .tick.middle", has_text=re.compile("^6$")).bounding_box()
    for mark in page.locator("#chart circle.here").all():
        box = mark.bounding_box()
        middle = tick["x"] + tick["width"] / 2
        assert box["x"] + box["width"] / 2 == pytest.approx(middle, abs=2)
    chart = page.locator("#chart svg")
    nine = page.locator("#chart .tick.middle", has_text=re.compile("^9$")).bounding_box()
    chart.click(position={"x": nine["x"] - chart.bounding_box()["x"] + 4, "y": 80})
    expect(page.locator("#change-summary")).to_contain_text("3×3, 9 crops")
    page.get_by_text("As a table").click()
    current = page.locator("#table tr.current")
    expect(current).to_contain_text("2×3")
    expect(current).to_contain_text("740")


def test_crops_can_be_walked_by_keyboard(open_page):
    """Arrow keys select a crop, and what it shows is said."""
    page = open_page("/#width=640&height=427")
    page.locator("#figure .canvas").focus()
    for key, number in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowDown", 4), ("End", 5)):
        page.keyboard.press(key)
        expect(page.locator("#crop-detail")).to_contain_text(f"Crop {number}, row")
        expect(page.locator("#figure [aria-selected=true]")).to_have_attribute(
            "data-index", str(number)
        )
    page.keyboard.press("Escape")
    expect(page.locator("#figure [aria-selected=true]")).to_have_count(0)


def test_everything_is_reached_by_tab(open_page, photo):
    """The order is that of the page, nothing traps the focus, and it is always seen."""
    page = open_page()
    choose(page, photo)
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.id || document.activeElement.className")
        if page.evaluate("document.activeElement === document.body"):
            break
        outline = page.evaluate(
            """() => { const e = document.activeElement;
            const seen = e.id === 'file' ? e.previousElementSibling : e;
            return getComputedStyle(seen).outlineStyle; }"""
        )
        assert outline != "none", name
        reached.append(name)
    wanted = ["file", "width", "height", "model", "max-crops", "canvas", "target", "mode"]
    wanted += ["never-enlarge", "download"]
    assert [name for name in reached if name in wanted and name != "canvas"] == [
        name for name in wanted if name != "canvas"
    ]
    assert "canvas" in reached


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_screen_is_too_narrow(open_page, photo, width):
    """Nothing sticks out to the side, and everything to be pressed lies within the screen."""
    page = open_page(viewport={"width": width, "height": 800})
    choose(page, photo)
    page.locator("details.more summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for control in page.locator("main :is(button, input, select, a.button, summary)").all():
        box = control.bounding_box()
        if box and box["width"] > 1:
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    assert page.locator("#figure .canvas").bounding_box()["width"] > 0.6 * min(width, 640)


CONTRASTS = """() => {
  const channels = (colour) => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const under = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = channels(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!text || !element.checkVisibility() || element.closest('noscript')) continue;
    const style = getComputedStyle(element);
    const ink = channels(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [luminance(ink), luminance(under(element))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) low.push(`${element.localName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_themes(open_page, photo, scheme):
    """Every text has a contrast of at least 4.5 with what is behind it (WCAG AA)."""
    page = open_page(color_scheme=scheme)
    choose(page, photo)
    page.locator("#target").fill("5")
    page.select_option("#mode", "fit")
    expect(page.locator("#change-problem")).to_be_visible()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert page.evaluate(CONTRASTS) == []


def test_a_large_file_shows_how_far_it_is_and_can_be_given_up(open_page, photo, tmp_path):
    """What was there before stays."""
    large = tmp_path / "large.png"
    large.write_bytes(image_bytes(1200, 900, "PNG"))
    page = open_page()
    choose(page, photo)
    network = page.context.new_cdp_session(page)
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000},
    )
    page.set_input_files("#file", large)
    expect(page.locator("#progress-text")).to_have_text(
        re.compile(r"Uploading: [\d.]+ [kM]B of [\d.]+ MB")
    )
    page.click("#progress-cancel")
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#plan-summary")).to_contain_text("rocket.jpg")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_file_that_is_carried_off_again_leaves_the_page_free(open_page, photo_bytes):
    """Also when what it was over has been drawn anew meanwhile."""
    page = open_page()
    held = transfer(page, "rocket.jpg", "image/jpeg", photo_bytes)
    page.dispatch_event("#figure .canvas", "dragenter", {"dataTransfer": held})
    expect(page.locator("#drop")).to_be_visible()
    page.fill("#max-crops", "4")
    expect(fact(page, "Crops")).to_contain_text("4 + 1")
    page.dispatch_event("body", "dragenter", {"dataTransfer": held})
    page.dispatch_event("body", "dragleave", {"dataTransfer": held})
    expect(page.locator("#drop")).to_be_hidden()


def test_an_upload_goes_on_while_the_configuration_is_switched(open_page, photo, tmp_path):
    """What is switched meanwhile holds for the image that arrives."""
    large = tmp_path / "large.png"
    large.write_bytes(image_bytes(1200, 900, "PNG"))
    page = open_page()
    choose(page, photo)
    network = page.context.new_cdp_session(page)
    speed = {"offline": False, "latency": 0, "downloadThroughput": -1}
    slow, fast = ({**speed, "uploadThroughput": each} for each in (300_000, -1))
    network.send("Network.emulateNetworkConditions", slow)
    page.set_input_files("#file", large)
    expect(page.locator("#progress")).to_be_visible()
    page.select_option("#model", "molmo2-8b")
    expect(page.locator("#plan-summary")).to_contain_text("rocket.jpg, 640 × 427 px, 113 kB: 2×2")
    expect(page.locator("#progress")).to_be_visible()
    network.send("Network.emulateNetworkConditions", fast)
    expect(page.locator("#plan-summary")).to_contain_text("large.png, 1200 × 900 px")
    assert page.input_value("#model") == "molmo2-8b"


def test_an_answer_that_comes_late_changes_nothing(open_page, url):
    """Not the message about what was entered since, nor the address."""
    page = open_page()
    held = []
    page.route(f"{url}/plan?width=700&**", lambda route: held.append(route))
    with page.expect_request(f"{url}/plan?width=700&**"):
        page.fill("#width", "700")
    page.fill("#width", "")
    expect(page.locator("#problem")).to_contain_text("Width in px: ")
    for route in held:
        route.continue_()
    page.wait_for_timeout(300)
    expect(page.locator("#problem")).to_be_visible()
    expect(page.locator("body")).not_to_have_attribute("aria-busy", "true")
    assert "width=1024&height=768" in page.url


def test_the_image_stays_until_there_is_another(open_page, photo):
    """A size that is none takes nothing away: what is shown can still be resized and seen."""
    page = open_page()
    choose(page, photo)
    page.fill("#width", "")
    expect(page.locator("#problem")).to_be_visible()
    page.locator("#target").fill("1")
    expect(page.locator("#change-summary")).to_contain_text("1×1, 1 crop,")
    for image in page.locator("#change img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    expect(page.locator("#change img")).to_have_count(2)


def test_a_file_can_be_chosen_again(open_page, photo, url):
    """After the service was away, or when the file has changed."""
    page = open_page(expected="net::ERR_FAILED")
    page.route(f"{url}/analyze**", lambda route: route.abort())
    page.set_input_files("#file", photo)
    expect(page.locator("#problem")).to_contain_text("rocket.jpg: The service does not answer.")
    page.unroute_all()
    choose(page, photo)
    photo.write_bytes(image_bytes(800, 500))
    page.set_input_files("#file", photo)
    expect(page.locator("#plan-summary")).to_contain_text("rocket.jpg, 800 × 500 px")


def test_an_address_that_is_entered_on_the_page_is_shown(open_page):
    """The browser loads nothing anew for it; what it does not say is as on a new page."""
    page = open_page("/#width=640&height=480&model=molmo2-8b&max_crops=6")
    page.evaluate("location.hash = '#width=336&height=336'")
    expect(page.locator("#plan-summary")).to_contain_text("336 × 336 px: 1×1")
    assert (page.input_value("#max-crops"), page.input_value("#model")) == ("", "molmo-7b-d-0924")


def test_a_phone_photo_stands_upright(open_page, tmp_path):
    """Its orientation is applied to the size, the picture and the crops alike."""
    turned = tmp_path / "phone.jpg"
    turned.write_bytes(image_bytes(800, 500, orientation=6))
    page = open_page()
    choose(page, turned)
    assert (page.input_value("#width"), page.input_value("#height")) == ("500", "800")
    shape = page.locator("#figure img").evaluate("i => [i.naturalWidth, i.naturalHeight]")
    assert shape == [500, 800]


def test_a_file_that_the_browser_cannot_show_is_planned_all_the_same(open_page, tmp_path):
    """Chromium shows no TIFF; the service takes it."""
    file = tmp_path / "scan.tiff"
    Image.new("RGB", (640, 427), "teal").save(file)
    page = open_page()
    choose(page, file)
    assert crops_on(page) == 6
    expect(page.locator("#figure .ground")).to_contain_text("cannot show this file")


def test_a_service_that_has_gone_is_said(open_page, url):
    """And when it is back, so is everything."""
    page = open_page(expected="net::ERR_FAILED")
    page.route(f"{url}/plan**", lambda route: route.abort())
    page.fill("#width", "700")
    expect(page.locator("#problem")).to_contain_text("The service does not answer.")
    page.unroute_all()
    page.fill("#width", "701")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#plan-summary")).to_contain_text("701 × 768 px")


@pytest.mark.parametrize("form", ["png", "svg"])
def test_pictures_are_those_of_the_service(open_page, photo, url, form):
    """Each kind is shown, and its download is what the API draws of the same file."""
    page = open_page()
    choose(page, photo)
    page.select_option("#form", form)
    for kind in ("crops", "comparison", "statistics", "coverage"):
        page.get_by_role("button", name=kind.capitalize(), exact=True).click()
        link = page.get_by_role("link", name=f"Download rocket.{kind}.{form}")
        shown = page.locator("#drawn img")
        link.wait_for()
        assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") > 600
        with page.expect_download() as started:
            link.click()
        query = {"kind": kind, "format": form}
        drawn = httpx.post(
            f"{url}/overlay", params=query, content=photo.read_bytes(), headers=JPEG, timeout=60
        )
        assert started.value.path().read_bytes() == drawn.content


def test_a_size_alone_has_pictures_too(open_page):
    page = open_page("/#width=640&height=480&model=molmo2-8b")
    page.get_by_role("button", name="Coverage").click()
    expect(page.locator("#drawn img")).to_have_attribute("alt", "The coverage of 640 × 480 px")
    assert "overlay?width=640&height=480&kind=coverage" in page.locator("#drawn code").inner_text()


def test_latencies_come_when_they_are_measured(open_page, fake_encoder):
    """Until then the page says what it waits for; nobody has to reload it."""
    loaded = threading.Event()

    def load():
        loaded.wait(60)
        return fake_encoder

    with in_a_thread(create_app(Settings(), load)) as address:
        page = open_page("/#width=300&height=300", at=address, expected="status of 503")
        expect(page.locator("#facts")).to_contain_text("The encoder is being loaded")
        loaded.set()
        expect(fact(page, "Latency")).to_have_text("20.5 ms to vision tokens, median")


def test_latencies_that_come_leave_all_else_as_it_is(open_page, photo, url):
    """A crop that is selected keeps the focus, and the image is not sent again."""
    page = open_page()
    encoder = {"state": "ready", "profile": "measuring", "profiled": 1, "to_profile": 13}
    known = {"basis": "model", "p50": 100.0}

    def ready(route):
        route.fulfill(json={"encoder": encoder})

    def plan(route):
        answer = route.fetch().json()
        answer["latency"]["basis"] = known["basis"]
        answer["latency"]["vision_ms"]["p50"] = known["p50"]
        route.fulfill(json=answer)

    page.route(f"{url}/readyz", ready)
    page.route(f"{url}/plan?**", plan)
    choose(page, photo)
    expect(fact(page, "Latency")).to_contain_text("100 ms")
    page.locator("#figure .canvas").focus()
    page.keyboard.press("ArrowRight")
    sent = []
    page.on("request", lambda request: sent.append(request.method))
    known.update(basis="measured", p50=150.0)
    encoder["profiled"] = 2
    expect(fact(page, "Latency")).to_contain_text("150 ms")
    # Measured once; the last samples are worth waiting for, too.
    known["p50"] = 200.0
    encoder["profile"] = "complete"
    expect(fact(page, "Latency")).to_contain_text("200 ms")
    row = page.locator(".differences tr", has_text="Latency, median")
    expect(row.locator("td").nth(1)).to_have_text("200 ms")
    expect(page.locator("#crop-detail")).to_contain_text("Crop 0, row 1")
    assert page.evaluate("document.activeElement.className") == "canvas"
    assert "POST" not in sent

"""The page in a real browser."""

import io
import shutil

import pytest
from PIL import Image

from tests.effnet.serving.running import b64

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")

DROP = """async ([base64, name, type]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const files = new DataTransfer();
  files.items.add(new File([bytes], name, { type }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
    document.getElementById("drop").dispatchEvent(event);
  }
}"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as runner:
        found = runner.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(params=[1280, 390], ids=["desktop", "phone"])
def page(request, browser, server):
    phone = request.param < 500
    context = browser.new_context(viewport={"width": request.param, "height": 844}, has_touch=phone, is_mobile=phone)
    found = context.new_page()
    said = []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("request", lambda asked: said.append(asked.url) if elsewhere(asked.url, server) else None)
    found.goto(f"http://127.0.0.1:{server.port}/")
    found.wait_for_selector("#card div")
    yield found
    assert [
        text for text in said if "400 (Bad Request)" not in text
    ] == []  # nothing went wrong, nothing came from outside
    assert found.evaluate("document.documentElement.scrollWidth") <= request.param  # nothing sticks out
    context.close()


def elsewhere(url, server):
    return not url.startswith((f"http://127.0.0.1:{server.port}/", "blob:", "data:"))


def shown(page):
    page.wait_for_selector("#classes li")
    page.wait_for_selector(".answer:not([aria-busy])")
    return page.locator("#classes .name").all_inner_texts(), page.locator("#classes .share").all_inner_texts()


def test_a_photograph_that_is_dropped(page, server, photographs):
    page.evaluate(DROP, [b64(photographs["cat"])["b64"], "cat.jpg", "image/jpeg"])
    names, shares = shown(page)
    right = server.classify(photographs["cat"]).document["predictions"][0]
    assert [name.split("\n")[0] for name in names] == [name.split(", ")[0] for name in right["classes"]]
    assert shares == [f"{100 * share:.1f} %" for share in right["probabilities"]]
    timing = page.locator("#timing").inner_text()
    assert timing.count(" ms") == 4
    assert page.locator("#preview").is_visible()
    # Another one: the answer is its own.
    page.evaluate(DROP, [b64(photographs["coffee"])["b64"], "coffee.png", "image/png"])
    other = server.classify(photographs["coffee"]).document["predictions"][0]["classes"]
    page.wait_for_function(
        "text => document.getElementById('file-facts').textContent.startsWith(text)", arg="coffee.png"
    )
    assert [name.split("\n")[0] for name in shown(page)[0]] == [name.split(", ")[0] for name in other]
    assert other != right["classes"]  # the control


def test_a_broken_file_shows_the_server_s_error_and_the_next_one_works(page, server, photographs):
    broken = photographs["cat"][:500]
    page.set_input_files("#file", {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": broken})
    page.wait_for_selector("#error:not([hidden])")
    assert page.locator("#error").inner_text() == server.classify(broken).error
    assert page.locator("#error").get_attribute("role") == "alert"
    assert page.locator("#classes li").count() == 0
    page.set_input_files("#file", {"name": "cat.jpg", "mimeType": "image/jpeg", "buffer": photographs["cat"]})
    shown(page)
    assert page.locator("#error").is_hidden()


def test_a_rotation_that_the_camera_noted(page, server, photographs):
    # Stored upside down, with the note to turn it: what the page sends is upright, unless it is told not to.
    stored = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(io.BytesIO(photographs["cat"])).rotate(180).save(stored, "JPEG", quality=95, exif=exif)
    page.set_input_files("#file", {"name": "phone.jpg", "mimeType": "image/jpeg", "buffer": stored.getvalue()})
    turned, _ = shown(page)
    box = page.get_by_label("Turn it upright, as the camera noted")
    assert box.is_checked()
    with page.expect_response(lambda answer: answer.url.endswith(":predict")) as answered:
        box.uncheck()
    as_stored = server.classify(stored.getvalue()).document["predictions"][0]
    assert answered.value.json()["predictions"][0] == as_stored
    assert turned != shown(page)[0]


@pytest.mark.parametrize("page", [1280], indirect=True, ids=["desktop"])
def test_it_works_with_a_keyboard_and_says_what_things_are(page):
    for name in ("Choose a photograph", "Drop a photograph here"):
        assert page.get_by_text(name, exact=True).is_visible()
    assert page.locator("#file").evaluate("input => input.labels.length") == 2
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    with page.expect_file_chooser():
        page.keyboard.press("Space")
    assert "efficientnet" in page.locator("#card").inner_text()

"""The page as users see it, in headless Chromium; the screenshots in build/ are for inspection."""

import json
import pathlib
import shutil

import pytest

from keras_cdd.report.page import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCREENSHOTS = pathlib.Path(__file__).parents[2] / "build"
FILES = {"teacher.keras": "teacher", "student.keras": "student", "deploy.keras": "deploy"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]

# Everything that sticks out of the window, of the box that it may scroll in, or of its own drawing.
STICKS_OUT = """() => {
  const out = [], wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) out.push("the page");
  for (const box of document.querySelectorAll(".wide")) if (box.scrollWidth > box.clientWidth) out.push("a table");
  for (const element of document.querySelectorAll("body *")) {
    const place = element.getBoundingClientRect();
    if (place.width && (place.right > wide + 1 || place.left < -1)) out.push(element.outerHTML.slice(0, 80));
  }
  for (const text of document.querySelectorAll("svg text")) {
    const place = text.getBoundingClientRect(), drawing = text.closest("svg").getBoundingClientRect();
    const inside = place.left >= drawing.left - 1 && place.right <= drawing.right + 1
      && place.top >= drawing.top - 1 && place.bottom <= drawing.bottom + 1;
    if (!inside) out.push(text.textContent);
  }
  return out;
}"""
UNLOADED = "() => [...document.images].filter(image => !image.complete || !image.naturalWidth).length"
NUMBERS = """() => [...document.querySelectorAll("table.headline tbody tr")].map(row => [
  row.dataset.row,
  Object.fromEntries([...row.querySelectorAll("data")].map(cell => [cell.dataset.key, [cell.value, cell.innerText]]))
])"""
FIGURES = """() => [...document.querySelectorAll(".figures data")].map(cell =>
  [cell.dataset.key, cell.value, cell.innerText])"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """`open_page(path, width, ...)` opens the page offline and fails on what the console says."""
    said = []

    def open_page(path, width, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.context.set_offline(True)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", lambda request: said.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out(finished, open_page, width, scheme):
    page = open_page(write_report(finished), width, scheme)
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"report_{width}_{scheme}.png", full_page=True)
    assert page.evaluate(STICKS_OUT) == []
    assert page.evaluate(UNLOADED) == 0


def test_a_running_run_fits_too(running, open_page):
    assert open_page(write_report(running), 390).evaluate(STICKS_OUT) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_headline_is_the_summary(finished, open_page, width):
    page = open_page(write_report(finished), width)
    summary = json.loads((finished / "summary.json").read_text())
    rows = dict(page.evaluate(NUMBERS))
    assert list(rows) == [*FILES, "model_int8.tflite"]
    for file, name in FILES.items():
        expected = {key: summary[name][key] for key in ("mAP", "rank1", "num_params", "macs")}
        expected |= {"latency_ms": summary["latency_ms"][name], "bytes": (finished / file).stat().st_size}
        assert {key: float(value) for key, (value, _) in rows[file].items()} == expected
    assert {key: float(value) for key, (value, _) in rows["model_int8.tflite"].items()} == {
        **{key: summary["deploy"][key] for key in ("num_params", "macs")},
        "mAP": 73.511,
        "rank1": 80.469,
        "bytes": 151234,
        "latency_ms": 1.172,
    }
    for cells in rows.values():
        for key, (value, shown) in cells.items():
            assert float(shown.replace(",", "")) == pytest.approx(float(value), abs=0.0051), key
    for key, value, shown in page.evaluate(FIGURES):
        assert float(value) in (summary.get(key), summary["deploy"].get(key), summary["teacher"].get(key))
        assert float(shown.removesuffix(" %")) == pytest.approx(float(value), abs=0.051)


def test_dark_and_light_differ_and_charts_follow(finished, open_page):
    path = write_report(finished)
    background = "() => getComputedStyle(document.body).backgroundColor"
    line = "() => getComputedStyle(document.querySelector('svg text')).fill"
    light, dark = (open_page(path, 1280, scheme) for scheme in ("light", "dark"))
    assert light.evaluate(background) == "rgb(255, 255, 255)" != dark.evaluate(background)
    assert light.evaluate(line) != dark.evaluate(line)
    dark.emulate_media(media="print")
    assert dark.evaluate(background) == "rgb(255, 255, 255)"

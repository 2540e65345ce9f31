"""The page in a real Chromium: what is pointed at is shown, sorted, filtered, drawn, in both themes, and quickly."""

import base64
import csv
import io
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untrained.graphs import draw
from untrained.page import gather, html, write_page
from untrained.page.cells import compact
from untrained.page.explorer import Explorer, packed_column
from untrained.page.gather import Page
from untrained.page.parts import Cell, Column, Part, Section, Table
from untrained.report import load_scores
from untrained.spaces import SPACES

pytestmark = pytest.mark.browser

SPACE = SPACES["nasbench201"]
EVIL = "</script><img src=x onerror=\"document.title='run'\">"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
READY = "return document.documentElement.dataset.ready === 'yes'"
IN_PLOT = "const e = document.querySelector('.explorer').explorer, s = e.scatter; "


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A new Chromium without a profile."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in found.items():
        if path is None:
            pytest.skip(f"{name} is not installed: `make test-browser` says how to get it")
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = found["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(found["chromedriver"]))
    driver.downloads = folder / "downloads"
    yield driver
    driver.quit()


def wait(test: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = test()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen in {seconds} s")


def logged(driver: Any) -> tuple[list[str], list[str]]:
    """What the console said, and what was asked of any network, since the last call."""
    said = [entry["message"] for entry in driver.get_log("browser")]
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    sent = [e["request"]["url"] for e in asked if e["documentURL"].startswith("file:")]  # by the page, not the browser
    return said, [url for url in sent if not url.startswith(("data:", "blob:"))]


def show(driver: Any, path: Path, *, width: int = 1280, height: int = 1000, scheme: str = "light") -> None:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    media = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    logged(driver)
    driver.get(path.as_uri())
    wait(lambda: driver.execute_script(READY), "the page")


@pytest.fixture(scope="module")
def path(scored: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(gather([scored.folder], [scored.truth]), tmp_path_factory.mktemp("html") / "page.html")


@pytest.fixture
def opened(driver: Any, path: Path) -> Any:
    show(driver, path)
    driver.execute_script("try { localStorage.clear() } catch {}")
    return driver


def pointed(driver: Any, i: int) -> list[float]:
    """Move the mouse over an architecture; where it is in the plot."""
    from selenium.webdriver.common.action_chains import ActionChains

    place = driver.execute_script(IN_PLOT + "s.over.scrollIntoView({block: 'center'}); return s.pixel(arguments[0])", i)
    over = driver.find_element("css selector", ".plot .over")
    middle = over.size["width"] / 2, over.size["height"] / 2
    actions = ActionChains(driver, duration=0)
    actions.move_to_element_with_offset(over, round(place[0] - middle[0]), round(place[1] - middle[1])).perform()
    found: list[float] = place
    return found


def drawn(driver: Any) -> tuple[str, list[str]]:
    """The architecture beside the plot, and the boxes of its cell with all their lines."""
    arch = driver.find_element("css selector", ".panel .arch").text
    script = "return [...document.querySelectorAll('.panel svg.cell g.box title')].map((t) => t.textContent)"
    return arch, driver.execute_script(script)


def boxes(text: str) -> Counter[str]:
    return Counter(", ".join(lines) for lines, _ in draw.boxes_of(SPACE.cell(SPACE.parse(text)))[0])


def column(driver: Any, table: str, k: int) -> list[str]:
    script = "return [...document.querySelector(arguments[0]).tBodies[0].rows].map((r) => r.cells[arguments[1]].firstChild?.textContent ?? '')"  # noqa: E501
    found: list[str] = driver.execute_script(script, table, k)
    return found


def numbers(cells: list[str]) -> list[float]:
    return [float("nan") if cell == "–" else float(cell.replace("−", "-").replace(",", "")) for cell in cells]


def test_it_opens_from_a_file_without_errors_or_requests(driver: Any, path: Path) -> None:
    show(driver, path)
    said, sent = logged(driver)
    assert said == []
    assert sent == [path.as_uri()]


def test_pointing_shows_the_right_architecture_with_its_cell(opened: Any, scored: Any) -> None:
    archs = load_scores(scored.folder).arch
    seen = set()
    for i in (0, 17, 42, 63):
        place = pointed(opened, i)
        shown, cell = drawn(opened)
        # several architectures may lie on one spot: the one shown must be on it
        at = opened.execute_script(IN_PLOT + "return s.pixel(arguments[0])", archs.index(shown))
        assert np.hypot(at[0] - place[0], at[1] - place[1]) < 3
        assert Counter(cell) == boxes(shown)
        seen.add(shown)
    assert len(seen) == 4


def test_every_cell_drawn_has_the_operations_of_the_space(opened: Any, scored: Any) -> None:
    for i, arch in enumerate(load_scores(scored.folder).arch):
        opened.execute_script(IN_PLOT + "s.select(arguments[0])", i)
        shown, cell = drawn(opened)
        assert shown == arch
        assert Counter(cell) == boxes(arch)


def test_the_reason_of_an_undefined_score_is_shown(opened: Any, scored: Any) -> None:
    scores = load_scores(scored.folder)
    i = int(np.flatnonzero(np.isnan(scores.values["epsinas"]))[0])
    pointed(opened, i)
    opened.execute_script(IN_PLOT + "s.select(arguments[0])", i)
    values = opened.find_element("css selector", ".panel dl").text
    assert "undefined: " in values


def test_headers_sort_by_number_and_again_the_other_way(opened: Any) -> None:
    table = "table.sortable"
    coverage = opened.find_elements("css selector", f"{table} thead tr:last-child button")[6]  # tau, undefined last
    coverage.click()
    first = numbers(column(opened, table, 6))
    assert first == sorted(first)
    heads = opened.find_elements("css selector", f"{table} thead tr:last-child th")
    assert [head.get_attribute("aria-sort") for head in heads].count("ascending") == 1
    assert heads[6].get_attribute("aria-sort") == "ascending"
    coverage.click()
    assert numbers(column(opened, table, 6)) == first[::-1]
    assert heads[6].get_attribute("aria-sort") == "descending"


def test_architectures_sort_by_number_not_by_letters(opened: Any, scored: Any) -> None:
    params = load_scores(scored.folder).values["params"]
    button = opened.find_elements("css selector", ".rows thead button")[-1]
    assert button.text.startswith("params")
    button.click()
    assert numbers(column(opened, ".rows table", 3)) == sorted(params.tolist())[:25]
    button.click()
    assert numbers(column(opened, ".rows table", 3)) == sorted(params.tolist(), reverse=True)[:25]
    epsinas = opened.find_elements("css selector", ".rows thead button")[2]
    for _ in range(2):  # what has no value comes last, whichever way
        epsinas.click()
        assert not np.isnan(numbers(column(opened, ".rows table", 2))).any()


def count(driver: Any) -> int:
    return int(driver.find_element("css selector", ".status").text.split(" of ")[0].replace(",", ""))


def field(driver: Any, label: str) -> Any:
    script = "return [...document.querySelectorAll('.field')].find((f) => f.querySelector('label').textContent === arguments[0])"  # noqa: E501
    return driver.execute_script(script, label)


def test_filters_leave_what_they_say(opened: Any, scored: Any) -> None:
    from selenium.webdriver.support.ui import Select

    scores = load_scores(scored.folder)
    params = scores.values["params"]
    assert count(opened) == 80
    text = field(opened, "architecture").find_element("tag name", "input")
    text.send_keys("|nor_conv_3x3~0|+")
    assert count(opened) == sum("|nor_conv_3x3~0|+" in arch for arch in scores.arch)
    clear = next(b for b in opened.find_elements("css selector", ".filters button") if b.text == "Clear")
    clear.click()
    low, high = field(opened, "range of").find_elements("tag name", "input")
    low.send_keys("300000")
    high.send_keys("700000")
    assert count(opened) == int(((params >= 300000) & (params <= 700000)).sum())
    clear.click()
    Select(field(opened, "value of x").find_element("tag name", "select")).select_by_visible_text("undefined")
    assert count(opened) == int(np.isnan(scores.values["epsinas"]).sum())
    clear.click()
    operation = Select(field(opened, "operation").find_element("tag name", "select"))
    operation.select_by_visible_text("with skip")
    with_skip = sum("skip_connect" in arch for arch in scores.arch)
    assert count(opened) == with_skip
    operation.select_by_visible_text("without skip")
    assert count(opened) == 80 - with_skip


def test_the_csv_has_exactly_the_rows_shown(opened: Any, scored: Any) -> None:
    scores = load_scores(scored.folder)
    field(opened, "architecture").find_element("tag name", "input").send_keys("avg_pool")
    target = opened.downloads / "nasbench201.csv"
    target.unlink(missing_ok=True)
    button = opened.find_element("css selector", "button.csv")
    assert button.text == f"Download {count(opened)} rows as CSV"
    button.click()
    wait(target.exists, "the download")
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    expected = {arch: i for i, arch in enumerate(scores.arch) if "avg_pool" in arch}
    assert sorted(row["architecture"] for row in rows) == sorted(expected)
    assert list(rows[0]) == ["architecture", "made_acc", "epsinas", "params", "depth"]
    for row in rows:
        i = expected[row["architecture"]]
        for name, values in scores.values.items():
            value = float(row[name]) if row[name] else np.nan
            np.testing.assert_allclose(value, values[i], rtol=1e-8)
    said, sent = logged(opened)
    assert (said, sent) == ([], [opened.current_url])


def luminance(colour: str) -> float:
    parts = [float(c) / 255 for c in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


CONTRASTS = """
const found = [];
for (const e of document.querySelectorAll('h1, h2, h3, h4, p, th, td, td small, dt, dd, a, button, label, figcaption, li, summary, pre, .chart text')) {
  if (!e.checkVisibility() || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || e.disabled) continue;
  const style = getComputedStyle(e);
  let back = e;
  while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
  found.push([e.tagName, e.closest('svg') ? style.fill : style.color, getComputedStyle(back || document.body).backgroundColor]);
}
for (const box of document.querySelectorAll('.cell .box')) found.push(['cell', getComputedStyle(box.querySelector('text')).fill, getComputedStyle(box.querySelector('rect')).fill]);
return found
"""  # noqa: E501


@pytest.mark.parametrize("how", ["system", "toggle"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_are_drawn_and_can_be_read(driver: Any, path: Path, scheme: str, how: str, tmp_path: Path) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    show(driver, path, scheme=scheme if how == "system" else other)
    driver.execute_script("localStorage.clear()")
    show(driver, path, scheme=scheme if how == "system" else other)
    if how == "toggle":
        driver.find_element("id", "theme").click()
        show(driver, path, scheme=other)  # it is remembered
    driver.execute_script(IN_PLOT + "s.select(5)")
    picture = screenshot(driver)
    edge = picture[-1, -1].mean()
    assert (edge > 230) if scheme == "light" else (edge < 50)
    assert np.median(picture) > 200 if scheme == "light" else np.median(picture) < 60
    assert picture.std() > 10  # something is on it
    driver.execute_script(IN_PLOT + "s.over.scrollIntoView()")
    assert screenshot(driver).std() > 10
    points = driver.execute_script(
        IN_PLOT + "const d = s.base.getContext('2d').getImageData(0, 0, s.base.width, s.base.height).data;"
        "let n = 0; for (let k = 3; k < d.length; k += 4) n += d[k] > 0; return n"
    )
    assert points > 1000
    found = driver.execute_script(CONTRASTS)
    assert len(found) > 100
    for tag, ink, paper in found:
        a, b = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (a + 0.05) / (b + 0.05) >= 4.5, (tag, ink, paper)
    driver.execute_script("localStorage.clear()")


def screenshot(driver: Any) -> np.ndarray[Any, Any]:
    from matplotlib.image import imread

    image = imread(io.BytesIO(base64.b64decode(driver.get_screenshot_as_base64())), format="png")
    return np.asarray(image)[:, :, :3] * 255


def test_a_phone_scrolls_down_only(driver: Any, path: Path) -> None:
    show(driver, path, width=360, height=740)
    driver.execute_script(IN_PLOT + "s.select(5)")
    assert driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]") == [360, 360]
    sizes = driver.execute_script(
        "return [...document.querySelectorAll('p, dd, td')].map((e) => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12
    assert driver.execute_script(IN_PLOT + "return s.over.getBoundingClientRect().width") > 300


def focused(driver: Any, test: str, most: int = 80) -> None:
    """Press Tab until what has the focus passes."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(most):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        if driver.execute_script(f"const e = document.activeElement; return {test}"):
            seen = driver.execute_script(
                "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]"
            )
            assert seen == ["solid", "2px"]
            return
    raise AssertionError(f"Tab does not reach {test}")


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(driver).send_keys(key).perform()


def test_everything_can_be_done_with_the_keyboard(opened: Any, scored: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    archs = load_scores(scored.folder).arch
    focused(opened, "e.id === 'theme'")
    press(opened, Keys.ENTER)
    assert opened.execute_script("return document.documentElement.dataset.theme") == "dark"
    press(opened, Keys.SPACE)
    assert opened.execute_script("return document.documentElement.dataset.theme") == "light"
    focused(opened, "e.matches('table.sortable thead tr:last-child th:nth-child(2) button')")
    press(opened, Keys.ENTER)
    assert column(opened, "table.sortable", 1) == ["depth", "epsinas", "params"]
    focused(opened, "e.matches('canvas.over')")
    press(opened, Keys.HOME)
    places = []
    for _ in range(6):
        shown, cell = drawn(opened)
        assert Counter(cell) == boxes(shown)
        places.append(opened.execute_script(IN_PLOT + "return s.pixel(arguments[0])[0]", archs.index(shown)))
        press(opened, Keys.ARROW_RIGHT)
    assert places == sorted(places)
    before = drawn(opened)[0]
    press(opened, Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    assert drawn(opened)[0] == before
    press(opened, Keys.ESCAPE)
    assert not opened.find_elements("css selector", ".panel .arch")
    focused(opened, "e.matches('.rows tbody tr')")
    first = opened.execute_script("return document.activeElement.cells[0].textContent")
    assert drawn(opened)[0] == first
    press(opened, Keys.ARROW_DOWN)
    second = opened.execute_script("return document.activeElement.cells[0].textContent")
    assert second != first
    assert drawn(opened)[0] == second
    press(opened, Keys.PAGE_DOWN)
    assert opened.find_element("css selector", ".where").text == "page 2 of 4"


def test_without_javascript_tables_are_there(driver: Any, path: Path) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.get(path.as_uri())
        text = driver.find_element("tag name", "body").text
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    for words in ("Agreement with training", "epsinas", "needs JavaScript", "Protocol"):
        assert words in text


def test_an_attack_in_names_is_text(driver: Any, tmp_path: Path) -> None:
    table = Table(EVIL, (Column(EVIL, about=EVIL),), ((Cell(EVIL, below=EVIL),),), (EVIL,))
    part = Part(EVIL, EVIL, (EVIL,), (Section(EVIL, (EVIL,), (table,)),))
    values = {
        "kind": "proxy",
        "higher": True,
        "unit": EVIL,
        "values": [1.0, None],
        "reasons": ["", EVIL],
        "why": [0, 1],
    }
    cells = {"boxes": [[EVIL, EVIL, "other"]], "shapes": [[]], "cells": [[0, 0]], "of": [0, 0]}
    content = {"space": EVIL, "archs": [EVIL, EVIL + "2"], "cells": cells,
               "columns": [{"name": EVIL, **values}, {"name": "b", **values}]}  # fmt: skip
    path = tmp_path / "evil.html"
    path.write_text(html(Page(EVIL, (part,), (Explorer(EVIL, EVIL, 2, 2, content),))), encoding="utf-8")
    show(driver, path)
    for i in (0, 1):
        driver.execute_script(IN_PLOT + "s.select(arguments[0])", i)
        assert drawn(driver) == (EVIL + "2" * i, [EVIL])
    assert driver.title == EVIL
    assert driver.execute_script("return document.images.length") == 0
    assert logged(driver)[0] == []
    # and if text did become HTML, the policy would stop it
    driver.execute_script("document.body.innerHTML += `<img src=x onerror=\"document.title='run'\">`")
    said = wait(lambda: logged(driver)[0], "a refusal")
    assert "Content Security Policy" in " ".join(said)
    assert driver.title == EVIL


TIMES = (
    IN_PLOT
    + """
const time = (n, act) => {
  const found = [];
  for (let k = 0; k < n; k++) {
    const start = performance.now();
    act(k);
    s.base.getContext('2d').getImageData(0, 0, 1, 1);
    document.body.offsetHeight;
    found.push(performance.now() - start);
  }
  return found.sort((a, b) => a - b)[Math.floor(n / 2)];
};
const box = s.over.getBoundingClientRect(), at = s.box;
const move = (k) => s.over.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, pointerType: 'mouse',
  clientX: box.left + at.left + (k * 37) % (at.right - at.left), clientY: box.top + at.top + 8 + (k * 13) % 60}));
const seen = new Set();
const hover = time(40, (k) => { move(k); seen.add(s.selected); });
const zoom = time(8, (k) => s.zoom(k % 2 ? 1 / 0.7 : 0.7));
const input = () => e.text.dispatchEvent(new Event('input', {bubbles: true}));
const filter = time(8, (k) => { e.text.value = k % 2 ? '' : 'skip'; input(); });
const sort = time(6, () => e.grid.head.lastChild.firstChild.click());
return {hover, zoom, filter, sort, seen: seen.size, shown: s.view.shown.length};
"""
)


def test_15625_points_stay_fluent(driver: Any, tmp_path: Path) -> None:
    """Medians in ms; the bounds leave room for busy machines."""
    archs = [SPACE.format(arch) for arch in SPACE]
    rng = np.random.default_rng(0)
    scores = rng.normal(size=len(archs))
    scores[rng.random(len(archs)) < 0.4] = np.nan
    why = ["undefined: for a test" if value != value else "" for value in scores]
    none = [""] * len(archs)
    columns = [
        packed_column("acc", "truth", True, rng.uniform(10, 94, len(archs)).tolist(), none, "percent"),
        packed_column("score", "proxy", True, scores.tolist(), why, ""),
        packed_column("params", "proxy", True, rng.uniform(1e5, 1e6, len(archs)).round().tolist(), none, ""),
    ]
    content = {"space": "nasbench201", "archs": archs, "columns": columns, "cells": compact(SPACE, list(SPACE))}
    path = tmp_path / "large.html"
    page = Page(
        "large",
        (Part("large", "", (), (Section("s", (), ()),)),),
        (Explorer("nasbench201", "x", 15625, 15625, content),),
    )
    path.write_text(html(page), encoding="utf-8")
    show(driver, path)
    found = driver.execute_script(TIMES)
    assert found["shown"] == 15625
    assert found["seen"] > 10
    assert path.stat().st_size < 1.5e6
    for name, most in (("hover", 50), ("zoom", 300), ("filter", 500), ("sort", 500)):
        assert found[name] < most, found

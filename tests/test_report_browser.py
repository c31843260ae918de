"""The pages of `zeroiqa report` in a real browser: what people see, click and press."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import browser as chromium
from tests.command import zeroiqa
from tests.pagedata import HOSTILE, RATED, block, column, draw, scored
from zeroiqa.report import make

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.skipif(bool(chromium.missing()), reason=chromium.missing())

NAMES = (
    *(f"{folder}/{number:02d}.png" for folder in ("inside", "outside") for number in range(12)),
    *HOSTILE,
)
CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages run.html, two.html and table.html."""
    folder = tmp_path_factory.mktemp("pages")
    scored(folder, NAMES)
    scored(folder, NAMES, *RATED[:4], run="whole")
    rows = [f"photos/{name},{number}" for number, name in enumerate(NAMES[:24])]
    (folder / "mos.csv").write_text("\n".join(["image,mos", *rows]) + "\n")
    for arguments in (("run", "-o", "run.html"), ("run", "whole", "-o", "two.html", "--opinions", "mos.csv")):
        done = zeroiqa(folder, "report", *arguments)
        assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "MOST_PICTURES", 1)
        assert zeroiqa(folder, "report", "run", "-o", "table.html").returncode == 0
    return folder


@pytest.fixture(scope="module")
def running() -> Iterator[Chrome]:
    with chromium.started() as browser:
        yield browser


@pytest.fixture
def browser(running: Chrome) -> Iterator[Chrome]:
    """The browser, of which nothing is said in the end: no error, no warning, no request but of files."""
    chromium.resized(running, 1280)
    chromium.coloured(running, "light")
    yield running
    assert running.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in running.get_log("performance")]
    addresses = [
        each["params"]["request"]["url"] for each in asked if each["method"] == "Network.requestWillBeSent"
    ]
    assert [each for each in addresses if not each.startswith(("file:", "data:", "about:", "chrome:"))] == []


def texts(browser: Chrome, selector: str) -> list[str]:
    return list(browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", selector
    ))  # fmt: skip


def press(browser: Chrome, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def find(browser: Chrome, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def focused(browser: Chrome) -> str:
    """The label of what has the focus."""
    return str(
        browser.execute_script(
            "const at = document.activeElement; return at.getAttribute('aria-label') || at.innerText"
        )
    )


def gets_focus(browser: Chrome, label: str) -> bool:
    """Whether that has the focus soon: a dialog that closes gives it back a moment later."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 20).until(lambda _: focused(browser).startswith(label))


def numbers(browser: Chrome, selector: str) -> list[float]:
    return [float(text.replace("\u2212", "-")) for text in texts(browser, selector)]


def test_the_worst_images_come_first_and_sorting_turns_by_click_and_by_key(
    browser: Chrome, made: Path
) -> None:
    chromium.visit(browser, made / "run.html")
    shown = numbers(browser, "#grid .badge")
    assert shown == sorted(shown) and shown[0] == round(min(column(made / "run.html", "score")), 2)
    find(browser, "#direction").click()
    shown = numbers(browser, "#grid .badge")
    assert shown == sorted(shown, reverse=True) and texts(browser, "#direction") == ["best first"]
    find(browser, "#as-table").click()
    find(browser, '[data-key="mass"]').send_keys("\n")
    assert find(browser, '[aria-sort="ascending"]').text.startswith("mass")
    place = texts(browser, "thead th").index("mass ↑") + 1
    shown = numbers(browser, f"tbody tr:not(.space) td:nth-child({place})")
    assert shown == sorted(shown)
    press(browser, "\n")
    assert find(browser, '[aria-sort="descending"]').text.startswith("mass")


def test_filters_by_text_group_range_and_bar_say_how_many_are_left(browser: Chrome, made: Path) -> None:
    chromium.visit(browser, made / "run.html")
    found = find(browser, "#found")
    find(browser, "input[type=search]").send_keys("inside/0")
    assert found.text == "10 of 32 images" and len(texts(browser, ".card")) == 10
    find(browser, "#clear").click()
    assert found.text == "32 images" and browser.switch_to.active_element.get_attribute("type") == "search"
    browser.execute_script(
        "document.querySelector('.tools label:has(option[value*=outside]) select').focus()"
    )
    press(browser, "\ue015", "\ue015")  # arrow down: the second of the groups in the list
    assert found.text in ("8 of 32 images", "12 of 32 images")
    find(browser, "#clear").click()
    bar = next(
        each
        for each in browser.find_elements("css selector", ".bars button")
        if not each.accessible_name.endswith(": 0 images")
    )
    count = int(bar.accessible_name.split(": ")[1].split()[0])
    bar.send_keys(" ")
    assert found.text == f"{count} of 32 images" and bar.get_attribute("aria-pressed") == "true"
    bar.click()
    assert found.text == "32 images"
    find(browser, "[aria-label='Lowest score']").send_keys("3.5")
    assert min(numbers(browser, "#grid .badge")) >= 3.5


def test_an_image_opens_by_enter_and_what_it_shows_adds_up(browser: Chrome, made: Path) -> None:
    chromium.visit(browser, made / "run.html")
    browser.execute_script("document.querySelector('.card').focus()")
    press(browser, "\ue014", "\n")  # arrow right, Enter: the second image
    first = texts(browser, "#viewer-name")[0]
    for _ in range(3):
        score = float(texts(browser, "#score")[0])
        total, whole, regions = (float(each) for each in texts(browser, "#sum b"))
        terms = numbers(browser, "#terms .term")
        assert total == score == round(whole + regions, 2) and round(sum(terms), 2) == regions
        adds = numbers(browser, ".views td:nth-child(4)")
        assert adds == [whole, *terms] and len(texts(browser, ".views .levels")) == 5
        press(browser, "\ue014")
    assert texts(browser, ".place") == ["5 of 32"]
    press(browser, "\ue012")
    assert texts(browser, ".place") == ["4 of 32"] and texts(browser, "#viewer-name") != [first]
    name = texts(browser, "#viewer-name")[0]
    press(browser, "\ue00c")  # Escape
    assert not find(browser, "#viewer").is_displayed() and gets_focus(browser, name)


def test_regions_and_their_rows_light_up_together(browser: Chrome, made: Path) -> None:
    chromium.visit(browser, made / "run.html")
    find(browser, ".card").click()
    lit = "return [...document.querySelectorAll('#viewer .lit')].map((each) => each.dataset.region)"
    browser.execute_script("document.querySelectorAll('.views .pick')[2].focus()")
    assert set(browser.execute_script(lit)) == {"2"} and len(browser.execute_script(lit)) > 3
    browser.execute_script("document.querySelector('g.region[data-region=\"3\"]').focus()")
    assert set(browser.execute_script(lit)) == {"3"}
    assert "lit" in find(browser, ".views tr[data-region='3']").get_attribute("class")


def test_names_with_markup_do_nothing(browser: Chrome, made: Path) -> None:
    chromium.visit(browser, made / "run.html")
    find(browser, "#as-table").click()
    for name in HOSTILE:
        shown = name.encode(errors="backslashreplace").decode()
        clicked = browser.execute_script(
            "const found = [...document.querySelectorAll('.open')];"
            "const named = found.filter((each) => each.title.endsWith(arguments[0]));"
            "named[0].click(); return named.length",
            shown,
        )
        assert clicked == 1, name
        assert texts(browser, "#viewer-name") == [shown]
        press(browser, "\ue00c")
    assert browser.find_elements("css selector", "img[src=x], [onerror], [onfocus], [onmouseover]") == []
    assert len(browser.find_elements("css selector", "script:not([type])")) == 1
    links = browser.execute_script(
        "return [...document.querySelectorAll('a[href]')].map((each) => each.href)"
    )
    assert all(each.startswith("file:") for each in links)


def test_two_runs_stand_side_by_side_and_points_open_their_image(browser: Chrome, made: Path) -> None:
    from selenium.webdriver import ActionChains

    page = made / "two.html"
    chromium.visit(browser, page)
    assert texts(browser, ".scatter h2") == ["Scores against mos", "A against B"]
    data = block(page)
    a, b = column(page, "score"), column(page, "other")
    for number, (x, y) in enumerate(((a, column(page, "opinion")), (a, b))):
        canvas = browser.find_elements("css selector", "canvas")[number]
        browser.execute_script("arguments[0].focus()", canvas)
        press(browser, "\ue014")
        across, down = map(int, canvas.get_attribute("data-at").split(","))
        ActionChains(browser).move_to_element_with_offset(
            canvas, across - canvas.size["width"] // 2, down - canvas.size["height"] // 2
        ).click().perform()  # fmt: skip
        least = min((x[place], y[place], place) for place in range(len(a)) if y[place] is not None)
        assert data["paths"][least[2]].endswith(texts(browser, "#viewer-name")[0])
        press(browser, "\ue00c")
        assert gets_focus(browser, texts(browser, ".scatter h2")[number])
    find(browser, ".card").click()
    worst = a.index(min(a))
    assert texts(browser, "#score") == [f"{a[worst]:.2f}"]
    find(browser, "#run-1").click()
    assert texts(browser, "#score") == [f"{b[worst]:.2f}"]


def test_a_table_of_many_images_holds_only_the_rows_that_are_seen(browser: Chrome, made: Path) -> None:
    chromium.visit(browser, made / "table.html")
    assert not find(browser, "#grid").is_displayed() and browser.find_elements("css selector", "img") == []
    assert 0 < len(texts(browser, "tbody tr:not(.space)")) <= 32
    browser.execute_script("document.querySelector('.open').focus()")
    press(browser, "\ue010", "\n")  # End, Enter: the last image
    assert texts(browser, ".place") == ["32 of 32"]
    press(browser, "\ue00c")
    assert gets_focus(browser, texts(browser, ".open")[-1])


def test_a_table_fills_a_tall_window(browser: Chrome, made: Path) -> None:
    chromium.resized(browser, 1280, 2000)
    chromium.visit(browser, made / "run.html")
    find(browser, "#as-table").click()
    assert len(texts(browser, "tbody tr:not(.space)")) == 32


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_what_is_behind_it(browser: Chrome, made: Path, scheme: str) -> None:
    chromium.coloured(browser, scheme)
    chromium.visit(browser, made / "two.html")
    find(browser, ".facts summary").click()
    faint = browser.execute_script(CONTRAST)
    find(browser, ".card").click()
    faint += browser.execute_script(CONTRAST)
    assert faint == []
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (int(background.split("(")[1].split(",")[0]) < 60) == (scheme == "dark")


def test_a_narrow_window_needs_no_scrolling_sideways(browser: Chrome, made: Path) -> None:
    chromium.resized(browser, 360, 740)
    chromium.visit(browser, made / "two.html")
    wide = "return [document.documentElement.scrollWidth, document.querySelector('.view')?.scrollWidth ?? 0]"
    assert browser.execute_script(wide) == [360, 0]
    browser.execute_script("document.querySelector('.card').click()")
    assert browser.execute_script(wide)[1] <= 360


def test_scores_without_a_scale_and_levels_of_each_standard_are_called_what_they_are(
    browser: Chrome, tmp_path: Path
) -> None:
    standards = [part for name in ("quality", "authenticity") for part in ("--standard", f"{name}-word-7")]
    scored(tmp_path, NAMES[:2], "--baseline", "piqe", run="piqe")
    scored(tmp_path, NAMES[:2], "--rater", "fake", *standards, run="two")
    for run in ("piqe", "two"):
        assert zeroiqa(tmp_path, "report", run, "-o", f"{run}.html", "--regions", "0").returncode == 0
    chromium.visit(browser, tmp_path / "piqe.html")
    find(browser, ".card").click()
    assert texts(browser, ".big span") == ["lower is better"]
    chromium.visit(browser, tmp_path / "two.html")
    find(browser, ".card").click()
    tips = texts(browser, ".levels title")
    assert tips[0].startswith("whole image, fake, quality: 1 Very Bad ")
    assert tips[1].startswith("whole image, fake, authenticity: 1 Completely Artificial ")


def test_a_wide_table_of_many_raters_is_scrolled_by_keys(browser: Chrome, tmp_path: Path) -> None:
    raters = [part for number in range(4) for part in ("--rater", f"fake:{number}")]
    scored(tmp_path, NAMES[:2], *RATED[2:], *raters)
    assert zeroiqa(tmp_path, "report", "run").returncode == 0
    chromium.visit(browser, tmp_path / "report.html")
    browser.execute_script("document.querySelector('.card').click()")
    name = texts(browser, "#viewer-name")
    for _ in range(40):
        press(browser, "\ue004")  # Tab
        if browser.execute_script("return document.activeElement.matches('.scroll')"):
            break
    press(browser, *["\ue014"] * 3)  # right arrow
    moved = "new Promise((done) => setTimeout(() => done(document.querySelector('.scroll').scrollLeft), 300))"
    assert browser.execute_script(f"return {moved}") > 0
    assert texts(browser, "#viewer-name") == name


def test_pairs_of_two_folders_are_seen_side_by_side(browser: Chrome, tmp_path: Path) -> None:
    for number in range(8):
        draw(tmp_path / f"b/{number}.png", number)
        if number < 7:
            draw(tmp_path / f"a/{number}.png", number + 9)
    for name in ("a", "b"):
        assert zeroiqa(tmp_path, "score", name, "-o", f"run-{name}", "--rater", "fake").returncode == 0
    done = zeroiqa(tmp_path, "report", "run-a", "run-b", "-o", "pairs.html")
    assert done.returncode == 0, done.stderr
    for part in (
        "Mean score of A, run-a:",
        "Within 7 pairs by name, B is better by",
        "1 images of run-b are",
    ):
        assert part in done.stderr, done.stderr
    chromium.visit(browser, tmp_path / "pairs.html")
    browser.execute_script("document.querySelector('.card').focus()")
    press(browser, "\n")
    assert texts(browser, "figure.other figcaption")[0].startswith("B: b/")
    assert find(browser, "figure.other img").size["width"] > 0

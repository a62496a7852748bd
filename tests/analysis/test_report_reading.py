"""The report in Chromium: sorted and copied tables, both schemes, narrow windows."""

import csv
import io

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.helpers.chromium import (
    choose,
    chromium,
    find,
    find_all,
    number,
    open_report,
)
from tests.helpers.full_report import write_full_report
from tests.helpers.report_contrast import poor_contrasts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_full_report(tmp_path_factory.mktemp("report"))


@pytest.fixture
def page(made):
    with chromium() as driver:
        open_report(driver, made[0])
        yield driver
        assert driver.get_log("browser") == []


def test_tables_are_sorted_and_copied(page):
    table = find(page, "#tables table.data")

    def column(place):
        script = (
            "return [...arguments[0].tBodies[0].rows].map(row =>"
            " row.cells[arguments[1]].querySelector('span').textContent)"
        )
        return page.execute_script(script, table, place)

    before = [column(place) for place in range(3)]
    header = table.find_elements(By.CSS_SELECTOR, "thead th")[2]
    button = header.find_element(By.TAG_NAME, "button")
    for order in ("ascending", "descending"):
        button.send_keys(Keys.ENTER)
        assert header.get_attribute("aria-sort") == order
        losses = list(map(number, column(2)))
        assert losses == sorted(losses, reverse=order == "descending")
        assert all(column(0))  # every row says its model
    page.execute_script(
        "navigator.clipboard.writeText = async text => { window.copied = text; }"
    )
    copies = find_all(page, "#tables .copies")[0]
    copies.find_element(By.CSS_SELECTOR, "[data-copy=csv]").click()
    rows = list(csv.reader(io.StringIO(page.execute_script("return window.copied"))))
    assert rows[0][:5] == ["Model", "Condition", "MLM", "MLM low", "MLM high"]
    values = [float(row[2]) for row in rows[1:]]
    assert values == sorted(values, reverse=True) and len(rows[1:]) == len(losses)
    assert [f"{value:.3f}" for value in values] == [f"{loss:.3f}" for loss in losses]
    assert copies.find_element(By.CSS_SELECTOR, "[role=status]").text == "copied"
    copies.find_element(By.CSS_SELECTOR, "[data-copy=latex]").click()
    latex = page.execute_script("return window.copied")
    head = r"Model & Condition & MLM & Change from None & p \\"
    assert head in latex and r"\begin{tabular}{llrrr}" in latex
    assert all(line in latex for line in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert "$<$ 0.001" in latex and "0.0000" not in latex
    button.send_keys(Keys.SPACE)
    assert header.get_attribute("aria-sort") is None
    assert [column(place) for place in range(3)] == before


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_can_be_read(made, width, scheme):
    with chromium(width, 900) as page:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        open_report(page, made[0])
        choose(page, "beside", "ViLBERT")
        paper = page.execute_script(
            "return getComputedStyle(document.body).backgroundColor"
        )
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
        page.execute_script(
            "document.querySelectorAll('details').forEach(folded => folded.open = true)"
        )
        assert poor_contrasts(page) == []
        wide = page.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width
        cut = page.execute_script(
            "return [...document.querySelectorAll('.wide, #detail *')].filter(box =>"
            " box.getBoundingClientRect().right > innerWidth + 1 ||"
            " box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).display"
            " !== 'inline' && !(box instanceof SVGElement)).map(box => box.outerHTML"
            ".slice(0, 90) + box.scrollWidth + '>' + box.clientWidth)"
        )
        assert cut == []
        assert page.get_log("browser") == []

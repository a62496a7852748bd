"""The report in Chromium: filters, an example, conditions, keys, hostile texts."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.analysis.test_report_input import make_hostile
from tests.helpers.chromium import (
    choose,
    chromium,
    find,
    find_all,
    number,
    open_report,
)
from tests.helpers.fake_results import FakeModel, write_results
from tests.helpers.full_report import LN2, MODELS, write_models, write_page
from xabl.analysis.report import ReportOptions, write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report with images and regions, and the scores of its runs in bits."""
    folder = tmp_path_factory.mktemp("report")
    directories, ids = write_models(folder, num_images=20, predictions=3)
    (folder / "images" / f"{ids[-1]}.jpg").unlink()
    (directories[1] / "predictions.parquet").unlink()
    write_page(folder, directories)
    scores = {}
    for model, directory in zip(MODELS, directories, strict=True):
        table = pq.read_table(directory / "scores.parquet").to_pandas()
        for loss in ("mlm", "mrc_kl"):
            table[loss] /= LN2
        scores[model.label] = table
    return folder, scores


@pytest.fixture(scope="module")
def window(made):
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(window, made):
    """The report, freshly opened."""
    open_report(window, made[0] / "report.html")
    yield window
    assert window.get_log("browser") == []


def bits_of(scores, metric, condition):
    """Losses by example."""
    rows = scores[(scores["condition"] == condition) & scores[metric].notna()]
    return rows.set_index("example")[metric].sort_index()


def shown_row(page, direction, condition):
    """Ablated, loss, change and predictions of a condition in the detail."""
    selector = f"tr[data-direction={direction}][data-condition='{condition}'] td"
    cells = find_all(page, f"#detail {selector}")
    return [cell.text for cell in cells[1:]]


def chosen_example(page):
    return int(find(page, "#detail").get_attribute("data-example"))


def test_filters_choose_what_the_scores_say(page, made):
    scores = made[1]["UNITER"]
    change = bits_of(scores, "mlm", "all") - bits_of(scores, "mlm", "none")
    total = len(change)
    count = find(page, "#count")
    assert count.text.startswith(f"{total} of {total} examples; mean change +1.200")
    first = find(page, "#list [aria-selected=true] .change").text
    assert number(first) == pytest.approx(change.max(), abs=6e-4)
    types = scores.drop_duplicates("example").set_index("example")["phrase_type"]
    choose(page, "type", "people")
    assert count.text.startswith(f"{(types == 'people').sum()} of {total} examples")
    find(page, "#least").send_keys("1.3")
    wanted = (types == "people") & (change >= 1.3)
    assert 0 < wanted.sum() < (types == "people").sum()
    assert count.text.startswith(f"{wanted.sum()} of {total} examples")
    choose(page, "sort", "largest decrease")
    assert chosen_example(page) == change[wanted].idxmin()
    find(page, "#most").send_keys("1.2")  # none is both
    assert count.text.startswith(f"0 of {total} examples")
    assert "No example passes" in find(page, "#list").text
    find(page, "button[type=reset]").click()
    assert count.text.startswith(f"{total} of {total} examples")
    find(page, "#text").send_keys("PICTURE 3 ")
    assert 0 < int(count.text.split()[0]) < 12


def test_switching_the_condition_changes_the_numbers(page, made):
    scores = made[1]["UNITER"]
    example = chosen_example(page)
    seen = {}
    for condition, text in (
        ("all", "All: all regions ablated"),
        ("object@0.3", "Object 0.3: regions with overlap above 0.3 ablated"),
        ("none", "None: all regions seen"),
    ):
        choose(page, "condition", text)
        assert chosen_example(page) == example
        row = find(page, "#detail tr.current")
        assert row.get_attribute("data-condition") == condition
        ablated, loss, change, _ = shown_row(page, "vis4lang", condition)
        here = bits_of(scores, "mlm", condition)[example]
        assert number(loss) == pytest.approx(here, abs=6e-4)
        if condition != "none":
            none = bits_of(scores, "mlm", "none")[example]
            assert number(change) == pytest.approx(here - none, abs=6e-4)
        of_list = find(page, "#list [aria-selected=true] .second").text
        assert of_list.endswith(f"loss {loss}")
        boxes = find(page, "#detail .picture > div > svg")
        drawn = boxes.find_elements(By.CSS_SELECTOR, ".ablated-box")
        assert len(drawn) == int(ablated)
        seen[condition] = (loss, len(drawn))
    assert len({loss for loss, _ in seen.values()}) == 3
    assert seen["all"][1] == 6 and seen["none"][1] == 0
    assert len(find_all(page, "#detail mark")) == 1


def test_conditions_of_the_other_direction(page, made):
    scores = made[1]["UNITER"]
    example = chosen_example(page)
    link = "tr[data-direction=lang4vis][data-condition=all] a"
    find(page, f"#detail {link}").click()
    assert Select(find(page, "#loss")).first_selected_option.text == "MRC-KL"
    assert chosen_example(page) == example
    _, loss, change, predictions = shown_row(page, "lang4vis", "all")
    here = bits_of(scores, "mrc_kl", "all")[example]
    none = bits_of(scores, "mrc_kl", "none")[example]
    assert number(loss) == pytest.approx(here, abs=6e-4)
    assert number(change) == pytest.approx(here - none, abs=2e-4)
    assert "50.0%" in predictions and "25.0%" in predictions
    assert not predictions.startswith("class ")  # names, since there are some
    sentence = find(page, "#detail .sentence")
    assert all(
        word.get_attribute("class") == "masked"
        for word in sentence.find_elements(By.TAG_NAME, "span")
    )
    target = find(page, "#detail .picture > div > svg").find_elements(
        By.CSS_SELECTOR, ".target-box"
    )
    assert len(target) == 1


def test_another_model_keeps_the_example(page, made):
    example = chosen_example(page)
    choose(page, "model", "ViLBERT")
    assert chosen_example(page) == example
    scores = made[1]["ViLBERT"]
    _, loss, change, predictions = shown_row(page, "vis4lang", "all")
    assert number(loss) == pytest.approx(
        bits_of(scores, "mlm", "all")[example], abs=6e-4
    )
    assert predictions == "" and "No predictions" in find(page, "#detail").text
    choose(page, "model", "BERT-CC")
    rows = find_all(page, "#detail tr[data-condition]")
    assert [row.get_attribute("data-condition") for row in rows] == ["none"]
    assert find(page, "#count").text.endswith("examples")


def test_keys(page, made):
    change = bits_of(made[1]["UNITER"], "mlm", "all")
    change = change - bits_of(made[1]["UNITER"], "mlm", "none")
    order = np.lexsort((change.index, -change.to_numpy().round(4)))
    body, box = find(page, "body"), find(page, "#list")
    for keys, place in ((["j", "j"], 2), (["k"], 1)):
        body.send_keys(*keys)
        assert chosen_example(page) == change.index[order[place]]
    box.send_keys(Keys.ARROW_DOWN)
    assert chosen_example(page) == change.index[order[2]]
    box.send_keys(Keys.ARROW_LEFT)
    current = find(page, "#detail tr.current")
    assert current.get_attribute("data-condition") == "object@0.0"
    assert chosen_example(page) == change.index[order[2]]
    box.send_keys(Keys.ARROW_RIGHT, Keys.HOME)
    assert chosen_example(page) == change.index[order[0]]
    box.send_keys(Keys.END, Keys.ARROW_DOWN)
    assert chosen_example(page) == change.index[order[-1]]
    active = box.get_attribute("aria-activedescendant")
    row = find(page, f"#{active}")
    assert row.get_attribute("aria-posinset") == str(len(change)) and row.is_displayed()
    find(page, "#text").send_keys("jk")  # a field keeps its letters
    assert find(page, "#text").get_attribute("value") == "jk"


def test_images_and_outlines(page, made):
    choose(page, "sort", "order of the data")
    assert len(find_all(page, "#detail image")) == 1
    width = page.execute_script(
        "const image = new Image(); image.src = arguments[0];"
        "return image.decode().then(() => image.naturalWidth)",
        find(page, "#detail image").get_attribute("href"),
    )
    assert width > 100
    find(page, "#list").send_keys(Keys.END)
    assert not find_all(page, "#detail image")
    assert "outline of image 1019" in find(page, "#detail").text


def test_a_long_name_takes_its_room_once(page):
    """Not in the row below it, where the same name is not seen."""
    named, again = page.execute_script("""
        const again = document.querySelector(".grouped th.again");
        const rows = [again.parentNode.previousElementSibling, again.parentNode];
        for (const row of rows)
            row.querySelector("th span").textContent += " long".repeat(20);
        return rows.map((row) => row.offsetHeight);
    """)
    assert 0 < again < 0.8 * named


def test_a_narrow_window(made):
    with chromium(400, 800) as page:
        open_report(page, made[0] / "report.html")
        wide = page.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 400
        assert find(page, "#detail .tops").size["width"] <= 400


def test_hostile_texts_do_nothing(tmp_path):
    directory = write_results(
        tmp_path / "results", FakeModel(), num_images=4, predictions=2
    )
    make_hostile(directory)
    output = tmp_path / "report.html"
    write_report(directory, output, ReportOptions(resamples=100))
    with chromium() as page:
        open_report(page, output)
        find(page, "body").send_keys("j")
        find(page, "#detail .conditions a").click()
        assert page.execute_script("return window.harmed") is None
        assert "<img src=x onerror=" in find(page, "#detail .sentence").text
        assert page.execute_script("return document.querySelectorAll('img').length") > 0
        assert not find_all(page, "img[src=x]")
        assert page.get_log("browser") == []

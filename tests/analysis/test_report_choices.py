"""The report in Chromium: addresses, words, two models, ranges, tables, contrast."""

import csv
import io
import math
import re

import pyarrow.parquet as pq
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.helpers.chromium import chromium, open_report
from tests.helpers.fake_results import FakeModel, text_only, write_study
from tests.helpers.report_contrast import poor_contrasts
from tests.helpers.report_worlds import (
    add_images,
    add_regions,
    add_words,
    write_class_names,
)
from xabl.analysis.report import ReportOptions, write_report

pytestmark = pytest.mark.slow

MODELS = (
    FakeModel(seed=None),
    FakeModel(label="ViLBERT", name="ctrl_vilbert_base", seed=None, mlm_effect=-0.4),
    text_only("BERT-CC", 5.4),
)
LN2 = math.log(2)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report; losses of the words in bits and of the phrases, by model."""
    folder = tmp_path_factory.mktemp("report")
    directories = write_study(
        folder / "results", list(MODELS), num_images=12, predictions=2
    )
    for number in range(2):
        add_regions(directories[number], folder / f"regions{number}.h5")
    add_images(directories[0], folder / "images")
    words = {"UNITER": add_words(directories[0]), "ViLBERT": add_words(directories[1])}
    write_report(
        directories,
        folder / "report.html",
        ReportOptions(
            images=folder / "images",
            regions=folder / "regions0.h5",
            class_names=write_class_names(folder / "objects_vocab.txt"),
            resamples=100,
        ),
    )
    scores = {}
    for model, directory in zip(MODELS, directories, strict=True):
        table = pq.read_table(directory / "scores.parquet").to_pandas()
        table = table[table["direction"] == "vis4lang"]
        bits = table.pivot(index="example", columns="condition", values="mlm") / LN2
        scores[model.label] = bits
    return folder / "report.html", words, scores


@pytest.fixture(scope="module")
def window(made):
    with chromium() as driver:
        yield driver


@pytest.fixture
def page(window, made):
    """The report, freshly opened."""
    window.get("about:blank")
    open_report(window, made[0])
    yield window
    assert window.get_log("browser") == []


def find(page, selector):
    return page.find_element(By.CSS_SELECTOR, selector)


def find_all(page, selector):
    return page.find_elements(By.CSS_SELECTOR, selector)


def choose(page, menu, text):
    Select(find(page, f"#{menu}")).select_by_visible_text(text)


def number(text):
    return float(text.replace("\N{MINUS SIGN}", "-"))


def chosen(page):
    """What is shown: example, model, beside it, condition's title."""
    menus = (Select(find(page, f"#{name}")) for name in ("model", "beside"))
    return (
        int(find(page, "#detail").get_attribute("data-example")),
        *(menu.first_selected_option.text for menu in menus),
        find(page, "#detail .words a[aria-current]").text,
    )


def address(page):
    return page.execute_script("return location.hash")


def test_an_address_opens_what_was_chosen(page, made):
    choose(page, "beside", "ViLBERT")
    choose(page, "type", "people")
    find(page, "#list").send_keys(Keys.ARROW_DOWN)
    link = find(page, "#detail .words tr[data-condition='object@0.5'] a")
    href = link.get_attribute("href")
    link.click()
    here = chosen(page)
    assert here[1:] == ("UNITER", "ViLBERT", "Object 0.5")
    assert page.current_url == href
    shown = find(page, "#count").text
    page.get("about:blank")
    page.get(href)
    WebDriverWait(page, 20).until(
        lambda page: page.execute_script(
            "return document.documentElement.dataset.ready"
        )
    )
    assert chosen(page) == here
    assert find(page, "#count").text == shown
    assert Select(find(page, "#type")).first_selected_option.text == "people"
    top = page.execute_script("return browser.getBoundingClientRect().top")
    assert top < 100  # the browser is in sight


def test_the_way_back(page):
    first = chosen(page)
    find(page, "#row-2").click()
    second = chosen(page)
    choose(page, "condition", "Object 0.3: regions with overlap above 0.3 ablated")
    third = chosen(page)
    assert second[0] != first[0] and third[0] == second[0]
    find(page, "nav a[href='#tables']").click()
    assert chosen(page) == third
    for expected in (third, second, first):
        page.back()
        assert chosen(page) == expected
    page.forward()
    assert chosen(page) == second


def test_an_address_of_what_is_not_there(page):
    first = chosen(page)
    page.execute_script("location.hash = '#example=99999&model=None&condition=some'")
    assert chosen(page) == first
    assert "Example 99999 is not among those" in find(page, "#missing").text
    page.execute_script("location.hash = '#example=3&least=x'")
    assert chosen(page)[0] == 3
    assert not find(page, "#missing").is_displayed()


def word_bits(pieces):
    """By the word's place in the caption."""
    found = {}
    for piece in pieces:
        found.setdefault(piece["word"], []).append(piece)
    return {
        word: sum(piece["loss"] for piece in own) / LN2 for word, own in found.items()
    }


def test_words_are_tinted_by_their_change(page, made):
    words = made[1]["UNITER"]
    example = next(e for e, _ in words if len(words[e, "none"]) == 3)
    page.execute_script(f"location.hash = '#example={example}'")
    intact = word_bits(words[example, "none"])
    for condition in ("object@0.5", "all"):
        line = find(page, f"#detail .words tr[data-condition='{condition}']")
        own = line.find_elements(By.CSS_SELECTOR, ".word.own")
        ablated = word_bits(words[example, condition])
        assert len(own) == len(ablated)
        for element, place in zip(own, sorted(ablated), strict=True):
            change = ablated[place] - intact[place]
            shown = float(element.get_attribute("data-change"))
            assert shown == pytest.approx(change, abs=2e-3)
            tint = float(
                re.search(r"--tint:\s*(\d+)%", element.get_attribute("style"))[1]
            )
            assert tint == pytest.approx(min(100, 100 * abs(change) / 3), abs=1)
            assert ("more" if change > 0 else "less") in element.get_attribute("class")
    last = own[-1]
    find(page, "#detail h3").click()  # the window has to have the focus
    page.execute_script("arguments[0].focus()", last)
    last_word = max(ablated)
    pieces = [p for p in words[example, "all"] if p["word"] == last_word]
    reading = find(page, "#detail .words .reading").text
    ranks = ", ".join(str(piece["rank"]) for piece in pieces)
    name, loss = re.search(r"\((\w+)\) under All: (\S+) bits", reading).groups()
    assert name == "noun"
    assert float(loss) == pytest.approx(word_bits(pieces)[last_word], abs=2e-3)
    assert ranks in reading and "intact" in reading
    assert last.get_attribute("aria-label") == reading
    others = find_all(page, "#detail .words tr[data-condition=all] a.word")
    assert others  # the caption is another phrase's too
    others[0].click()
    assert chosen(page)[0] != example


def test_without_words_it_says_how_to_get_them(page):
    choose(page, "model", "BERT-CC")
    assert "words.parquet is missing; run xabl ablate" in find(page, "#detail").text


def test_two_models_side_by_side(page, made):
    scores = made[2]
    choose(page, "beside", "ViLBERT")
    choose(page, "sort", "changes most unlike, of two models")
    example = chosen(page)[0]
    change = {
        label: scores[label]["all"] - scores[label]["none"]
        for label in ("UNITER", "ViLBERT")
    }
    apart = (change["UNITER"] - change["ViLBERT"]).abs()
    assert apart[example] == pytest.approx(apart.max(), abs=2e-4)
    sides = find_all(page, "#detail .side")
    boxes = [side.rect for side in sides]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] < boxes[1]["x"]
    for side, label in zip(sides, change, strict=True):
        row = side.find_element(By.CSS_SELECTOR, "tr.current[data-direction=vis4lang]")
        shown = row.find_elements(By.CSS_SELECTOR, "td.number")[2].text
        assert number(shown) == pytest.approx(change[label][example], abs=6e-4)
    selected = find(page, "#list [aria-selected=true]").text
    assert f"ViLBERT {change['ViLBERT'][example]:+.3f}".replace(
        "-", "\N{MINUS SIGN}"
    ) in (selected)
    assert len(find_all(page, "#distribution .curve")) == 2


def test_a_range_of_the_distribution_filters(page, made):
    bits = made[2]["UNITER"]
    change = bits["all"] - bits["none"]
    chart = find(page, "#distribution svg")
    width = chart.size["width"]
    drag = ActionChains(page).move_to_element_with_offset(chart, -width // 6, 0)
    drag.click_and_hold().move_by_offset(width // 4, 0).release().perform()
    least, most = (
        float(find(page, f"#{name}").get_attribute("value"))
        for name in ("least", "most")
    )
    assert least < most
    wanted = ((change >= least) & (change <= most)).sum()
    assert 0 < wanted < len(change)
    assert find(page, "#count").text.startswith(f"{wanted} of {len(change)} examples")
    assert f"least={least:g}" in address(page)
    chart = find(page, "#distribution svg")
    ActionChains(page).move_to_element(chart).perform()
    reading = find(page, "#distribution-reading").text
    share, at = re.match(r"(\d+)% of .* at most (\S+) bits", reading).groups()
    below = 100 * (change <= number(at)).mean()
    assert float(share) == pytest.approx(below, abs=1.5)
    ActionChains(page).click(chart).perform()
    assert find(page, "#count").text.startswith(f"{len(change)} of {len(change)}")
    choose(page, "condition", "None: all regions seen")
    assert "Choose an ablation" in find(page, "#distribution").text


def test_lost_and_misled(page, made):
    bits = made[2]["UNITER"]
    for condition, thing in (("All: all regions", "0.5"), ("Object 0.2", "0.2")):
        menu = Select(find(page, "#condition"))
        text = next(o.text for o in menu.options if o.text.startswith(condition))
        menu.select_by_visible_text(text)
        choose(page, "sort", "phrase")
        choose(page, "sort", "most misled")
        misled = bits[f"object@{thing}"] - bits["all"]
        example = chosen(page)[0]
        assert misled[example] == pytest.approx(misled.max(), abs=2e-4)
        selected = find(page, "#list [aria-selected=true]")
        for name, value in (
            ("misled", misled[example]),
            ("lost", (bits["all"] - bits["none"])[example]),
        ):
            shown = selected.find_element(By.CSS_SELECTOR, f"[data-effect={name}]").text
            assert number(shown.split()[1]) == pytest.approx(value, abs=6e-4)


def test_regions_say_what_they_are(page):
    choose(page, "condition", "Object 0.3: regions with overlap above 0.3 ablated")
    regions = find_all(page, "#detail .picture [data-region]")
    assert len(regions) == 6
    for region in regions:
        label = region.get_attribute("aria-label")
        place, name, overlap, state = re.fullmatch(
            r"region (\d): (\w+); overlap (\d\.\d{3}) with the phrase; (.*)", label
        ).groups()
        assert name == ["man", "woman", "dog", "shirt", "street", "car"][int(place)]
        hidden = float(overlap) > 0.3
        assert region.get_attribute("class") == (
            "ablated-box" if hidden else "region-box"
        )
        assert state.startswith("ablated: the features of" if hidden else "the model")
    first = find(page, "#detail .picture [tabindex='0'][data-region]")
    page.execute_script("arguments[0].focus()", first)
    reading = find(page, "#detail .picture .reading")
    assert reading.text == first.get_attribute("aria-label")
    example = chosen(page)[0]
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert reading.text == regions[1].get_attribute("aria-label")
    assert chosen(page)[0] == example
    veils = find_all(page, "#detail .picture > div > svg rect.veil")
    assert len(veils) == len(
        find_all(page, "#detail .picture > div > svg .ablated-box")
    )


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

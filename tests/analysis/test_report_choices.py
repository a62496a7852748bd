"""The report in Chromium: addresses, words, two models, ranges, regions."""

import re

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.helpers.chromium import (
    choose,
    chromium,
    find,
    find_all,
    number,
    open_report,
)
from tests.helpers.full_report import LN2, write_full_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_full_report(tmp_path_factory.mktemp("report"))


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
    focused = page.switch_to.active_element
    assert focused.get_attribute("href") == href  # keys go on from there
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


def test_words_of_other_phrases_lead_to_them(page, made):
    words = made[1]["UNITER"]
    page.execute_script("location.hash = '#example=0'")
    others = find_all(page, "#detail .words tr[data-condition=all] a.word")
    found = word_bits(words[1, "all"]), word_bits(words[1, "none"])
    assert len(others) == len(found[0])
    for other, place in zip(others, sorted(found[0]), strict=True):
        change = found[0][place] - found[1][place]
        shown = float(other.get_attribute("data-change"))
        assert shown == pytest.approx(change, abs=2e-3)
    others[0].click()
    assert chosen(page)[0] == 1


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

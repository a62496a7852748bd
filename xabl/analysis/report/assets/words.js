// The word view: a caption once for each condition, each word tinted by its change.

const FULL_TINT = 3; // bits; larger changes are tinted no more
let allConditionsOpen = false; // stays so from one example to the next

function wordView(view, side, row) {
  if (!side.words) return make("p", { class: "fine" }, side.waiting ? "Reading the words \u2026" : index.absent.words);
  const conditions = side.run.conditions[WORDS_OF];
  const main = conditions.filter(
    (name) => index.conditions[WORDS_OF][name].main || (view.direction === WORDS_OF && name === view.condition),
  );
  const others = conditions.filter((name) => !main.includes(name));
  const phrases = phrasesOfCaption(row);
  const reading = make("p", { class: "reading", role: "status" }, READING_HINT);
  const table = (names) => wordTable(view, side, phrases, row, names, reading);
  return make(
    "div",
    { class: "words" },
    table(main),
    others.length
      ? make(
          "details",
          { open: allConditionsOpen, ontoggle: (event) => (allConditionsOpen = event.target.open) },
          make("summary", null, "Other thresholds"),
          table(others),
        )
      : null,
    reading,
    make("p", { class: "fine tints" }, "Change of a word's loss in bits: ", ...[-1, -0.5, 0, 0.5, 1].map(tintKey)),
  );
}

const READING_HINT = "Point at a word, or go to it with the Tab key, for its loss and rank.";

function tintKey(share) {
  const bits = share * FULL_TINT;
  const text = (share > 0 ? "+" : share < 0 ? "\u2212" : "") + Math.abs(bits) + (Math.abs(share) === 1 ? " and beyond" : "");
  return make("span", { class: "word " + tintClass(bits), style: tintStyle(bits) }, text);
}

// Rows of the same caption, the chosen one first: its words are the ones to show.
function phrasesOfCaption(row) {
  const rows = [row];
  for (let other = 0; other < examples.number.length; other++) {
    const same =
      examples.sentence[other] === examples.sentence[row] && examples.image[other] === examples.image[row];
    if (same && other !== row && examples.caption[other] === examples.caption[row]) rows.push(other);
  }
  return rows;
}

function wordTable(view, side, phrases, row, names, reading) {
  const lines = names.map((name) => {
    const current = view.direction === WORDS_OF && view.condition === name;
    return make(
      "tr",
      { class: current ? "current" : null, "data-condition": name },
      make("th", { scope: "row" }, conditionLink(view, row, WORDS_OF, name, "title")),
      make("td", null, make("p", null, ...captionWords(side, phrases, name, reading, view))),
    );
  });
  return make("table", null, make("tbody", null, ...lines));
}

// The caption's words; of those that are predicted, what the condition changes.
function captionWords(side, phrases, condition, reading, view) {
  const [row] = phrases;
  const known = new Map();
  for (const of of phrases) {
    const intact = wordsAt(side.run, side.words, of, BASELINE);
    wordsAt(side.run, side.words, of, condition).forEach((word, place) => {
      if (!known.has(word.place)) known.set(word.place, { word, intact: intact[place], of });
    });
  }
  const parts = [];
  captionTexts(row).forEach((text, place) => {
    if (place) parts.push(" ");
    const found = known.get(place);
    parts.push(found ? scoredWord(text, found, row, condition, reading, view) : text);
  });
  return parts;
}

function captionTexts(row) {
  return examples.texts.sentence[examples.sentence[row]].split(" ");
}

function scoredWord(text, { word, intact, of }, row, condition, reading, view) {
  const bits = wordBits(word);
  const change = condition === BASELINE ? NaN : bits - wordBits(intact);
  const shown = condition === BASELINE ? roundBits(bits) : (change < 0 ? "\u2212" : "+") + roundBits(Math.abs(change));
  const about = wordText(text, word, intact, condition, change);
  const show = () => (reading.textContent = about);
  const own = of === row;
  const properties = {
    class: "word " + tintClass(change) + (own ? " own" : ""),
    style: tintStyle(change),
    "data-change": Number.isNaN(change) ? null : change.toFixed(4),
    "aria-label": about,
    onmouseenter: show,
    onfocus: show,
    // Words of other phrases lead to those phrases; the list leads there by keys.
    ...(own ? { tabindex: 0, role: "img" } : { tabindex: -1, href: linkTo(view, { example: examples.number[of] }) }),
  };
  return make(own ? "span" : "a", properties, make("span", null, text), make("small", { "aria-hidden": "true" }, shown));
}

// Two digits: what is small is of no interest at a glance.
function roundBits(bits) {
  return Number.isNaN(bits) ? "\u2013" : bits.toFixed(2);
}

// "shirt (noun) under All: 3.336 bits, +2.924; rank 2, before 1; probability 9.9%"
function wordText(text, word, intact, condition, change) {
  const bits = wordBits(word);
  const title = index.conditions[WORDS_OF][condition].title;
  if (Number.isNaN(bits)) return text + " under " + title + ": no score";
  const ranks = ({ pieces }) => pieces.map(({ rank }) => rank).join(", ");
  const kind = word.kind ? " (" + word.kind + ")" : "";
  let about = text + kind + " under " + title + ": " + bitsText(bits) + " bits";
  if (condition !== BASELINE) about += ", change " + bitsText(change, true);
  about += "; rank of the right " + (word.pieces.length > 1 ? "pieces (" + word.pieces.map((piece) => piece.text).join(" ") + ") " : "word ") + ranks(word);
  if (condition !== BASELINE) about += ", intact " + ranks(intact);
  return about + "; probability " + percentText(2 ** -bits);
}

function tintClass(change) {
  return change > 0 ? "more" : change < 0 ? "less" : "same";
}

function tintStyle(change) {
  const share = Number.isNaN(change) ? 0 : Math.min(1, Math.abs(change) / FULL_TINT);
  return "--tint:" + (100 * share).toFixed(0) + "%";
}

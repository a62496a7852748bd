// The list of examples: which ones, in which order; only those in sight are drawn.

const ROW_HEIGHT = 68; // as in browser.css
const list = document.getElementById("list");
const rowsBox = document.getElementById("rows");
let shown = []; // rows of the browser, in the order of the list
let chosen = -1; // a place in `shown`

// Rows of the phrase type and caption that are asked for, however much they changed.
function filterTexts(choice) {
  const words = (choice.text || "").trim().toLowerCase();
  const found = words && examples.texts.sentence.map((text) => text.toLowerCase().includes(words));
  const type = examples.texts.type.indexOf(choice.type);
  const rows = [];
  for (let row = 0; row < examples.number.length; row++) {
    if (choice.type && examples.type[row] !== type) continue;
    if (words && !found[examples.sentence[row]]) continue;
    rows.push(row);
  }
  return rows;
}

// Those whose loss changed by at least and at most so many bits.
function filterChanges(rows, choice, changes) {
  return rows.filter(
    (row) =>
      // A change that is not known is neither large nor small.
      (choice.least === null || changes[row] >= choice.least) &&
      (choice.most === null || changes[row] <= choice.most),
  );
}

// How the list can be sorted: [name, text, values of a view by row, largest first].
const ORDERS = [
  ["up", "largest increase", (view) => view.sides[0].changes, true],
  ["down", "largest decrease", (view) => view.sides[0].changes, false],
  ...Object.entries(index.effects).map(([name, effect]) => [
    name,
    "most " + effect.title,
    (view) => view.sides[0].effects[name],
    true,
  ]),
  ["apart", "changes most unlike, of two models", apart, true],
  ["high", "highest loss", (view) => view.sides[0].losses, true],
  ["low", "lowest loss", (view) => view.sides[0].losses, false],
  ["phrase", "phrase", phraseRanks, false],
  ["data", "order of the data", null, false],
];

function apart({ sides: [first, second] }) {
  return second && first.changes.map((change, row) => Math.abs(change - second.changes[row]));
}

function phraseRanks() {
  const phrases = examples.texts.phrase.map((text) => text.toLowerCase());
  const places = phrases.map((_, place) => place);
  places.sort((a, b) => (phrases[a] < phrases[b] ? -1 : phrases[a] > phrases[b] ? 1 : a - b));
  const rank = new Uint32Array(places.length);
  places.forEach((place, at) => (rank[place] = at));
  return Array.from(examples.phrase, (phrase) => rank[phrase]);
}

function sortRows(rows, view, order) {
  const [, , valuesOf, largestFirst] = ORDERS.find(([name]) => name === order) || ORDERS[0];
  const values = valuesOf && valuesOf(view);
  if (!values) return rows;
  const sign = largestFirst ? -1 : 1;
  return rows.sort((a, b) => {
    // Without a score: at the end, whatever the order.
    const gap = Number.isNaN(values[a]) - Number.isNaN(values[b]);
    return gap || sign * (values[a] - values[b]) || a - b;
  });
}

// Shows the rows of a view, the one of the example in sight.
function showList(view, keepPlace) {
  shown = view.rows;
  chosen = shown.indexOf(view.row);
  rowsBox.style.height = shown.length * ROW_HEIGHT + "px";
  if (!keepPlace) list.scrollTop = 0;
  const top = Math.max(chosen, 0) * ROW_HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  const bottom = top + ROW_HEIGHT - list.clientHeight;
  if (bottom > list.scrollTop) list.scrollTop = bottom;
  drawRows(view);
}

function drawRows(view) {
  if (!shown.length) {
    list.removeAttribute("aria-activedescendant");
    rowsBox.replaceChildren(make("p", { class: "empty" }, "No example passes the filters."));
    return;
  }
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - 4);
  const visible = Math.ceil(list.clientHeight / ROW_HEIGHT) + 8;
  const last = Math.min(shown.length, first + visible);
  const rows = [];
  for (let place = first; place < last; place++) rows.push(listRow(place, view));
  rowsBox.replaceChildren(...rows);
  const active = document.getElementById("row-" + chosen);
  if (active) list.setAttribute("aria-activedescendant", active.id);
  else list.removeAttribute("aria-activedescendant");
}

function listRow(place, view) {
  const row = shown[place];
  const [first, second] = view.sides;
  const intact = view.condition === BASELINE;
  const value = (side) => changeText(intact ? side.losses[row] : side.changes[row], !intact);
  const effects = Object.entries(first.effects).map(([name, values]) =>
    make(
      "span",
      { title: index.effects[name].meaning, "data-effect": name },
      index.effects[name].title + " " + bitsText(values[row], true),
    ),
  );
  return make(
    "div",
    {
      class: "row",
      id: "row-" + place,
      role: "option",
      "aria-selected": place === chosen ? "true" : "false",
      "aria-setsize": shown.length,
      "aria-posinset": place + 1,
      "data-place": place,
      style: "top:" + place * ROW_HEIGHT + "px",
    },
    make("div", null, make("b", null, examples.texts.phrase[examples.phrase[row]]), value(first)),
    make(
      "div",
      { class: "second" },
      make("span", null, examples.texts.type[examples.type[row]] + " \u00b7 " + examples.number[row]),
      second
        ? make("span", null, second.run.title + " ", value(second))
        : make("span", null, "loss " + bitsText(first.losses[row])),
    ),
    make("div", { class: "second" }, ...effects),
  );
}

// A number of bits, coloured when it is a change.
function changeText(bits, signed) {
  const direction = !signed ? "" : bits > 0 ? " up" : bits < 0 ? " down" : "";
  return make("span", { class: "change" + direction }, bitsText(bits, signed));
}

// The list of examples: which ones, in which order; only those in sight are drawn.

const ROW_HEIGHT = 50; // as in report.css
const list = document.getElementById("list");
const rowsBox = document.getElementById("rows");
let shown = []; // rows of the browser, in the order of the list
let chosen = -1; // a place in `shown`

// Rows that pass the filters, sorted.
function filterRows(settings, losses, changes) {
  const words = settings.text.trim().toLowerCase();
  const texts = examples.texts.sentence;
  const found = words && texts.map((text) => text.toLowerCase().includes(words));
  const type = examples.texts.type.indexOf(settings.type);
  const rows = [];
  for (let row = 0; row < examples.number.length; row++) {
    if (settings.type && examples.type[row] !== type) continue;
    if (words && !found[examples.sentence[row]]) continue;
    // A change that is not known is neither large nor small.
    if (settings.least !== null && !(changes[row] >= settings.least)) continue;
    if (settings.most !== null && !(changes[row] <= settings.most)) continue;
    rows.push(row);
  }
  return sortRows(rows, settings.sort, losses, changes);
}

function sortRows(rows, order, losses, changes) {
  if (order === "data") return rows;
  if (order === "phrase") {
    const phrases = examples.texts.phrase.map((text) => text.toLowerCase());
    const places = phrases.map((_, place) => place);
    places.sort((a, b) => (phrases[a] < phrases[b] ? -1 : phrases[a] > phrases[b] ? 1 : a - b));
    const rank = new Uint32Array(places.length);
    places.forEach((place, at) => (rank[place] = at));
    return rows.sort((a, b) => rank[examples.phrase[a]] - rank[examples.phrase[b]] || a - b);
  }
  const values = order === "up" || order === "down" ? changes : losses;
  const sign = order === "up" || order === "high" ? -1 : 1;
  return rows.sort((a, b) => {
    // Without a score: at the end, whatever the order.
    const gap = Number.isNaN(values[a]) - Number.isNaN(values[b]);
    return gap || sign * (values[a] - values[b]) || a - b;
  });
}

// Shows other rows and chooses the example `keep`; without one, the first.
function showList(rows, state, keep) {
  shown = rows;
  chosen = keep < 0 ? (rows.length ? 0 : -1) : rows.indexOf(keep);
  rowsBox.style.height = rows.length * ROW_HEIGHT + "px";
  scrollToChosen();
  drawRows(state);
}

function scrollToChosen() {
  const top = Math.max(chosen, 0) * ROW_HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  const bottom = top + ROW_HEIGHT - list.clientHeight;
  if (bottom > list.scrollTop) list.scrollTop = bottom;
}

function drawRows(state) {
  if (!shown.length) {
    list.removeAttribute("aria-activedescendant");
    rowsBox.replaceChildren(make("p", { class: "empty" }, "No example passes the filters."));
    return;
  }
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - 4);
  const visible = Math.ceil(list.clientHeight / ROW_HEIGHT) + 8;
  const last = Math.min(shown.length, first + visible);
  const rows = [];
  for (let place = first; place < last; place++) rows.push(listRow(place, state));
  rowsBox.replaceChildren(...rows);
  const active = document.getElementById("row-" + chosen);
  if (active) list.setAttribute("aria-activedescendant", active.id);
  else list.removeAttribute("aria-activedescendant");
}

function listRow(place, state) {
  const row = shown[place];
  const change = state.changes[row];
  const loss = state.losses[row];
  const second = state.condition === BASELINE ? loss : change;
  const direction = change > 0 ? " up" : change < 0 ? " down" : "";
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
    make(
      "div",
      null,
      make("b", null, examples.texts.phrase[examples.phrase[row]]),
      make(
        "span",
        { class: "change" + direction },
        bitsText(second, state.condition !== BASELINE),
      ),
    ),
    make(
      "div",
      { class: "second" },
      make("span", null, examples.texts.type[examples.type[row]] + " \u00b7 " + examples.number[row]),
      make("span", null, "loss " + bitsText(loss)),
    ),
  );
}

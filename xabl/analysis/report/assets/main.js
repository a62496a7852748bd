// The browser's controls: menus and keys change `state`, and what is shown follows.

let examples = null;
let regions = null;
const state = {
  run: null,
  scores: null,
  predictions: null,
  loss: null,
  direction: null,
  condition: null,
  losses: null,
  changes: null,
  row: -1, // the example in the detail; the filters may have taken it off the list
};
const control = (id) => document.getElementById(id);
let latest = 0; // of several changes while a block is decoded, the last one counts

function fillMenu(menu, entries, value) {
  menu.replaceChildren(...entries.map(([key, text]) => make("option", { value: key }, text)));
  if (entries.some(([key]) => key === value)) menu.value = value;
}

function fillMenus() {
  fillMenu(control("model"), index.runs.map((run, place) => [String(place), run.title]));
  fillMenu(control("type"), [["", "all"], ...index.types.map((type) => [type, type])]);
}

// The losses and conditions that the chosen run has.
function fillRunMenus(condition) {
  const names = state.run.metrics.map((name) => [name, index.metrics[name].title]);
  fillMenu(control("loss"), names, state.loss);
  state.loss = control("loss").value;
  state.direction = index.metrics[state.loss].direction;
  const conditions = state.run.conditions[state.direction];
  const words = index.conditions[state.direction];
  fillMenu(
    control("condition"),
    conditions.map((name) => [name, words[name].menu]),
    conditions.includes(condition) ? condition : conditions[conditions.length - 1],
  );
  state.condition = control("condition").value;
}

async function chooseRun() {
  const ticket = ++latest;
  const run = index.runs[Number(control("model").value)];
  const scores = await readBlock(run.scores);
  if (ticket !== latest) return;
  const [loss, condition] = [state.loss, state.condition];
  Object.assign(state, { run, scores, predictions: null, loss });
  fillRunMenus(condition);
  update(state.row);
  const predictions = await readBlock(run.predictions);
  if (ticket !== latest) return;
  state.predictions = predictions;
  drawDetail();
}

function chooseLoss() {
  state.loss = control("loss").value;
  fillRunMenus(state.condition);
  update(state.row);
}

function chooseCondition(direction, condition) {
  if (direction !== state.direction) {
    state.loss = state.run.main_losses[direction];
  }
  fillRunMenus(condition);
  update(state.row);
}

function bound(id) {
  const value = control(id).value.trim();
  return value === "" || Number.isNaN(Number(value)) ? null : Number(value);
}

// Recomputes what is shown; `keep`: the row to stay on, -1: the first of the list.
function update(keep = -1) {
  const { run, scores, loss, condition } = state;
  state.losses = lossColumn(run, scores, loss, condition);
  const none = lossColumn(run, scores, loss, BASELINE);
  state.changes = state.losses.map((value, row) => value - none[row]);
  const settings = {
    type: control("type").value,
    text: control("text").value,
    least: bound("least"),
    most: bound("most"),
    sort: control("sort").value,
  };
  const rows = filterRows(settings, state.losses, state.changes);
  if (keep < 0) list.scrollTop = 0;
  showList(rows, state, keep);
  state.row = chosen < 0 ? keep : rows[chosen];
  control("count").textContent = countText(rows);
  drawDetail();
}

function countText(rows) {
  let sum = 0;
  let scored = 0;
  for (const row of rows) {
    if (Number.isNaN(state.changes[row])) continue;
    sum += state.changes[row];
    scored++;
  }
  const total = examples.number.length.toLocaleString("en");
  let text = rows.length.toLocaleString("en") + " of " + total + " examples";
  if (state.condition !== BASELINE && scored) {
    text += "; mean change " + bitsText(sum / scored, true) + " bits";
  }
  return text;
}

function drawDetail() {
  showDetail(state.row, state, chooseCondition);
}

function choosePlace(place) {
  if (!shown.length) return;
  chosen = Math.min(Math.max(place, 0), shown.length - 1);
  state.row = shown[chosen];
  scrollToChosen();
  drawRows(state);
  drawDetail();
}

function stepCondition(step) {
  const conditions = state.run.conditions[state.direction];
  const place = conditions.indexOf(state.condition) + step;
  if (place < 0 || place >= conditions.length) return;
  chooseCondition(state.direction, conditions[place]);
}

function pressKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !state.scores) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const page = Math.max(1, Math.floor(list.clientHeight / ROW_HEIGHT) - 1);
  // Arrows elsewhere scroll the page, as everywhere.
  const inList = list.contains(event.target);
  const actions = {
    j: () => choosePlace(chosen + 1),
    k: () => choosePlace(chosen - 1),
    ...(inList && {
      ArrowDown: () => choosePlace(chosen + 1),
      ArrowUp: () => choosePlace(chosen - 1),
      ArrowRight: () => stepCondition(1),
      ArrowLeft: () => stepCondition(-1),
      PageDown: () => choosePlace(chosen + page),
      PageUp: () => choosePlace(chosen - page),
      Home: () => choosePlace(0),
      End: () => choosePlace(shown.length - 1),
    }),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
}

function listen() {
  control("model").addEventListener("change", chooseRun);
  control("loss").addEventListener("change", chooseLoss);
  control("condition").addEventListener("change", () =>
    chooseCondition(state.direction, control("condition").value),
  );
  for (const id of ["type", "sort"]) control(id).addEventListener("change", () => update());
  for (const id of ["text", "least", "most"]) {
    control(id).addEventListener("input", () => update());
  }
  control("filters").addEventListener("submit", (event) => event.preventDefault());
  control("filters").addEventListener("reset", () => {
    Object.assign(state, { loss: null, condition: null, row: -1 });
    setTimeout(chooseRun); // after the browser has emptied the fields
  });
  list.addEventListener("scroll", () => drawRows(state), { passive: true });
  window.addEventListener("resize", () => state.scores && drawRows(state));
  rowsBox.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) choosePlace(Number(row.dataset.place));
  });
  document.addEventListener("keydown", pressKey);
}

async function start() {
  try {
    [examples, regions] = await Promise.all([readBlock("examples"), readBlock("regions")]);
    fillMenus();
    listen();
    await chooseRun();
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  } catch (error) {
    const problem = control("browser-problem");
    problem.hidden = false;
    problem.textContent =
      "The examples cannot be shown: " + error.message +
      ". A browser of 2023 or later is needed (with DecompressionStream).";
    throw error;
  }
}

start();

// The browser: menus, keys and addresses make a choice, and what is shown follows it.

let examples = null;
let regions = null;
let placeOf = null; // of an example's number among the rows
let view = null; // what is shown: see `viewOf`
const control = (id) => document.getElementById(id);
let choice = NOTHING; // the last one made; it may not be shown yet
let latest = 0; // of several choices while a block is decoded, the last one counts

// A choice that this page can show, as like the wanted one as may be.
function settle(wanted) {
  const titled = (title) => index.runs.find((run) => run.title === title);
  const run = titled(wanted.model) || index.runs[0];
  const beside = titled(wanted.beside);
  const loss = run.metrics.includes(wanted.loss) ? wanted.loss : run.metrics[0];
  const direction = index.metrics[loss].direction;
  const conditions = run.conditions[direction];
  const condition = [wanted.condition, index.default_condition].find((name) => conditions.includes(name));
  return {
    ...wanted,
    model: run.title,
    beside: beside && beside !== run ? beside.title : null,
    loss,
    condition: condition || conditions[conditions.length - 1],
  };
}

// One model's part of what is shown, without what takes longer to decode.
async function sideOf(title, { loss, condition }) {
  const run = index.runs.find((other) => other.title === title);
  const scores = await readBlock(run.scores);
  return {
    run,
    scores,
    losses: lossColumn(run, scores, loss, condition),
    changes: changeColumn(run, scores, loss, condition),
    effects: effectColumns(run, scores, index.metrics[loss].direction, condition),
    predictions: null,
    words: null,
    waiting: true,
  };
}

// sides: one for each model. candidates: rows that pass the filters by text; rows: those
// that pass the others too, sorted. row: the example shown, -1 for none.
async function viewOf(choice) {
  const titles = [choice.model, choice.beside].filter((title) => title !== null);
  const sides = await Promise.all(titles.map((title) => sideOf(title, choice)));
  const direction = index.metrics[choice.loss].direction;
  const made = { choice, sides, direction, loss: choice.loss, condition: choice.condition };
  made.candidates = filterTexts(choice);
  const rows = filterChanges(made.candidates, choice, sides[0].changes);
  made.rows = sortRows(rows, made, choice.sort);
  return made;
}

// Everything but which example is shown.
function sameList(first, second) {
  return Object.keys(NOTHING).every((name) => name === "example" || first[name] === second[name]);
}

// Shows a choice. step: "push" for a new step of the history, "replace" to change the
// last one, null to leave the address alone.
async function show(wanted, step) {
  const ticket = ++latest;
  choice = settle(wanted);
  const same = view !== null && sameList(view.choice, choice);
  const next = same ? { ...view } : await viewOf(choice);
  if (ticket !== latest) return;
  const { example } = choice;
  const asked = example === null ? undefined : placeOf.get(example);
  next.row = asked ?? next.rows[0] ?? -1;
  choice = { ...choice, example: next.row < 0 ? null : examples.number[next.row] };
  next.choice = choice;
  reportMissing(example, asked);
  view = next;
  if (step !== null) writeAddress(choice, step === "push");
  showControls();
  showList(view, same || example !== null);
  if (!same) showDistribution();
  showDetail(view);
}

function showDistribution() {
  drawDistribution(view, choice, (bounds) => change({ ...bounds, example: null }));
}

// Decodes what is shown last: predictions and words.
async function complete() {
  const ticket = latest;
  const waiting = view.sides.filter((side) => side.waiting);
  await Promise.all(
    waiting.map(async (side) => {
      side.predictions = await readBlock(side.run.predictions);
      side.words = await readBlock(side.run.words);
      side.waiting = false;
    }),
  );
  if (waiting.length && ticket === latest) showDetail(view);
}

async function go(wanted, step) {
  try {
    await show(wanted, step);
    await complete();
  } catch (error) {
    showProblem(error);
  }
}

function change(changes, step = "push") {
  return go({ ...choice, ...changes }, step);
}

// An address may be of a page that holds more.
function reportMissing(example, row) {
  const missing = example !== null && row === undefined;
  control("missing").hidden = !missing;
  control("missing").textContent = missing
    ? "Example " + example + " is not among those that this page holds; the first of the list is shown."
    : "";
}

function fillMenu(id, entries, value) {
  const options = entries.map(([key, text]) => make("option", { value: key }, text));
  control(id).replaceChildren(...options);
  control(id).value = value ?? "";
}

function showControls() {
  const { sides, direction } = view;
  const { run } = sides[0];
  const titles = index.runs.map(({ title }) => [title, title]);
  fillMenu("model", titles, choice.model);
  fillMenu("beside", [["", "no other model"], ...titles.filter(([title]) => title !== choice.model)], choice.beside);
  control("beside").disabled = titles.length < 2;
  fillMenu("loss", run.metrics.map((name) => [name, index.metrics[name].title]), choice.loss);
  const conditions = run.conditions[direction].map((name) => [name, index.conditions[direction][name].menu]);
  fillMenu("condition", conditions, choice.condition);
  fillMenu("type", [["", "all"], ...index.types.map((type) => [type, type])], choice.type);
  fillMenu("sort", ORDERS.map(([name, text]) => [name, text]), choice.sort ?? ORDERS[0][0]);
  for (const id of ["text", "least", "most"]) {
    // What is being typed stays as it is typed.
    if (document.activeElement !== control(id)) control(id).value = choice[id] ?? "";
  }
  control("count").textContent = countText();
}

function countText() {
  const { rows, sides, condition } = view;
  const changes = rows.map((row) => sides[0].changes[row]).filter((bits) => !Number.isNaN(bits));
  const total = examples.number.length.toLocaleString("en");
  let text = rows.length.toLocaleString("en") + " of " + total + " examples";
  if (condition !== BASELINE && changes.length) {
    const mean = changes.reduce((sum, bits) => sum + bits, 0) / changes.length;
    text += "; mean change " + bitsText(mean, true) + " bits";
  }
  return text;
}

function choosePlace(place, step) {
  if (!shown.length) return;
  const row = shown[Math.min(Math.max(place, 0), shown.length - 1)];
  change({ example: examples.number[row] }, step);
}

function stepCondition(by) {
  const conditions = view.sides[0].run.conditions[view.direction];
  const condition = conditions[conditions.indexOf(view.condition) + by];
  if (condition) change({ condition }, "replace");
}

function pressKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !view) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const page = Math.max(1, Math.floor(list.clientHeight / ROW_HEIGHT) - 1);
  const go = (place) => () => choosePlace(place, "replace");
  // Arrows elsewhere scroll the page, as everywhere.
  const inList = list.contains(event.target);
  const actions = {
    j: go(chosen + 1),
    k: go(chosen - 1),
    ...(inList && {
      ArrowDown: go(chosen + 1),
      ArrowUp: go(chosen - 1),
      ArrowRight: () => stepCondition(1),
      ArrowLeft: () => stepCondition(-1),
      PageDown: go(chosen + page),
      PageUp: go(chosen - page),
      Home: go(0),
      End: go(shown.length - 1),
    }),
  };
  if (!Object.hasOwn(actions, event.key)) return;
  event.preventDefault();
  actions[event.key]();
}

function listen() {
  const text = (id) => control(id).value || null;
  const number = (id) => numberOf(control(id).value);
  for (const id of ["model", "beside", "loss", "condition"]) {
    control(id).addEventListener("change", () => change({ [id]: text(id) }));
  }
  for (const id of ["type", "sort"]) {
    control(id).addEventListener("change", () => change({ [id]: text(id), example: null }));
  }
  for (const [id, read] of [["text", text], ["least", number], ["most", number]]) {
    control(id).addEventListener("input", () => change({ [id]: read(id), example: null }, "replace"));
  }
  control("filters").addEventListener("submit", (event) => event.preventDefault());
  control("filters").addEventListener("reset", (event) => {
    event.preventDefault(); // the fields follow the choice
    go(NOTHING, "push");
  });
  list.addEventListener("scroll", () => drawRows(view), { passive: true });
  window.addEventListener("resize", () => {
    drawRows(view);
    showDistribution();
  });
  rowsBox.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) choosePlace(Number(row.dataset.place), "push");
  });
  document.addEventListener("keydown", pressKey);
  followHistory(() => choice, (choice) => go(choice, null));
}

function showProblem(error) {
  const problem = control("browser-problem");
  problem.hidden = false;
  problem.textContent =
    "The examples cannot be shown: " + error.message +
    ". A browser of 2023 or later is needed (with DecompressionStream).";
  throw error;
}

async function start() {
  try {
    [examples, regions] = await Promise.all([readBlock("examples"), readBlock("regions")]);
    placeOf = new Map(Array.from(examples.number, (number, row) => [number, row]));
    const wanted = readAddress(location.hash);
    await show(wanted || NOTHING, null);
    history.replaceState(choice, "");
    listen();
    if (wanted) control("browser").scrollIntoView();
    await complete();
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  } catch (error) {
    showProblem(error);
  }
}

start();

// One example: caption, picture, and for each model every condition with its loss.

const detail = document.getElementById("detail");

function showDetail(view) {
  const row = view.row;
  if (row < 0) {
    detail.replaceChildren();
    delete detail.dataset.example;
    return;
  }
  detail.dataset.example = examples.number[row];
  const focused = detail.contains(document.activeElement) && document.activeElement.getAttribute("href");
  detail.replaceChildren(
    sentence(row, view),
    make("p", { class: "facts" }, ...facts(row, view)),
    drawPicture(row, view, view.sides[0].scores.target[row]),
    make("div", { class: "sides count-" + view.sides.length }, ...view.sides.map((side) => sideDetail(row, view, side))),
  );
  // Whoever follows a link by keys goes on from there.
  const links = [...detail.querySelectorAll("a")];
  if (focused) links.find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
}

// What one model makes of it.
function sideDetail(row, view, side) {
  const phrase = examples.texts.phrase[examples.phrase[row]];
  const parts = [
    make("h3", null, "Word by word: " + side.run.title),
    wordView(view, side, row),
    make("h3", null, "\u201c" + phrase + "\u201d under every condition: " + side.run.title),
    conditionsTable(row, view, side),
    side.predictions ? null : make("p", { class: "fine" }, withoutPredictions(side)),
  ];
  return make("section", { class: "side", "aria-label": side.run.title }, ...parts);
}

function withoutPredictions(side) {
  return side.waiting ? "Reading the predictions \u2026" : index.absent.predictions;
}

// The address of the same choice with something changed.
function linkTo(view, changes) {
  return addressOf({ ...view.choice, ...changes });
}

// A link to an example under a condition, with the loss of the condition's direction.
function conditionLink(view, row, direction, condition, words) {
  const { title, menu } = index.conditions[direction][condition];
  const current = direction === view.direction && condition === view.condition;
  const loss = direction === view.direction ? view.loss : view.sides[0].run.main_losses[direction];
  return make(
    "a",
    {
      href: linkTo(view, { example: examples.number[row], condition, loss: loss || view.loss }),
      title: menu,
      "aria-current": current ? "true" : null,
    },
    words === "title" ? title : menu,
  );
}

function facts(row, view) {
  const [name] = examples.texts.images[examples.image[row]];
  const parts = [
    "image " + name,
    examples.caption[row] < 0 ? null : "caption " + (examples.caption[row] + 1),
    "type " + examples.texts.type[examples.type[row]],
    maskedText(view),
  ];
  const link = make("a", { href: linkTo(view, {}), id: "here" }, "example " + examples.number[row]);
  return [link, " \u00b7 " + parts.filter((part) => part !== null).join(" \u00b7 ")];
}

function maskedText(view) {
  if (index.directions[view.direction].predicts === "words") {
    return "struck out: words to predict, hidden from the model";
  }
  if (hiddenWords(view) === "none") return "the model sees all words";
  return "struck out: words hidden from the model";
}

// Which words the model does not see: none, phrase or all.
function hiddenWords(view) {
  return index.conditions[view.direction][view.condition].hidden_words;
}

// The caption with the phrase marked, and the words the condition hides struck out.
function sentence(row, view) {
  const words = captionTexts(row);
  const first = examples.first_word[row];
  const end = first + examples.num_words[row];
  const hideAll = hiddenWords(view) === "all";
  const hidePhrase = hideAll || hiddenWords(view) === "phrase";
  const piece = (from, to, hide) => {
    const text = words.slice(from, to).join(" ");
    if (!text) return null;
    return make("span", { class: hide ? "masked" : null }, text);
  };
  const inside = piece(first, end, hidePhrase);
  const before = piece(0, first, hideAll);
  const after = piece(end, words.length, hideAll);
  return make(
    "p",
    { class: "sentence" },
    before,
    before ? " " : null,
    inside ? make("mark", null, inside) : null,
    after ? " " : null,
    after,
  );
}

function conditionsTable(row, view, side) {
  const body = make("tbody", null);
  for (const [direction, conditions] of Object.entries(side.run.conditions)) {
    const own = direction === view.direction && side.run.metrics.includes(view.loss);
    const metric = own ? view.loss : side.run.main_losses[direction];
    if (!conditions.length || !metric || !side.run.metrics.includes(metric)) continue;
    body.append(directionRow(row, side, direction, metric));
    for (const condition of conditions) {
      body.append(conditionRow(row, view, side, { direction, metric, condition }));
    }
  }
  const header = (text, number) => make("th", { scope: "col", class: number ? "number" : null }, text);
  const names = [header("Condition"), header("Ablated", true), header("Loss", true), header("Change", true), header("Most probable predictions")];
  return make(
    "table",
    { class: "conditions" },
    make("thead", null, make("tr", null, ...names)),
    body,
  );
}

function directionRow(row, side, direction, metric) {
  const { title, task, predicts } = index.directions[direction];
  let text = title + ": " + task + " (" + index.metrics[metric].title + ", bits";
  if (predicts === "class") {
    const target = side.scores.target[row];
    const silver = side.scores.silver[row];
    if (target >= 0) text += "; region " + target;
    if (silver >= 0) text += "; the detector says " + className(silver, 0);
    if (examples.gold[row] >= 0) text += ", the phrase " + className(examples.gold[row], 0);
  }
  return make(
    "tr",
    { class: "direction" },
    make("th", { colspan: 5, scope: "rowgroup" }, text + ")"),
  );
}

function conditionRow(row, view, side, { direction, metric, condition }) {
  const { run, scores } = side;
  const loss = lossAt(run, scores, row, metric, condition);
  const none = lossAt(run, scores, row, metric, BASELINE);
  const change = loss.bits - none.bits;
  const current = direction === view.direction && condition === view.condition;
  const ablated = ablatedAt(run, scores, row, direction, condition);
  const targets = predictionsAt(run, side.predictions, row, direction, condition);
  const changed = condition === BASELINE ? "" : bitsText(change, true);
  const number = (name, text, more) => make("td", { class: "number", "data-name": text ? name : null, ...more }, text);
  return make(
    "tr",
    { class: current ? "current" : null, "data-condition": condition, "data-direction": direction },
    make("td", { class: "condition" }, conditionLink(view, row, direction, condition, "menu")),
    number("regions", ablated === null ? "" : String(ablated)),
    number("loss", bitsText(loss.bits), { title: loss.why || null }),
    number("change", changed, {
      class: "number" + (change > 0 ? " up" : change < 0 ? " down" : ""),
    }),
    make(
      "td",
      { class: "tops" },
      ...(loss.why
        ? [make("span", { class: "fine" }, loss.why)]
        : predictionLines(row, side, targets, direction)),
    ),
  );
}

// A line for each target; the right words are known where there are scores by word.
function predictionLines(row, side, targets, direction) {
  if (index.directions[direction].predicts !== "words") {
    return targets.map((target) => predictionLine(null, null, target));
  }
  const pieces = new Map();
  for (const word of wordsAt(side.run, side.words, row, BASELINE)) {
    for (const piece of word.pieces) pieces.set(piece.position, piece.text);
  }
  const words = examples.texts.phrase[examples.phrase[row]].split(" ");
  return targets.map((target, place) => {
    let right = pieces.get(target.position) ?? null;
    // As many pieces as words: each piece is a word.
    if (right === null && targets.length === words.length) right = words[place].toLowerCase();
    return predictionLine((right ?? "piece " + (place + 1)) + ":", right, target);
  });
}

function predictionLine(of, right, target) {
  const tops = target.tops.map(({ text, share }) =>
    make(
      "span",
      null,
      make(text === right ? "b" : "span", null, text),
      " ",
      make("span", { class: "share" }, percentText(share)),
    ),
  );
  return make(
    "div",
    { class: "predictions" },
    of === null ? null : make("span", { class: "of" }, of),
    make("div", null, ...tops),
  );
}

// One example: caption, picture, and every condition with its loss and predictions.

const detail = document.getElementById("detail");

function showDetail(row, state, choose) {
  if (row === undefined || row < 0) {
    detail.replaceChildren();
    return;
  }
  const target = state.scores.target[row];
  const phrase = examples.texts.phrase[examples.phrase[row]];
  detail.dataset.example = examples.number[row];
  const parts = [
    sentence(row, state),
    make("p", { class: "facts" }, facts(row, state)),
    drawPicture(row, state, target),
    make("h3", null, "\u201c" + phrase + "\u201d under every condition: " + state.run.title),
    conditionsTable(row, state, choose),
    state.predictions
      ? null
      : make("p", { class: "fine" }, withoutPredictions(state)),
  ];
  detail.replaceChildren(...parts.filter((part) => part !== null));
}

function withoutPredictions(state) {
  if (state.run.predictions) return "Reading the predictions \u2026";
  return (
    "No predictions of this run were saved; xabl ablate keeps them with " +
    "--save_predictions=5."
  );
}

function facts(row, state) {
  const [name] = examples.texts.images[examples.image[row]];
  const parts = [
    "example " + examples.number[row],
    "image " + name,
    examples.caption[row] < 0 ? null : "caption " + (examples.caption[row] + 1),
    "type " + examples.texts.type[examples.type[row]],
    maskedText(state),
  ];
  return parts.filter((part) => part !== null).join(" \u00b7 ");
}

function maskedText(state) {
  if (index.directions[state.direction].predicts === "words") {
    return "struck out: words to predict, hidden from the model";
  }
  if (hiddenWords(state) === "none") return "the model sees all words";
  return "struck out: words hidden from the model";
}

// Which words the model does not see: none, phrase or all.
function hiddenWords(state) {
  return index.conditions[state.direction][state.condition].hidden_words;
}

// The caption with the phrase marked, and the words the condition hides struck out.
function sentence(row, state) {
  const words = examples.texts.sentence[examples.sentence[row]].split(" ");
  const first = examples.first_word[row];
  const end = first + examples.num_words[row];
  const hideAll = hiddenWords(state) === "all";
  const hidePhrase = hideAll || hiddenWords(state) === "phrase";
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

function conditionsTable(row, state, choose) {
  const body = make("tbody", null);
  for (const [direction, conditions] of Object.entries(state.run.conditions)) {
    const metric =
      direction === state.direction ? state.loss : state.run.main_losses[direction];
    if (!conditions.length || !metric || !state.run.metrics.includes(metric)) continue;
    body.append(directionRow(row, state, direction, metric));
    for (const condition of conditions) {
      body.append(conditionRow(row, state, { direction, metric, condition }, choose));
    }
  }
  return make(
    "div",
    { class: "wide" },
    make(
      "table",
      null,
      make(
        "thead",
        null,
        make(
          "tr",
          null,
          make("th", { scope: "col" }, "Condition"),
          make("th", { scope: "col", class: "number" }, "Ablated"),
          make("th", { scope: "col", class: "number" }, "Loss"),
          make("th", { scope: "col", class: "number" }, "Change"),
          make("th", { scope: "col" }, "Most probable predictions"),
        ),
      ),
      body,
    ),
  );
}

function directionRow(row, state, direction, metric) {
  const { title, task, predicts } = index.directions[direction];
  let text = title + ": " + task + " (" + index.metrics[metric].title + ", bits";
  if (predicts === "class") {
    const target = state.scores.target[row];
    const silver = state.scores.silver[row];
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

function conditionRow(row, state, { direction, metric, condition }, choose) {
  const loss = lossAt(state.run, state.scores, row, metric, condition);
  const none = lossAt(state.run, state.scores, row, metric, BASELINE);
  const change = loss.bits - none.bits;
  const current = direction === state.direction && condition === state.condition;
  const ablated = ablatedAt(state.run, state.scores, row, direction, condition);
  const targets = predictionsAt(state.run, state.predictions, row, direction, condition);
  const changed = condition === BASELINE ? "" : bitsText(change, true);
  const number = (name, text, more) => make("td", { class: "number", "data-name": text ? name : null, ...more }, text);
  return make(
    "tr",
    { class: current ? "current" : null, "data-condition": condition, "data-direction": direction },
    make(
      "td",
      { class: "condition" },
      make(
        "button",
        {
          type: "button",
          class: "link",
          "aria-pressed": current ? "true" : "false",
          onclick: () => choose(direction, condition),
        },
        index.conditions[direction][condition].menu,
      ),
    ),
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
        : targets.map((target, place) => predictionLine(row, target, place, targets.length, direction))),
    ),
  );
}

function predictionLine(row, target, place, count, direction) {
  const words = examples.texts.phrase[examples.phrase[row]].split(" ");
  let of = null;
  let right = null;
  if (index.directions[direction].predicts === "words") {
    // As many pieces as words: each piece is a word.
    right = count === words.length ? words[place].toLowerCase() : null;
    of = right === null ? "piece " + (place + 1) + ":" : words[place] + ":";
  }
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

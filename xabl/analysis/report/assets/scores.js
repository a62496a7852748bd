// What a run scored: losses, changes, reasons, predictions, by row of the browser.

const BASELINE = index.baseline;
const WORDS_OF = index.words_of; // the direction whose losses are told word by word

// Losses in bits of one metric under one condition; NaN without a score.
function lossColumn(run, scores, metric, condition) {
  const column = run.cells.findIndex((c) => c[0] === metric && c[1] === condition);
  const width = run.cells.length;
  const count = width ? scores.losses.length / width : examples.number.length;
  const bits = new Float64Array(count).fill(NaN);
  if (column < 0) return bits;
  for (let row = 0; row < count; row++) {
    const steps = scores.losses[row * width + column];
    if (steps > index.not_finite) bits[row] = steps / index.loss_steps;
  }
  return bits;
}

// What a condition changes, by row: its loss less that of the baseline.
function changeColumn(run, scores, metric, condition) {
  return differenceColumn(run, scores, metric, [condition, BASELINE]);
}

function differenceColumn(run, scores, metric, [first, second]) {
  const less = lossColumn(run, scores, metric, second);
  return lossColumn(run, scores, metric, first).map((bits, row) => bits - less[row]);
}

// Parts of an effect by name (lost, misled), of the way and threshold of a condition.
function effectColumns(run, scores, direction, condition) {
  const columns = {};
  const pairs = Object.entries(index.conditions[direction][condition].effects);
  for (const [name, [metric, ...pair]] of pairs) {
    columns[name] = differenceColumn(run, scores, metric, pair);
  }
  return columns;
}

// One loss in bits (NaN: none), and why there is none.
function lossAt(run, scores, row, metric, condition) {
  const column = run.cells.findIndex((c) => c[0] === metric && c[1] === condition);
  const direction = index.metrics[metric].direction;
  const steps =
    column < 0 ? index.no_score : scores.losses[row * run.cells.length + column];
  if (steps > index.not_finite) return { bits: steps / index.loss_steps, why: "" };
  const why =
    reasonAt(run, scores, row, direction, condition) ||
    (steps === index.not_finite ? "the score is not a number" : "no score");
  return { bits: NaN, why };
}

// A row's entry in an array of rows and the conditions of all directions.
function entryAt(run, array, row, direction, condition) {
  let width = 0;
  let at = -1;
  for (const [name, conditions] of Object.entries(run.conditions)) {
    if (name === direction) at = width + conditions.indexOf(condition);
    width += conditions.length;
  }
  return array[row * width + at];
}

function reasonAt(run, scores, row, direction, condition) {
  return scores.texts.why[entryAt(run, scores.reasons, row, direction, condition)];
}

// Number of regions ablated; null where it does not apply or is not known.
function ablatedAt(run, scores, row, direction, condition) {
  const count = entryAt(run, scores.ablated, row, direction, condition);
  return count === undefined || count < 0 ? null : count;
}

// For each target of a row: {position, tops: [{text, share}]}, the best first.
function predictionsAt(run, predictions, row, direction, condition) {
  if (!predictions || !predictions[direction + "_starts"]) return [];
  const place = run.conditions[direction].indexOf(condition);
  const starts = predictions[direction + "_starts"];
  const ids = predictions[direction + "_ids"];
  const shares = predictions[direction + "_probabilities"];
  const ranks = predictions.texts.ranks;
  const width = run.conditions[direction].length;
  const targets = [];
  for (let target = starts[row]; target < starts[row + 1]; target++) {
    const tops = [];
    for (let rank = 0; rank < ranks; rank++) {
      const at = (target * width + place) * ranks + rank;
      if (!ids[at]) continue;
      const text = predictions.texts.words[ids[at] - 1];
      tops.push({
        text: index.directions[direction].predicts === "class" ? className(text, run.class_shift) : text,
        share:
          shares[at] === index.no_probability
            ? NaN
            : shares[at] / index.probability_steps,
      });
    }
    const position = predictions[direction + "_positions"][target];
    if (tops.length) targets.push({ position, tops });
  }
  return targets;
}

// The words of a row's phrase that are predicted: {place, kind, pieces: [{text,
// position, bits, rank}]} for each, in order; bits are NaN where there is no score.
function wordsAt(run, words, row, condition) {
  const column = run.conditions[WORDS_OF].indexOf(condition);
  if (!words || column < 0) return [];
  const width = run.conditions[WORDS_OF].length;
  const found = [];
  for (let piece = words.starts[row]; piece < words.starts[row + 1]; piece++) {
    const place = words.places[piece];
    if (!found.length || found[found.length - 1].place !== place) {
      found.push({ place, kind: words.texts.kinds[words.kinds[piece]], pieces: [] });
    }
    const rank = words.ranks[piece * width + column];
    found[found.length - 1].pieces.push({
      text: words.texts.pieces[words.pieces[piece]],
      position: words.positions[piece],
      bits: rank ? words.losses[piece * width + column] / index.word_steps : NaN,
      rank: rank === index.unknown_rank ? "?" : rank,
    });
  }
  return found;
}

// A word's loss: the sum over its pieces.
function wordBits({ pieces }) {
  return pieces.reduce((sum, piece) => sum + piece.bits, 0);
}

// The detector's name of a class that a run predicts; its number without names.
function className(text, shift) {
  const line = Number(text) + shift;
  if (Number.isNaN(line)) return text; // a name already
  const name = index.classes && index.classes[line];
  return name || "class " + text;
}

// Bits as in the tables: three digits, four below 0.1.
function bitsText(value, signed) {
  if (Number.isNaN(value)) return "\u2013";
  const digits = Math.abs(value) < 0.1 ? 4 : 3;
  const text = Math.abs(value).toFixed(digits);
  if (value < 0) return "\u2212" + text;
  return (signed ? "+" : "") + text;
}

function percentText(share) {
  if (Number.isNaN(share)) return "";
  if (share > 0 && share < 0.001) return "<0.1%";
  return (100 * share).toFixed(1) + "%";
}

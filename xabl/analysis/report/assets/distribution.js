// How the changes are distributed: share of examples below each value. A range drawn
// with the pointer becomes the filter (the fields "at least" and "at most").

const CHART = { height: 150, left: 40, right: 10, top: 8, bottom: 24 };
const CURVE_POINTS = 300;
const CLICK = 4; // pixels; a shorter range is a click, which clears the filter
const distributionBox = document.getElementById("distribution");

function drawDistribution(view, choice, choose) {
  if (view.condition === BASELINE) {
    distributionBox.replaceChildren(
      make("p", { class: "fine" }, "Choose an ablation to see how its changes are distributed."),
    );
    return;
  }
  const curves = view.sides.map((side) => ({
    title: side.run.title,
    values: Float64Array.from(
      view.candidates.map((row) => side.changes[row]).filter((change) => !Number.isNaN(change)),
    ).sort(),
  }));
  if (!curves[0].values.length) {
    distributionBox.replaceChildren();
    return;
  }
  const width = Math.max(240, distributionBox.clientWidth);
  const scale = chartScale(curves, choice, width);
  const reading = make("p", { class: "fine", id: "distribution-reading" }, readingHint());
  const band = makeSvg("rect", { class: "band", y: CHART.top, height: plotHeight() });
  setBand(band, scale, choice.least, choice.most);
  const chart = makeSvg(
    "svg",
    { width, height: CHART.height, role: "img", "aria-label": distributionText(curves, view) },
    ...gridLines(scale, width),
    band,
    ...curves.map((curve, place) => makeSvg("path", { class: "curve side-" + place, d: curvePath(curve.values, scale) })),
  );
  listenToRange(chart, band, scale, curves[0], reading, choose);
  const names = curves.map((curve, place) =>
    make("span", { class: "key side-" + place }, curve.title),
  );
  distributionBox.replaceChildren(
    make("p", { class: "fine" }, "Share of examples whose loss changes by at most so many bits. ", ...names),
    chart,
    reading,
  );
}

function readingHint() {
  return "Draw a range to list its examples; click to list all again.";
}

function plotHeight() {
  return CHART.height - CHART.top - CHART.bottom;
}

// Bits to pixels and back, over what all but the last half percent at each end need.
function chartScale(curves, choice, width) {
  let low = 0;
  let high = 0;
  for (const { values } of curves) {
    if (!values.length) continue;
    low = Math.min(low, quantile(values, 0.005));
    high = Math.max(high, quantile(values, 0.995));
  }
  low = Math.min(low, choice.least ?? low);
  high = Math.max(high, choice.most ?? high);
  const span = high - low || 1;
  const plot = width - CHART.left - CHART.right;
  const toX = (bits) => CHART.left + (plot * (Math.min(Math.max(bits, low), low + span) - low)) / span;
  const toBits = (x) => low + (span * Math.min(Math.max(x - CHART.left, 0), plot)) / plot;
  return { low, high: low + span, toX, toBits, step: roundStep(span / Math.max(3, width / 110)) };
}

function quantile(sorted, share) {
  return sorted[Math.round(share * (sorted.length - 1))];
}

// 1, 2 or 5 times a power of ten, at least `least`.
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least);
}

function gridLines(scale, width) {
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    const y = CHART.top + (1 - share) * plotHeight();
    parts.push(makeSvg("line", { class: "grid", x1: CHART.left, x2: width - CHART.right, y1: y, y2: y }));
    parts.push(makeSvg("text", { x: CHART.left - 5, y: y + 4, "text-anchor": "end" }, 100 * share + "%"));
  }
  for (let tick = Math.ceil(scale.low / scale.step); tick * scale.step <= scale.high; tick++) {
    const bits = tick * scale.step;
    const x = scale.toX(bits);
    const zero = tick === 0 ? " zero" : "";
    parts.push(makeSvg("line", { class: "grid" + zero, x1: x, x2: x, y1: CHART.top, y2: CHART.top + plotHeight() }));
    const text = (tick > 0 ? "+" : tick < 0 ? "\u2212" : "") + Number(Math.abs(bits).toPrecision(3));
    parts.push(makeSvg("text", { x, y: CHART.height - 8, "text-anchor": "middle" }, text));
  }
  return parts;
}

function curvePath(values, scale) {
  const points = [];
  const steps = Math.min(CURVE_POINTS, values.length);
  for (let step = 0; step <= steps; step++) {
    const share = step / steps;
    const y = CHART.top + (1 - share) * plotHeight();
    points.push(scale.toX(quantile(values, share)).toFixed(1) + "," + y.toFixed(1));
  }
  return "M" + points.join("L");
}

// The range between two bounds; null: no bound on that side, and none at all: no range.
function setBand(band, scale, least, most) {
  const [from, to] = [scale.toX(least ?? scale.low), scale.toX(most ?? scale.high)];
  band.setAttribute("x", from);
  band.setAttribute("width", least === null && most === null ? 0 : Math.max(0, to - from));
}

function listenToRange(chart, band, scale, curve, reading, choose) {
  let start = null;
  const xOf = (event) => event.clientX - chart.getBoundingClientRect().left;
  const rangeTo = (x) => [Math.min(start, x), Math.max(start, x)].map(scale.toBits);
  chart.addEventListener("pointerdown", (event) => {
    start = xOf(event);
    chart.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  chart.addEventListener("pointermove", (event) => {
    const bits = scale.toBits(xOf(event));
    reading.textContent = shareText(curve, bits);
    if (start !== null) setBand(band, scale, ...rangeTo(xOf(event)));
  });
  chart.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const x = xOf(event);
    const click = Math.abs(x - start) < CLICK;
    const [least, most] = click ? [null, null] : rangeTo(x).map((bits) => Number(bits.toFixed(2)));
    start = null;
    choose({ least, most });
  });
  chart.addEventListener("pointercancel", () => (start = null));
  chart.addEventListener("pointerleave", () => (reading.textContent = readingHint()));
}

function shareText({ values }, bits) {
  const share = values.filter((value) => value <= bits).length / values.length;
  return (100 * share).toFixed(0) + "% of " + values.length.toLocaleString("en") + " examples change by at most " + bitsText(bits, true) + " bits";
}

function distributionText(curves, view) {
  const condition = index.conditions[view.direction][view.condition].title;
  const parts = curves
    .filter(({ values }) => values.length)
    .map(({ title, values }) => {
      const [low, middle, high] = [0.05, 0.5, 0.95].map((share) => bitsText(quantile(values, share), true));
      return title + ": 5% at most " + low + ", half at most " + middle + ", 95% at most " + high + " bits";
    });
  return "Distribution of changes under " + condition + ". " + parts.join("; ");
}

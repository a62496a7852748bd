// The image (or its outline) with the boxes of the phrase and of the regions.

// The largest picture, in pixels of the page.
const PICTURE_WIDTH = 480;
const PICTURE_HEIGHT = 420;

// Regions of a row, and whether a condition hides them from the model (null: not known).
function regionsAt(row, direction, condition) {
  if (!regions) return null;
  const image = examples.image[row];
  const first = regions.level_start[row];
  const level = regions.texts.hides[direction][condition];
  const boxes = [];
  for (let at = regions.region_start[image]; at < regions.region_start[image + 1]; at++) {
    const place = at - regions.region_start[image];
    boxes.push({
      place,
      box: Array.from(regions.regions.subarray(4 * at, 4 * at + 4)),
      kind: regions.kinds[at],
      overlap: regions.overlaps[first + place] / regions.texts.overlap_steps,
      hidden: level === null ? null : regions.levels[first + place] > level,
    });
  }
  return boxes;
}

function phraseBoxes(row) {
  const boxes = [];
  for (let at = examples.box_start[row]; at < examples.box_start[row + 1]; at++) {
    boxes.push(Array.from(examples.boxes.subarray(4 * at, 4 * at + 4)));
  }
  return boxes;
}

function drawPicture(row, view, targetRegion) {
  const [name, width, height] = examples.texts.images[examples.image[row]];
  if (width === null || height === null) {
    return make("p", { class: "fine" }, "Nothing is known of image " + name + " but its name.");
  }
  const picture = document.getElementById("image-" + examples.image[row]);
  const found = regionsAt(row, view.direction, view.condition);
  const scale = Math.min(PICTURE_WIDTH / width, PICTURE_HEIGHT / height);
  const reading = make("p", { class: "reading", role: "status" }, REGION_HINT);
  const shape = makeSvg(
    "svg",
    {
      viewBox: [0, 0, width, height].join(" "),
      width: Math.round(width * scale),
      height: Math.round(height * scale),
      role: "group",
      "aria-label": pictureText(name, row, found, view),
    },
    picture
      ? makeSvg("image", {
          href: "data:image/jpeg;base64," + picture.textContent,
          width,
          height,
          preserveAspectRatio: "none",
        })
      : makeSvg(
          "text",
          { class: "outline", x: width / 2, y: height - 12, "text-anchor": "middle", "font-size": width / 32 },
          "outline of image " + name + ", " + width + " \u00d7 " + height + " pixels",
        ),
    found ? veil(found) : null,
    ...phraseBoxes(row).map((box) => rectangle(box, "phrase-box")),
    found && found[targetRegion] ? rectangle(found[targetRegion].box, "target-box") : null,
    found ? regionShapes(found, row, view, reading) : null,
  );
  return make(
    "div",
    { class: "picture" },
    make("div", null, shape, found ? reading : null),
    legend(found, view, targetRegion),
  );
}

const REGION_HINT = "Point at a region, or go to one with the Tab key and the arrows, for its class and overlap.";

function pictureText(name, row, found, view) {
  const phrase = examples.texts.phrase[examples.phrase[row]];
  return (
    "Image " + name + " with " + phraseBoxes(row).length + " box(es) of \u201c" + phrase + "\u201d" +
    (found ? "; " + hiddenText(found, view) : "")
  );
}

// How many of the regions the model does not see, in words.
function hiddenText(found, view) {
  const hidden = found.filter((region) => region.hidden).length;
  const word = index.directions[view.direction].region_state;
  if (found.some((region) => region.hidden === null)) {
    return "regions; which of them are " + word + " is not known here";
  }
  return hidden + " of " + found.length + " regions " + word;
}

// One grey over all that is hidden: where boxes overlap it is no darker.
function veil(found) {
  const boxes = found.filter((region) => region.hidden).map((region) => rectangle(region.box, "veil"));
  return makeSvg("g", { opacity: 0.6, "aria-hidden": "true" }, ...boxes);
}

// Every region, the large ones below the small ones so that all can be pointed at. One
// of them is reached by the Tab key, the others from there by arrows.
function regionShapes(found, row, view, reading) {
  const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  const shapes = [...found]
    .sort((a, b) => area(b) - area(a))
    .map((region, order) => {
      const about = regionText(region, row, view);
      const shape = rectangle(region.box, region.hidden ? "ablated-box" : "region-box");
      const show = () => (reading.textContent = about);
      setProperties(shape, { role: "img", "aria-label": about, tabindex: order ? -1 : 0, "data-region": region.place, onmouseenter: show, onfocus: show });
      return shape;
    });
  const step = (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const from = shapes.indexOf(event.target);
    const to = shapes[(from + by + shapes.length) % shapes.length];
    event.target.setAttribute("tabindex", -1);
    to.setAttribute("tabindex", 0);
    to.focus();
  };
  return makeSvg("g", { onkeydown: step }, ...shapes);
}

// What becomes of what is ablated, for each model shown; nothing where nothing is.
function waysOf(view) {
  const { way } = index.conditions[view.direction][view.condition];
  return way ? view.sides.map((side) => side.run.hides || way) : [];
}

// "region 12: cup; overlap 0.62 with the phrase; ablated: its features become ..."
function regionText(region, row, view) {
  const word = index.directions[view.direction].region_state;
  const parts = ["region " + region.place];
  if (region.kind >= 0) parts[0] += ": " + className(String(region.kind), 0);
  parts.push("overlap " + region.overlap.toFixed(3) + " with the phrase");
  const [way] = waysOf(view);
  const ways = view.direction === WORDS_OF && way ? ": " + way : "";
  parts.push(region.hidden === null ? "whether it is " + word + " is not known here" : region.hidden ? word + ways : "the model sees it");
  return parts.join("; ");
}

function rectangle([x1, y1, x2, y2], name) {
  return makeSvg("rect", {
    class: name,
    x: x1,
    y: y1,
    // Both corners belong to the box.
    width: Math.max(1, x2 - x1 + 1),
    height: Math.max(1, y2 - y1 + 1),
    "vector-effect": "non-scaling-stroke",
  });
}

function legend(found, view, targetRegion) {
  const lines = [["phrase-box", "box of the phrase"]];
  if (found) {
    const known = found.every((region) => region.hidden !== null);
    lines.push([known ? "veil" : "region-box", hiddenText(found, view)]);
    if (found.some((region) => region.hidden === false)) {
      lines.push(["region-box", "regions the model sees"]);
    }
    if (targetRegion >= 0) {
      lines.push(["target-box", "target region: its class is predicted in language for vision"]);
    }
  }
  const items = lines.map(([name, text]) =>
    make(
      "li",
      null,
      makeSvg(
        "svg",
        { width: 26, height: 16, "aria-hidden": "true" },
        makeSvg("rect", { class: name, x: 2, y: 2, width: 22, height: 12 }),
      ),
      make("span", null, text),
    ),
  );
  const ways = waysOf(view);
  const alike = ways.every((way) => way === ways[0]);
  for (const [side, way] of ways.slice(0, alike ? 1 : undefined).entries()) {
    const where = alike ? "Ablated here: " : "Ablated here, " + view.sides[side].run.title + ": ";
    items.push(make("li", { class: "fine" }, make("span", { class: "way" }, where + way + ".")));
  }
  if (!found) {
    items.push(
      make(
        "li",
        { class: "fine" },
        make("span", null, "Regions are drawn when the report is made with ", make("code", null, "--regions"), "."),
      ),
    );
  }
  return make("ul", { class: "legend" }, ...items);
}

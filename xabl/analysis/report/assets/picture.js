// The image (or its outline) with the boxes of the phrase and of the regions.

// The largest picture, in pixels of the page; beyond MANY regions, fills would hide it.
const PICTURE_WIDTH = 480;
const PICTURE_HEIGHT = 420;
const MANY = 20;

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
      box: Array.from(regions.regions.subarray(4 * at, 4 * at + 4)),
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

function drawPicture(row, state, targetRegion) {
  const [name, width, height] = examples.texts.images[examples.image[row]];
  if (width === null || height === null) {
    return make("p", { class: "fine" }, "Nothing is known of image " + name + " but its name.");
  }
  const picture = document.getElementById("image-" + examples.image[row]);
  const found = regionsAt(row, state.direction, state.condition);
  const boxes = [];
  const scale = Math.min(PICTURE_WIDTH / width, PICTURE_HEIGHT / height);
  let many = false;
  if (found) {
    const hidden = found.filter((region) => region.hidden);
    const seen = found.filter((region) => !region.hidden);
    many = hidden.length > MANY;
    boxes.push(...seen.map((region) => rectangle(region.box, "region-box")));
    boxes.push(...hidden.map((region) => rectangle(region.box, "ablated-box")));
    if (targetRegion >= 0 && targetRegion < found.length) {
      boxes.push(rectangle(found[targetRegion].box, "target-box"));
    }
  }
  boxes.push(...phraseBoxes(row).map((box) => rectangle(box, "phrase-box")));
  const shape = makeSvg(
    "svg",
    {
      viewBox: [0, 0, width, height].join(" "),
      width: Math.round(width * scale),
      height: Math.round(height * scale),
      class: many ? "many" : null,
      role: "img",
      "aria-label": pictureText(name, width, height, row, found, state),
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
          { x: width / 2, y: height - 12, "text-anchor": "middle", fill: "#5a6472", "font-size": width / 32 },
          "outline of image " + name + ", " + width + " \u00d7 " + height + " pixels",
        ),
    ...boxes,
  );
  return make("div", { class: "picture" }, shape, legend(found, state, targetRegion));
}

function pictureText(name, width, height, row, found, state) {
  const phrase = examples.texts.phrase[examples.phrase[row]];
  return (
    "Image " + name + " with " + phraseBoxes(row).length + " box(es) of \u201c" + phrase + "\u201d" +
    (found ? "; " + hiddenText(found, state) : "")
  );
}

// How many of the regions the model does not see, in words.
function hiddenText(found, state) {
  const hidden = found.filter((region) => region.hidden).length;
  const word = index.directions[state.direction].region_state;
  if (found.some((region) => region.hidden === null)) {
    return "regions; which of them are " + word + " is not known here";
  }
  return hidden + " of " + found.length + " regions " + word;
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

function legend(found, state, targetRegion) {
  const lines = [["phrase-box", "box of the phrase"]];
  if (found) {
    const known = found.every((region) => region.hidden !== null);
    lines.push([known ? "ablated-box" : "region-box", hiddenText(found, state)]);
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

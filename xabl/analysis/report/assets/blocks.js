// Arrays and texts that lie deflated in the page, decoded when first asked for.

const index = JSON.parse(document.getElementById("index").textContent);

const KINDS = {
  u1: Uint8Array,
  i2: Int16Array,
  u2: Uint16Array,
  i4: Int32Array,
  u4: Uint32Array,
  f4: Float32Array,
};

const decoded = new Map();

// A promise of {name: typed array, ..., texts}; null for a block that is not there.
function readBlock(name) {
  if (!name || !index.blocks[name]) return Promise.resolve(null);
  if (!decoded.has(name)) decoded.set(name, decodeBlock(name));
  return decoded.get(name);
}

async function decodeBlock(name) {
  const script = document.getElementById("block-" + name);
  const binary = atob(script.textContent);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  const inflated = new Blob([bytes])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(inflated).arrayBuffer();
  script.remove();
  const header = index.blocks[name];
  const block = {};
  for (const [key, [kind, offset, length]] of Object.entries(header.arrays)) {
    block[key] = new KINDS[kind](buffer, offset, length);
  }
  block.texts = JSON.parse(
    new TextDecoder().decode(new Uint8Array(buffer, header.json)),
  );
  return block;
}

// An element with properties and children; texts become text, never markup.
function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  setProperties(element, properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function makeSvg(tag, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setProperties(element, properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function setProperties(element, properties) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
}

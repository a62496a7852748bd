// What is chosen in the browser, as the page's address says it.

// What an address leaves out.
const NOTHING = {
  example: null, // its number
  model: null, // the title of a run
  beside: null, // the title of a second one
  loss: null,
  condition: null,
  type: null,
  text: null,
  least: null, // bits
  most: null,
  sort: null,
};
const NUMBERS = ["example", "least", "most"];

// "#example=573&model=UNITER&loss=mlm&condition=all"
function addressOf(choice) {
  const fields = new URLSearchParams();
  for (const name of Object.keys(NOTHING)) {
    if (choice[name] !== null && choice[name] !== "") fields.set(name, choice[name]);
  }
  return "#" + fields;
}

// The choice that an address makes; null: none, as in the address of a section.
function readAddress(address) {
  if (!address.includes("=")) return null;
  const fields = new URLSearchParams(address.slice(1));
  const choice = { ...NOTHING };
  for (const name of Object.keys(NOTHING)) {
    const value = fields.get(name);
    choice[name] = value !== null && NUMBERS.includes(name) ? numberOf(value) : value;
  }
  return choice;
}

// null: not a number.
function numberOf(text) {
  const value = Number(text);
  return text.trim() === "" || !Number.isFinite(value) ? null : value;
}

// Puts a choice into the address: as a new step of the history, or in the place of the
// last one (typing and keys held down would make hundreds of steps).
function writeAddress(choice, step) {
  if (step) history.pushState(choice, "", addressOf(choice));
  else history.replaceState(choice, "", addressOf(choice));
}

// Calls `show` with the choice of every place in the history that is gone to.
function followHistory(current, show) {
  window.addEventListener("popstate", (event) => {
    const wanted = event.state || readAddress(location.hash);
    if (wanted) show(wanted);
    else history.replaceState(current(), ""); // the address of a section of the page
  });
}

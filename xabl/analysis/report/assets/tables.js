// Tables of the report: sorted by a click on a column's name, copied as CSV or LaTeX.

const SORTED = ["ascending", "descending", "none"]; // a click leads to the next

for (const table of document.querySelectorAll("table.data")) {
  const rows = [...table.tBodies[0].rows]; // in the report's own order
  const buttons = [...table.tHead.rows[0].cells].map((cell, column) => {
    const button = make("button", { type: "button", onclick: () => sortBy(table, rows, column) });
    button.append(...cell.childNodes);
    cell.append(button);
    return button;
  });
  buttons.forEach((button) => button.setAttribute("title", "Sort by " + button.textContent));
  for (const button of table.closest(".table").querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copyTable(table, button));
  }
}

function sortBy(table, rows, column) {
  const headers = [...table.tHead.rows[0].cells];
  const before = headers[column].getAttribute("aria-sort") || "none";
  const order = SORTED[(SORTED.indexOf(before) + 1) % SORTED.length];
  headers.forEach((header) => header.removeAttribute("aria-sort"));
  if (order !== "none") headers[column].setAttribute("aria-sort", order);
  // In the report's order a model's name stands at the first of its rows only.
  table.classList.toggle("grouped", order === "none");
  const sign = order === "descending" ? -1 : 1;
  const sorted = order === "none" ? rows : [...rows].sort((a, b) => {
    const [first, second] = [a, b].map((row) => sortValue(row.cells[column]));
    const gaps = [first, second].map((value) => value === null); // at the end, always
    if (gaps[0] || gaps[1]) return gaps[0] - gaps[1];
    return sign * (first < second ? -1 : first > second ? 1 : 0);
  });
  table.tBodies[0].append(...sorted);
}

// A number where the column holds numbers, null where this one is missing.
function sortValue(cell) {
  if (!cell.classList.contains("number")) return cell.textContent.trim().toLowerCase();
  if ("value" in cell.dataset) return Number(cell.dataset.value);
  const number = cell.textContent.replaceAll("\u2212", "-").match(/-?\d[\d.]*/);
  return number && Number(number[0]);
}

// Name and rows as they stand, sorted; each cell {text, value, low, high}.
function tableContent(table) {
  const headers = [...table.tHead.rows[0].cells];
  const rows = [...table.tBodies[0].rows].map((row) =>
    [...row.cells].map((cell) => ({
      text: (cell.querySelector(".main") || cell).textContent.trim(),
      interval: cell.querySelector(".interval")?.textContent.trim() || "",
      ...cell.dataset,
    })),
  );
  return { headers: headers.map((cell) => cell.textContent.trim()), paper: headers.map((cell) => "paper" in cell.dataset), rows };
}

// Every column, numbers as precise as they are; intervals as columns of their own.
function tableCsv(table) {
  const { headers, rows } = tableContent(table);
  const spread = headers.map((_, column) => rows.some((row) => "low" in row[column]));
  const names = headers.flatMap((name, column) => (spread[column] ? [name, name + " low", name + " high"] : [name]));
  const lines = rows.map((row) =>
    row.flatMap((cell, column) => {
      const value = cell.value ?? (cell.text === "\u2013" ? "" : cell.text);
      return spread[column] ? [value, cell.low ?? "", cell.high ?? ""] : [value];
    }),
  );
  return [names, ...lines].map((line) => line.map(csvField).join(",") + "\n").join("");
}

function csvField(text) {
  return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

// A booktabs tabular of the columns that a paper shows.
function tableLatex(table) {
  const { headers, paper, rows } = tableContent(table);
  const kept = headers.map((_, column) => column).filter((column) => paper[column]);
  const line = (cells) => cells.join(" & ") + " \\\\";
  const body = rows.map((row) => line(kept.map((column) => latexCell(row[column]))));
  const numeric = (column) => table.tHead.rows[0].cells[column].classList.contains("number");
  return [
    "% \\usepackage{booktabs}",
    "\\begin{tabular}{" + kept.map((column) => (numeric(column) ? "r" : "l")).join("") + "}",
    "\\toprule",
    line(kept.map((column) => latexText(headers[column]))),
    "\\midrule",
    ...body,
    "\\bottomrule",
    "\\end{tabular}",
    "",
  ].join("\n");
}

function latexCell({ text, interval }) {
  return latexText(text) + (interval ? " {\\small " + latexText(interval) + "}" : "");
}

function latexText(text) {
  const special = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\u2212": "$-$", "\u2013": "--", "<": "$<$", ">": "$>$" };
  return text.replace(/[\\~^\u2212\u2013<>&%$#_{}]/g, (character) => special[character] || "\\" + character);
}

async function copyTable(table, button) {
  const text = button.dataset.copy === "csv" ? tableCsv(table) : tableLatex(table);
  const status = button.parentElement.querySelector("[role=status]");
  try {
    await navigator.clipboard.writeText(text);
    status.textContent = "copied";
  } catch {
    status.textContent = copySelected(text) ? "copied" : "this browser does not let pages copy";
  }
  setTimeout(() => (status.textContent = ""), 3000);
}

// For browsers that give pages from disk no clipboard.
function copySelected(text) {
  const field = make("textarea", { readonly: true, class: "offscreen" });
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

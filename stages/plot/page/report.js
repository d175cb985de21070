"use strict";
const valueOf = (cell) => {
  const raw = cell.dataset.value;
  return raw === undefined ? cell.textContent.toLowerCase() : raw === "" ? -Infinity : Number(raw);
};
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    headings.forEach((other) => other.setAttribute("aria-sort", "none"));
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [valueOf(a.cells[column]), valueOf(b.cells[column])];
      return sign * (x < y ? -1 : x > y ? 1 : 0);
    });
    table.tBodies[0].append(...rows);
  }));
}
const filter = document.getElementById("filter");
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  for (const row of document.querySelectorAll("#metrics tbody tr")) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
});

const tip = document.getElementById("tip");
const showTip = (event) => {
  const mark = event.target.closest?.("[data-tip]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const box = mark.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const left = Math.min(Math.max(box.left + box.width / 2 - own.width / 2, 4), innerWidth - own.width - 4);
  tip.style.left = `${left}px`;
  tip.style.top = `${box.top > own.height + 8 ? box.top - own.height - 6 : box.bottom + 6}px`;
};
document.addEventListener("pointerover", showTip);
document.addEventListener("pointerdown", showTip);
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

for (const tools of document.querySelectorAll(".tools, .toggles")) tools.hidden = false;
for (const box of document.querySelectorAll("[data-method]")) box.addEventListener("change", () => {
  for (const mark of document.querySelectorAll("#study [data-series], #answer [data-series]"))
    if (mark.dataset.series === box.dataset.method) mark.classList.toggle("off", !box.checked);
});

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const drawing = (figure) => {
  const svg = figure.querySelector("svg").cloneNode(true);
  const [x, y, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  const title = document.createElementNS("http://www.w3.org/2000/svg", "text");
  title.textContent = figure.querySelector("figcaption b")?.textContent ?? "";
  title.setAttribute("style", "font: 600 8px var(--sans); fill: var(--ink)");
  title.setAttribute("y", "-6");
  svg.prepend(title);
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of Object.entries({ x, y: y - 18, width, height: height + 18, style: "fill: var(--paper)" }))
    paper.setAttribute(name, value);
  svg.prepend(paper);
  svg.setAttribute("viewBox", [x, y - 18, width, height + 18].join(" "));
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("height", `${height + 18}pt`);
  return new XMLSerializer().serializeToString(svg).replace(/var\((--[\w-]+)\)/g, (_, name) => variable(name).replaceAll('"', "'"));
};
for (const button of document.querySelectorAll("[data-get]")) button.addEventListener("click", () => {
  const figure = button.closest(".panel"), kind = button.dataset.get;
  const content = kind === "csv" ? figure.dataset.csv : drawing(figure);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: kind === "csv" ? "text/csv" : "image/svg+xml" }));
  link.download = `${figure.dataset.name.replace(/[^\w.-]+/g, "-")}.${kind}`;
  link.click();
  URL.revokeObjectURL(link.href);
});

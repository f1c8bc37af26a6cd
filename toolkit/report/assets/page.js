"use strict";
{
  const tip = document.getElementById("tip");

  /* A mark's numbers, as text: a record is untrusted. */
  const show = (_handler, event, _item, value) => {
    if (value === null || value === undefined || value === "") {
      tip.hidden = true;
      return;
    }
    tip.textContent =
      typeof value === "object"
        ? Object.entries(value).map(([name, text]) => `${name}: ${text}`).join("\n")
        : String(value);
    tip.hidden = false;
    const room = document.documentElement.clientWidth;
    const left = Math.min(event.clientX + 14, room - tip.offsetWidth - 8);
    const below = event.clientY + 18 + tip.offsetHeight < window.innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 12}px`;
  };

  const specs = JSON.parse(document.getElementById("specs").textContent);
  for (const [name, spec] of Object.entries(specs)) {
    const container = document.getElementById(`plot-${name}`);
    const view = new vega.View(vega.parse(spec), { renderer: "svg", container, hover: true });
    view.tooltip(show);
    view.runAsync();
  }

  /* Sorting: within each part of the table, so that no row gains a rank by a click. */
  const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  for (const button of document.querySelectorAll("table.main th button")) {
    button.addEventListener("click", () => {
      const head = button.parentElement;
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      for (const body of head.closest("table").tBodies) {
        const rows = [...body.rows].sort(
          (a, b) => (up ? 1 : -1) * compare(key(a, head.cellIndex), key(b, head.cellIndex)),
        );
        body.append(...rows);
      }
    });
  }
}

"use strict";
{
  const form = document.getElementById("filters");
  const name = document.getElementById("filter");
  const fails = document.getElementById("fails");
  const rows = [...document.querySelectorAll("#operators tbody tr")];
  const folds = [...document.querySelectorAll(".failing details")];

  const filter = () => {
    const wanted = name.value.trim().toLowerCase();
    const fits = (element) => element.dataset.name.includes(wanted);
    for (const row of rows) row.hidden = !fits(row) || (fails.checked && !("fails" in row.dataset));
    for (const fold of folds) fold.hidden = !fits(fold);
    const left = rows.filter((row) => !row.hidden).length;
    document.getElementById("shown").textContent = `${left} of ${rows.length}`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
}

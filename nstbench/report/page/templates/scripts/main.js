for (const image of document.querySelectorAll("img[data-picture]")) sight.observe(image);
for (const table of document.querySelectorAll("main table")) {
  const rows = table.tBodies[0].rows.length;
  if (rows > 2) sortable(table);
  if (rows > FEW_ROWS) searchable(table);
  widths.observe(table);
}
const plotters = [...document.querySelectorAll(".plotter")].map((each) => new Plotter(each));
for (const each of document.querySelectorAll(".gallery")) new Viewer(each);
const runs = document.getElementById("runs");
runs?.addEventListener("toggle", (event) => open(event.target), true);
runs?.querySelectorAll("details[open]").forEach(open);
runs?.querySelector("input[type=search]")?.addEventListener("input", (event) => findRuns(runs, event.target.value));

/* On paper: light, no wider than the page, and every picture in its place. */
const printing = (begins) => {
  root.classList.toggle("printing", begins);
  if (begins) document.querySelectorAll("img[data-picture]").forEach(paint);
  for (const plotter of plotters) plotter.draw();
};
addEventListener("beforeprint", () => printing(true));
addEventListener("afterprint", () => printing(false));

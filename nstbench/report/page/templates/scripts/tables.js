/* A press on a column's head sorts by it; "missed" and dashes come last. */
const sortable = (table) => {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = element("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      const key = (row) => row.cells[column].firstChild?.textContent?.trim() ?? "";
      const order = (a, b) => {
        const [x, y] = [Number.parseFloat(key(a)), Number.parseFloat(key(b))];
        if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
        const by = Number.isNaN(x) ? key(a).localeCompare(key(b)) : x - y;
        return up ? by : -by;
      };
      body.append(...[...body.rows].sort(order));
      for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
    });
  });
};

/* A field that leaves the rows which hold every word of it. */
const FEW_ROWS = 8;
const searchable = (table) => {
  const rows = [...table.tBodies[0].rows];
  const field = element("input", { type: "search", placeholder: "adam 0.02", ariaLabel: "Filter the rows" });
  const count = element("output");
  field.addEventListener("input", () => {
    const wanted = words(field.value);
    for (const row of rows) row.hidden = !wanted.every((word) => row.textContent.toLowerCase().includes(word));
    count.textContent = wanted.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  });
  table.closest(".scroll").before(element("p", { className: "filter" }, element("label", {}, "Rows with ", field), " ", count));
};

/* The columns that say what a row is stay in sight while the others scroll. */
const stuck = (table) => {
  const heads = [...table.tHead.rows[0].cells].filter((head) => head.classList.contains("stuck"));
  let left = 0;
  heads.forEach((head, place) => {
    table.style.setProperty(`--left-${place}`, `${left}px`);
    left += head.getBoundingClientRect().width;
  });
};
const widths = new ResizeObserver((entries) => entries.forEach((entry) => stuck(entry.target)));

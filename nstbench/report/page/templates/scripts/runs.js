/* Runs: what is inside of each is written when it is opened. */
const inside = (run) => {
  const { pairs } = data.runs;
  const facts = run.facts.map(([title, places]) => {
    const list = places.flatMap((place) => [element("dt", { textContent: pairs[place][0] }), element("dd", { textContent: pairs[place][1] })]);
    return element("div", {}, element("h4", { textContent: title }), element("dl", {}, ...list));
  });
  const command = element("pre", { tabIndex: 0, textContent: run.command });
  const copy = element("button", { type: "button", className: "copy", textContent: "Copy" });
  copy.addEventListener("click", () => {
    getSelection().selectAllChildren(command);
    copy.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
  });
  const files = run.files.flatMap((path) => [element("a", { href: path, textContent: path.split("/").at(-1) }), " "]);
  return element(
    "div",
    { className: "inside" },
    element("p", { className: "lede" }, element("code", { textContent: run.id }), element("br"), run.problem),
    ...(run.error ? [element("pre", { className: "error", textContent: run.error })] : []),
    element("p", {}, "Run it again: ", copy),
    command,
    ...(run.notes.length ? [element("ul", { className: "notes" }, ...run.notes.map((note) => element("li", { textContent: note })))] : []),
    element("p", { className: "files" }, ...files),
    element("div", { className: "columns" }, ...facts),
  );
};

const open = (details) => {
  if (details.open && details.dataset.run && !details.querySelector(".inside")) details.append(inside(data.runs.runs[details.dataset.run]));
};

const findRuns = (section, text) => {
  const wanted = words(text);
  const runs = [...section.querySelectorAll("details.run")];
  let found = 0;
  for (const run of runs) {
    const own = data.runs.runs[run.dataset.run];
    const whole = `${run.querySelector("summary").textContent} ${own.id} ${own.problem}`.toLowerCase();
    run.hidden = !wanted.every((word) => whole.includes(word));
    found += !run.hidden;
  }
  for (const fold of section.querySelectorAll("details.fold")) {
    fold.hidden = !fold.querySelector("details.run:not([hidden])");
    fold.open = wanted.length > 0 && !fold.hidden && found <= 30;
  }
  section.querySelector("output").textContent = wanted.length ? `${found} of ${runs.length}` : "";
};

/* Tick marks of a logarithmic axis between two values: as many as there is room for. */
const logTicks = (low, high, room) => {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  if (high / low < 5) return linearTicks(low, high, room);
  const places = (digits, step = 1) => {
    const values = [];
    for (let power = first; power <= last; power += step) values.push(...digits.map((digit) => digit * 10 ** power));
    return values.filter((value) => value >= low && value <= high);
  };
  for (const digits of [[1, 2, 5], [1, 3], [1]]) {
    const values = places(digits);
    if (values.length <= room) return values;
  }
  return places([1], Math.ceil((last - first) / room));
};

const linearTicks = (low, high, room, whole = false) => {
  const unit = 10 ** Math.floor(Math.log10((high - low) / room || Math.abs(high) || 1));
  const wide = unit * ([1, 2, 5, 10].find((each) => (high - low) / (unit * each) <= room) ?? 10);
  const step = whole ? Math.max(wide, 1) : wide;
  const values = [];
  for (let at = Math.ceil(low / step); at * step <= high; at += 1) values.push(at * step);
  return values;
};

/* Plots: a plotter shows one of its plots at a time. */
class Plotter {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector(".plot");
    this.plots = JSON.parse(root.dataset.plots).map((name) => data.plots[name]);
    this.field = Object.fromEntries([...root.querySelectorAll("[name]:not([type=radio])")].map((each) => [each.name, each]));
    this.axes = root.querySelector(".axes");
    this.hidden = new Set(); // series that were pressed away
    this.filtered = new Set(); // series that the filters leave out
    this.zoom = {};
    this.listen();
    const titles = new Map(this.plots.map((plot) => [plot.title, plot.name]).reverse());
    this.field.figure.append(...[...titles].reverse().map(([title, name]) => option(name, title)));
    this.field.figure.parentElement.hidden = titles.size < 2;
    this.choose(this.plots[0].name);
    this.restore();
    this.draw();
    this.canvas.on("plotly_relayout", (event) => this.zoomed(event));
  }

  listen() {
    const { figure, pair, family, rate, find } = this.field;
    const heard = (field, kind, action) => field.addEventListener(kind, () => (action(), this.show()));
    heard(figure, "change", () => this.choose(this.alike(figure.value).name));
    heard(pair, "change", () => this.choose(pair.value));
    heard(this.axes, "change", () => delete this.zoom.xaxis);
    for (const name of ["logX", "logY", "distance", "budget"]) heard(this.field[name], "change", () => this.switched(name));
    for (const field of [family, rate]) heard(field, "change", () => this.filter());
    heard(find, "input", () => this.filter());
    this.root.addEventListener("click", (event) => this.press(event.target.closest("button")));
    for (const media of [dark, narrow]) media.addEventListener("change", () => this.draw());
  }

  /* Draws, and puts into the address what is drawn. */
  show() {
    this.draw();
    const { find, family, rate } = this.field;
    const state = { plot: this.plot.name, over: this.axis() };
    for (const name of ["logX", "logY", "distance", "budget"]) state[name] = Number(this.field[name].checked);
    for (const field of [family, rate, find]) if (field.value) state[field.name] = field.value;
    if (this.hidden.size) state.hide = [...this.hidden].join(",");
    for (const [name, range] of Object.entries(this.zoom)) state[name] = range.map((value) => Number(value.toPrecision(6))).join(",");
    remember(this.root.id, state);
  }

  restore() {
    const state = remembered(this.root.id);
    if (!state) return;
    const numbers = (name) => (state.get(name) ?? "").split(",").filter(Boolean).map(Number);
    if (this.plots.some((plot) => plot.name === state.get("plot"))) this.choose(state.get("plot"));
    for (const input of this.axes.querySelectorAll("input:not(:disabled)")) input.checked ||= input.value === state.get("over");
    for (const name of ["logX", "logY", "distance", "budget"]) this.field[name].checked = state.get(name) === "1";
    for (const name of ["family", "rate", "find"]) this.field[name].value = state.get(name) ?? "";
    this.hidden = new Set(numbers("hide"));
    for (const name of ["xaxis", "yaxis"]) if (numbers(name).length === 2) this.zoom[name] = numbers(name);
    this.filter();
    this.root.scrollIntoView();
  }

  /* The figure called `name`, of the pictures that are shown now where it is there for them. */
  alike(name) {
    const { title } = data.plots[name];
    return this.plots.find((plot) => plot.title === title && plot.problem === this.plot.problem) ?? data.plots[name];
  }

  choose(name) {
    const axis = this.axis();
    this.plot = data.plots[name];
    const alike = this.plots.filter((plot) => plot.title === this.plot.title);
    this.field.figure.value = alike[0].name;
    this.field.pair.replaceChildren(...alike.map((plot) => option(plot.name, plot.problem)));
    this.field.pair.value = this.plot.name;
    this.field.pair.parentElement.hidden = alike.length < 2;
    for (const input of this.axes.querySelectorAll("input")) {
      const has = this.plot.axes.some((each) => each.key === input.value);
      input.parentElement.hidden = input.disabled = !has;
      input.checked = has && input.value === axis;
    }
    if (!this.axis()) this.axes.querySelector("input:not(:disabled)").checked = true;
    this.axes.hidden = this.plot.axes.length < 2;
    this.field.logX.checked = this.plot.log_x;
    this.field.logY.checked = this.plot.log_y;
    this.field.distance.checked = false;
    this.field.budget.checked = true;
    this.field.logX.parentElement.hidden = this.plot.rows.length > 0;
    this.field.logY.parentElement.hidden = !this.plot.log_y; // shares and lines of their own
    this.field.distance.parentElement.hidden = !this.plot.distance;
    this.zoom = {};
    this.hidden.clear();
    this.offer();
    this.root.querySelector(".hint").textContent = this.plot.notes;
  }

  /* The optimizers and rates of this plot, to filter by. */
  offer() {
    for (const list of this.root.querySelectorAll(".legend")) list.hidden = list.dataset.plot !== this.plot.name;
    const entries = this.entries();
    for (const name of ["family", "rate"]) {
      const values = [...new Set(entries.map((button) => button.dataset[name]).filter(Boolean))];
      if (name === "rate") values.sort((a, b) => a - b);
      this.field[name].replaceChildren(option("", "all"), ...values.map((value) => option(value, value)));
      this.field[name].parentElement.hidden = values.length < 2 || values.length === entries.length && name === "family";
    }
    this.field.find.value = "";
    this.field.find.parentElement.hidden = entries.length < 7;
    this.filter();
  }

  entries() {
    return [...this.root.querySelectorAll(".legend:not([hidden]) [data-series]")];
  }

  filter() {
    const { family, rate, find } = this.field;
    const wanted = words(find.value);
    this.filtered.clear();
    for (const button of this.entries()) {
      const text = button.textContent.toLowerCase();
      const fits = [family, rate].every((field) => !field.value || button.dataset[field.name] === field.value);
      const matches = fits && wanted.every((word) => text.includes(word));
      button.parentElement.hidden = !matches;
      if (!matches) this.filtered.add(Number(button.dataset.series));
    }
  }

  switched(name) {
    delete this.zoom[name === "logX" || name === "budget" ? "xaxis" : "yaxis"];
    if (name === "distance" && this.field.distance.checked) this.field.logY.checked = true;
  }

  press(button) {
    if (!button) return;
    const deeds = {
      all: () => this.hidden.clear(),
      none: () => this.entries().forEach((each) => this.hidden.add(Number(each.dataset.series))),
      reset: () => (this.zoom = {}),
      png: () => this.save("png"),
      svg: () => this.save("svg"),
      only: () => {
        const chosen = button.parentElement.querySelector("[data-series]");
        this.hidden = new Set(this.entries().filter((each) => each !== chosen).map((each) => Number(each.dataset.series)));
      },
      toggle: () => {
        const series = Number(button.dataset.series);
        if (!this.hidden.delete(series)) this.hidden.add(series);
      },
    };
    deeds[button.dataset.do]();
    this.show();
  }

  save(format) {
    const { width, height } = this.canvas.getBoundingClientRect();
    const filename = `${this.plot.name}_${this.axis()}`;
    Plotly.downloadImage(this.canvas, { format, filename, width: Math.round(width), height: Math.round(height), scale: format === "png" ? 2 : 1 });
  }

  /* Where a reader zoomed to, with tick marks for it. */
  zoomed(event) {
    let changed = false;
    for (const name of ["xaxis", "yaxis"]) {
      if (event[`${name}.autorange`]) changed = delete this.zoom[name];
      if (`${name}.range[0]` in event) changed = this.zoom[name] = [event[`${name}.range[0]`], event[`${name}.range[1]`]];
    }
    if (changed) this.show();
  }

  axis() {
    return this.axes.querySelector("input:checked")?.value;
  }

  draw() {
    const axis = this.plot.axes.find((each) => each.key === this.axis());
    const cut = axis.key === "evaluations" && this.plot.budget;
    this.field.budget.parentElement.hidden = !cut;
    const most = cut && this.field.budget.checked ? this.plot.budget : Infinity;
    const lowest = this.field.distance.checked ? this.lowest() : null;
    const traces = this.plot.traces[axis.key].map((trace) => this.dressed(trace, most, lowest));
    for (const button of this.entries()) button.setAttribute("aria-pressed", String(!this.hidden.has(Number(button.dataset.series))));
    this.canvas.setAttribute("aria-label", `${this.plot.title}: ${this.plot.y} over ${axis.label}`);
    if (this.plot.rows.length) this.canvas.style.height = `${Math.max(20, 6 + 2.1 * this.plot.rows.length)}rem`;
    else this.canvas.style.removeProperty("height");
    this.root.querySelector("[data-do=reset]").disabled = !Object.keys(this.zoom).length;
    const stem = this.plot.files[axis.key];
    const links = stem ? ["pdf", "svg", "png"].map((kind) => element("a", { href: `${stem}.${kind}`, textContent: kind.toUpperCase() })) : [];
    this.root.querySelector(".files").replaceChildren(...links);
    Plotly.react(this.canvas, traces, this.layout(axis.label, traces), { displayModeBar: false, responsive: true, doubleClick: "autosize" });
  }

  /* The lowest value of any curve of the plot, shown or not. */
  lowest() {
    let lowest = Infinity;
    for (const trace of Object.values(this.plot.traces).flat()) {
      if (trace.meta.series >= 0) for (const value of trace.y) lowest = Math.min(lowest, value);
    }
    return lowest;
  }

  /* A trace as it is shown now: in its colour, within the budget, from the lowest value up. */
  dressed(trace, most, lowest) {
    const ink = isDark() ? trace.meta.dark : trace.meta.light;
    const series = trace.meta.series;
    const copy = { ...trace, line: { ...trace.line, color: ink } };
    copy.visible = !this.hidden.has(series) && !this.filtered.has(series);
    if (trace.marker) copy.marker = { ...trace.marker, color: ink };
    if (trace.fill) copy.fillcolor = ink;
    if (trace.error_x) copy.error_x = { ...trace.error_x, color: ink };
    if (!copy.visible) return copy;
    if (series < 0) copy.x = trace.x.map((x) => Math.min(x, most));
    const within = (values) => (series < 0 || most === Infinity ? values : values.filter((_, place) => trace.x[place] <= most));
    const above = (values) => (lowest === null ? values : values.map((value) => (value > lowest ? value - lowest : null)));
    const [y, low, high] = [trace.y, trace.meta.low, trace.meta.high].map((values) => values && above(within(values)));
    copy.x = within(copy.x);
    if (copy.line.shape === "hv" && copy.x.length < trace.x.length) {
      copy.x.push(most); // a step holds on to the end
      y.push(y.at(-1));
    }
    copy.y = y;
    copy.visible = lowest === null || !trace.fill; // a band that reaches the lowest has no end on a logarithmic axis
    const text = (value) => (value === undefined || value === null ? "" : number(value));
    if (trace.hovertemplate) copy.customdata = copy.x.map((x, place) => [x, y[place], low?.[place], high?.[place]].map(text));
    return copy;
  }

  layout(label, traces) {
    const printing = root.classList.contains("printing");
    const small = narrow.matches || printing;
    const { logX, logY, distance } = this.field;
    const rows = this.plot.rows.length > 0;
    const y = distance.checked ? "loss above the lowest" : this.plot.y;
    return {
      xaxis: this.scale("xaxis", label, logX.checked && !rows, traces, "x", small),
      yaxis: rows ? this.lines(small) : this.scale("yaxis", y, logY.checked, traces, "y", small),
      font: { family: colour("--sans"), size: small ? 12 : 13.5, color: colour("--ink") },
      paper_bgcolor: colour("--paper"),
      plot_bgcolor: colour("--paper"),
      hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
      margin: { l: 48, r: 16, t: 12, b: 44 },
      showlegend: false,
      hovermode: "closest",
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      ...(printing ? { width: 680, height: rows ? this.canvas.clientHeight : 380 } : { autosize: true }),
    };
  }

  /* An axis with tick marks in the page's notation, over what is shown or zoomed to. */
  scale(name, title, log, traces, key, small) {
    const zoom = this.zoom[name];
    let [low, high] = zoom ? (log ? zoom.map((value) => 10 ** value) : zoom) : this.extent(traces, key, log);
    if (!zoom) [low, high] = log ? [low / 1.15, high * 1.15] : [low - 0.06 * (high - low), high + 0.06 * (high - low)];
    const whole = key === "x" && traces.every((trace) => trace.x.every(Number.isInteger));
    const values = (log ? logTicks : linearTicks)(low, high, small ? 5 : 9, whole);
    return {
      title: { text: title, standoff: 8 },
      type: log ? "log" : "linear",
      ...(zoom ? { range: zoom, autorange: false } : { autorange: true }),
      tickmode: "array",
      tickvals: values,
      ticktext: values.map((value) => number(value)),
      gridcolor: colour("--grid"),
      linecolor: colour("--soft"),
      tickcolor: colour("--soft"),
      zeroline: false,
      showline: true,
      ticks: "outside",
      ticklen: 4,
      automargin: true,
    };
  }

  extent(traces, key, log) {
    let [low, high] = [Infinity, -Infinity];
    for (const trace of traces) {
      if (!trace.visible) continue;
      for (const value of trace[key]) {
        if (value === null || (log && value <= 0)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    return low <= high ? [low, high] : [1, 10];
  }

  /* The vertical axis of a plot with one named line per result. */
  lines(small) {
    const names = this.plot.rows.map((name) => (small ? name.replace(" / ", "<br>/ ").replace(", ", ",<br>") : name));
    return {
      tickvals: names.map((_, place) => place),
      ticktext: names,
      range: [names.length - 0.5, -0.5],
      automargin: true,
      showgrid: false,
      zeroline: false,
      fixedrange: true,
      tickfont: { size: small ? 10 : 13 },
    };
  }
}

(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 800px)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /* The page's one notation of a number: 0.02, 20000, 1.42e8. */
  const short = (value) => (Math.abs(value) < 1e6 && Math.abs(value) >= 1e-4 ? String(value) : value.toExponential().replace("e+", "e"));

  /* Curves: one plotter shows one of its plots at a time. */
  class Plotter {
    constructor(root) {
      this.root = root;
      this.canvas = root.querySelector(".plot");
      this.choice = root.querySelector("select");
      this.axes = root.querySelector(".axes");
      this.logX = root.querySelector(".log-x");
      this.logY = root.querySelector(".log-y");
      this.distance = root.querySelector(".distance");
      this.hidden = new Set();
      this.choice.addEventListener("change", () => this.choose());
      this.axes.addEventListener("change", () => this.draw());
      this.logX.addEventListener("change", () => this.draw());
      this.logY.addEventListener("change", () => this.draw());
      this.distance.addEventListener("change", () => this.draw());
      for (const list of root.querySelectorAll(".legend")) {
        list.addEventListener("click", (event) => this.press(event.target.closest("button")));
        list.addEventListener("dblclick", (event) => this.only(event.target.closest("button[data-series]")));
      }
      dark.addEventListener("change", () => this.draw());
      narrow.addEventListener("change", () => this.draw());
      this.choose(false);
      this.restore();
      this.draw();
      this.ready = true;
    }

    /* What is shown lives in the address, so that it can be sent: #plotter-curves?plot=...&over=... */
    remember() {
      if (!this.ready) return;
      const state = new URLSearchParams({ plot: this.plot.name, over: this.axis() });
      if (this.hidden.size) state.set("hide", [...this.hidden].join(","));
      for (const box of ["logX", "logY", "distance"]) state.set(box, Number(this[box].checked));
      history.replaceState(null, "", `#${this.root.id}?${state}`);
    }

    restore() {
      const [id, query] = location.hash.slice(1).split("?");
      if (id === this.root.id && query) {
        const state = new URLSearchParams(query);
        if (data.plots[state.get("plot")] && [...this.choice.options].some((each) => each.value === state.get("plot"))) {
          this.choice.value = state.get("plot");
          this.choose(false);
        }
        const axis = [...this.axes.querySelectorAll("input:not(:disabled)")].find((each) => each.value === state.get("over"));
        if (axis) axis.checked = true;
        for (const box of ["logX", "logY", "distance"]) this[box].checked = state.get(box) === "1";
        const hide = new Set((state.get("hide") ?? "").split(",").filter(Boolean).map(Number));
        this.show((series) => !hide.has(series), false);
        this.root.scrollIntoView();
      }
    }

    choose(draw = true) {
      const axis = this.axis();
      this.plot = data.plots[this.choice.value];
      this.hidden.clear();
      for (const list of this.root.querySelectorAll(".legend")) {
        list.hidden = list.dataset.plot !== this.plot.name;
        for (const button of list.querySelectorAll("button[data-series]")) button.setAttribute("aria-pressed", "true");
      }
      for (const input of this.axes.querySelectorAll("input")) {
        const has = this.plot.axes.some((each) => each.key === input.value);
        input.parentElement.hidden = !has;
        input.disabled = !has;
        input.checked = has && input.value === axis;
      }
      if (!this.axis()) this.axes.querySelector("input:not(:disabled)").checked = true;
      this.axes.hidden = this.plot.axes.length < 2;
      this.logX.checked = this.plot.log_x;
      this.logY.checked = this.plot.log_y;
      this.root.querySelector(".hint").textContent = this.plot.notes;
      if (draw) this.draw();
    }

    axis() {
      return this.axes.querySelector("input:checked")?.value;
    }

    press(button) {
      if (button?.dataset.show) this.show(() => button.dataset.show === "all");
      else this.toggle(button);
    }

    only(button) {
      if (button) this.show((series) => series === Number(button.dataset.series));
    }

    /* Shows the series for which `wanted` holds and hides the others. */
    show(wanted, draw = true) {
      const list = this.root.querySelector(".legend:not([hidden])");
      for (const button of list.querySelectorAll("button[data-series]")) {
        const series = Number(button.dataset.series);
        wanted(series) ? this.hidden.delete(series) : this.hidden.add(series);
        button.setAttribute("aria-pressed", String(wanted(series)));
      }
      if (draw) this.draw();
    }

    toggle(button) {
      if (!button) return;
      const series = Number(button.dataset.series);
      const shown = this.hidden.has(series);
      shown ? this.hidden.delete(series) : this.hidden.add(series);
      button.setAttribute("aria-pressed", String(shown));
      this.draw();
    }

    draw() {
      const axis = this.plot.axes.find((each) => each.key === this.axis());
      const lowest = this.distance.checked && this.plot.distance ? this.lowest() : 0;
      const traces = this.plot.traces[axis.key].map((trace) => this.above(this.dressed(trace), lowest));
      this.remember();
      this.canvas.setAttribute("aria-label", `${this.plot.title}: ${this.plot.y} over ${axis.label}`);
      Plotly.react(this.canvas, traces, this.layout(axis.label, traces), {
        displaylogo: false,
        modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d"],
        toImageButtonOptions: { format: "svg", filename: this.plot.name, scale: 1 },
        responsive: true,
      });
    }

    /* The lowest loss of any curve of the plot, shown or not. */
    lowest() {
      const all = Object.values(this.plot.traces).flat().filter((trace) => trace.meta.series >= 0);
      return Math.min(...all.flatMap((trace) => trace.y));
    }

    above(trace, lowest) {
      if (!lowest) return trace;
      const y = trace.y.map((value) => (value > lowest ? value - lowest : null));
      return { ...trace, y, visible: trace.visible && !trace.fill };
    }

    dressed(trace) {
      const ink = dark.matches ? trace.meta.dark : trace.meta.light;
      const copy = { ...trace, line: { ...trace.line, color: ink } };
      copy.visible = !this.hidden.has(trace.meta.series);
      if (trace.marker) copy.marker = { ...trace.marker, color: ink };
      if (trace.fill) copy.fillcolor = ink;
      if (trace.error_x) copy.error_x = { ...trace.error_x, color: ink };
      return copy;
    }

    /* The vertical axis of a plot with one named line per result. */
    rows() {
      const names = this.plot.rows.map((name) => (narrow.matches ? name.replace(" / ", "<br>/ ").replace(", ", ",<br>") : name));
      return {
        tickvals: names.map((_, place) => place),
        ticktext: names,
        range: [names.length - 0.5, -0.5],
        automargin: true,
        showgrid: false,
        zeroline: false,
        fixedrange: true,
        tickfont: { size: narrow.matches ? 10 : 13 },
      };
    }

    layout(label, traces) {
      const axis = (title, log, values) => ({
        title: { text: title, standoff: 8 },
        type: log ? "log" : "linear",
        gridcolor: colour("--grid"),
        linecolor: colour("--soft"),
        zeroline: false,
        showline: true,
        ticks: "outside",
        ticklen: 4,
        tickcolor: colour("--soft"),
        automargin: true,
        exponentformat: "power",
        ...(log ? logTicks(values) : { nticks: narrow.matches ? 5 : 10 }),
      });
      /* 1, 2, 5 where few decades are shown, else a decade or several apart. */
      const logTicks = (values) => {
        const known = values.filter((value) => value > 0);
        const decades = Math.log10(Math.max(...known) / Math.min(...known));
        const room = narrow.matches ? 4 : 9;
        if (decades < 0.7) return { tickmode: "array", ...steps(known, room) };
        return decades <= 3 ? { dtick: "D2" } : { dtick: Math.ceil(decades / room) };
      };
      const steps = (known, room) => {
        const low = Math.min(...known), high = Math.max(...known);
        const unit = 10 ** Math.floor(Math.log10((high - low) / room || high));
        const step = unit * ([1, 2, 5, 10].find((each) => (high - low) / (unit * each) <= room) ?? 10);
        const tickvals = [];
        for (let at = Math.floor(low / step) * step; at <= high + step; at += step) if (at > 0) tickvals.push(Number(at.toPrecision(6)));
        return { tickvals, ticktext: tickvals.map(short) };
      };
      const values = (name) => traces.flatMap((trace) => (trace.visible ? trace[name] : []));
      return {
        xaxis: axis(label, this.logX.checked, values("x")),
        yaxis: this.plot.rows.length ? this.rows() : axis(this.distance.checked && this.plot.distance ? "loss above the lowest" : this.plot.y, this.logY.checked, values("y")),
        font: { family: colour("--sans"), size: narrow.matches ? 12 : 13.5, color: colour("--ink") },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        hoverlabel: { bgcolor: colour("--raised"), bordercolor: colour("--line"), font: { color: colour("--ink") } },
        margin: { l: 48, r: 12, t: 12, b: 44 },
        showlegend: false,
        uirevision: `${this.plot.name} ${label} ${this.logX.checked} ${this.logY.checked} ${this.distance.checked}`, // zoom stays
        hovermode: "closest",
        dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      };
    }
  }

  /* Pictures: content and result under one slider, the snapshots under another. */
  class Viewer {
    constructor(root) {
      this.root = root;
      this.entries = data.galleries[root.dataset.gallery];
      this.result = root.querySelector(".compare .result");
      this.stage = root.querySelector(".compare");
      this.cut = root.querySelector(".cut");
      this.time = root.querySelector(".time");
      this.cut.addEventListener("input", () => this.stage.style.setProperty("--cut", `${this.cut.value}%`));
      this.time.addEventListener("input", () => this.frame());
      this.other = root.querySelector(".compare .other");
      this.content = this.other?.src;
      root.querySelector(".left")?.addEventListener("change", (event) => this.beside(event.target.value));
      root.querySelector(".strip").addEventListener("change", (event) => this.show(event.target));
      this.stage.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
      this.stage.addEventListener("pointerdown", (event) => this.drag(event));
      this.show(root.querySelector(".strip input:checked"));
    }

    show(input) {
      this.entry = this.entries[Number(input.value)];
      this.picture = input.parentElement.querySelector("img").src;
      const last = Math.max(this.entry.frames.length - 1, 0);
      this.time.max = last;
      this.time.value = last;
      this.root.querySelector(".snapshots").hidden = last === 0;
      this.root.querySelector(".name").textContent = this.entry.label;
      this.result.alt = `result of ${this.entry.label}`;
      this.frame();
    }

    /* The picture on the left of the slider: the content, or another result. */
    beside(place) {
      const input = this.root.querySelectorAll(".strip input")[Number(place)];
      this.other.src = place === "" ? this.content : input.parentElement.querySelector("img").src;
      const name = place === "" ? "content" : this.entries[Number(place)].label;
      this.other.alt = `${name} picture`;
      this.root.querySelector(".slider .start").textContent = name;
    }

    frame() {
      const frame = this.entry.frames[Number(this.time.value)];
      this.result.src = frame?.src ?? this.picture;
      const caption = frame?.caption ?? this.entry.caption;
      this.root.querySelector(".caption").textContent = caption;
      this.time.setAttribute("aria-valuetext", caption);
      this.root.querySelector(".moment").textContent = frame ? `epoch ${frame.epoch}` : "";
    }

    drag(event) {
      const box = this.stage.getBoundingClientRect();
      this.cut.value = (100 * (event.clientX - box.left)) / box.width;
      this.cut.dispatchEvent(new Event("input"));
    }
  }

  /* Tables: a press on a column's head sorts by it; "missed" and dashes come last. */
  const sortable = (table) => {
    const body = table.tBodies[0];
    if (body.rows.length < 3) return;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
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

  for (const table of document.querySelectorAll("main table")) sortable(table);
  for (const root of document.querySelectorAll(".plotter")) new Plotter(root);
  for (const root of document.querySelectorAll(".gallery")) new Viewer(root);
})();

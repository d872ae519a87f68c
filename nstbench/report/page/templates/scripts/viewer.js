/* Pictures: two under one slider, the snapshots of the right one under another. */
class Viewer {
  constructor(root) {
    this.root = root;
    this.gallery = data.galleries[root.dataset.gallery];
    this.stage = root.querySelector(".compare");
    this.other = root.querySelector(".compare .other");
    this.result = root.querySelector(".compare .result");
    this.cut = root.querySelector(".cut");
    this.time = root.querySelector(".time");
    this.left = root.querySelector(".left");
    this.strip = root.querySelector(".strip");
    this.cut.addEventListener("input", () => this.stage.style.setProperty("--cut", `${this.cut.value}%`));
    this.time.addEventListener("input", () => this.frame());
    this.left.addEventListener("change", () => (this.beside(), this.remember()));
    this.strip.addEventListener("change", () => (this.show(), this.remember()));
    this.stage.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    this.stage.addEventListener("pointerdown", (event) => this.drag(event));
    for (const image of [this.other, this.result]) image.addEventListener("load", () => image.classList.toggle("pixels", 2 * image.naturalWidth <= this.stage.clientWidth));
    this.offer();
    this.restore();
    this.show();
    this.beside();
  }

  /* Every result of the page may stand on the left. */
  offer() {
    this.left.append(option("", "content"));
    for (const [key, gallery] of Object.entries(data.galleries)) {
      const options = gallery.entries.map((entry, place) => option(`${key}:${place}`, entry.label));
      this.left.append(element("optgroup", { label: gallery.title }, ...options));
    }
  }

  remember() {
    const state = { right: this.place() };
    if (this.left.value) state.left = this.left.value;
    remember(this.root.id, state);
  }

  restore() {
    const state = remembered(this.root.id);
    if (!state) return;
    const chosen = this.strip.querySelectorAll("input")[Number(state.get("right"))];
    if (chosen) chosen.checked = true;
    this.left.value = state.get("left") ?? "";
    const fold = this.root.closest("details");
    if (fold) fold.open = true;
    this.root.scrollIntoView();
  }

  place() {
    return Number(this.strip.querySelector("input:checked").value);
  }

  show() {
    this.entry = this.gallery.entries[this.place()];
    const last = Math.max(this.entry.frames.length - 1, 0);
    this.time.max = last;
    this.time.value = last;
    this.root.querySelector(".snapshots").hidden = last === 0;
    this.root.querySelector(".name").textContent = this.entry.label;
    this.root.querySelector(".slider .end").textContent = this.entry.label;
    this.result.alt = `result of ${this.entry.label}`;
    this.frame();
  }

  /* The picture on the left of the slider: the content, or another result. */
  beside() {
    const [key, place] = this.left.value.split(":");
    const entry = this.left.value ? data.galleries[key].entries[Number(place)] : { label: "content", picture: this.gallery.content };
    if (entry.picture !== null) this.other.src = data.pictures[entry.picture];
    this.other.alt = `${entry.label} picture`;
    this.root.querySelector(".slider .start").textContent = entry.label;
  }

  frame() {
    const frame = this.entry.frames[Number(this.time.value)];
    this.result.src = data.pictures[frame?.picture ?? this.entry.picture];
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

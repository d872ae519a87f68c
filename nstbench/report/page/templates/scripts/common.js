const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 800px)");
const root = document.documentElement;
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const isDark = () => dark.matches && !root.classList.contains("printing");

/* The page's one notation of a number: 0.02, 20000, 1.42e8. */
const number = (value, digits = 4) => {
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  const long = size >= 1e6 || (size > 0 && size < 1e-4);
  return long ? rounded.toExponential().replace("e+", "e") : String(rounded);
};

/* What is shown lives in the address, so that it can be sent: #plotter-curves?plot=...&over=... */
const remember = (id, state) => history.replaceState(null, "", `#${id}?${new URLSearchParams(state)}`);
const remembered = (id) => {
  const [of, query] = location.hash.slice(1).split("?");
  return of === id && query ? new URLSearchParams(query) : null;
};

const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });
const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

/* Pictures are in the page once each; an <img> gets its own when it comes into sight. */
const paint = (image) => {
  if (image.dataset.picture !== undefined) image.src = data.pictures[image.dataset.picture];
};
const sight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      paint(entry.target);
      sight.unobserve(entry.target);
    }
  },
  { rootMargin: "600px" },
);

const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

// The X-ray of a tail: where the slowest 1 % of the requests spent their time, against the median.
// Needs nothing but an element and ../xray.css, so that a page without a server can draw it too.

const ABOUT = {
  "send-lag": "The generator's own lateness: from the intended time until it set about the request",
  "connection-wait": "Waiting for a connection to become free, at the cap",
  connect: "Waiting for a connection to be opened",
  network: "From sent to done, what the server's own stages leave over",
  service: "From sent to done: the server does not say what took its time",
};

const TOO_FEW =
  "Where the time of the slowest 1 % goes can be told once 100 requests have been answered.";

/**
 * Draw `xray`, a Result's or Window's as JSON, or null, into `element`, in place of what it holds.
 * `options.label` is its name, to tell several from each other; `options.none` is said of null.
 */
export function drawXray(element, xray, { label = "Tail X-ray", none = TOO_FEW } = {}) {
  const name = h("b", "xray-label", label);
  if (!xray) {
    element.replaceChildren(h("figure", "xray", h("p", "xray-said", name, none)));
    return;
  }
  const longest = Math.max(total(xray.tail_ms), total(xray.median_ms));
  const figure = h(
    "figure",
    "xray",
    h("p", "xray-said", name, said(xray)),
    row("median", xray.median_ms, longest, xray.explains),
    row("slowest 1 %", xray.tail_ms, longest, xray.explains),
    h("p", "xray-hint", "Mean time, median → slowest 1 %"),
    h("dl", "xray-parts", ...components(xray).map((part) => legend(part, xray))),
  );
  element.replaceChildren(figure);
}

/** The X-ray in one sentence. */
export function said({ explains, gap_ms: gap, tail_requests: requests, from_ms: from }) {
  const whole = total(gap);
  const tail = `the slowest 1 % (${requests.toLocaleString("en-US")} from ${ms(from)} on)`;
  if (explains === null) return `The median and ${tail} took the same time.`;
  const share = Math.round(100 * Math.min(1, gap[explains] / whole));
  return `${explains} explains ${share} % of the gap of ${ms(whole)} between the median and ${tail}.`;
}

/** The components that took any time worth a digit, in the order of a request's way. */
function components({ tail_ms: tail, median_ms: median }) {
  return Object.keys(tail).filter((name) => tail[name] >= 0.0005 || median[name] >= 0.0005);
}

function row(name, means, longest, explains) {
  const bar = h("div", "xray-bar");
  bar.setAttribute("aria-hidden", "true");
  for (const [component, mean] of Object.entries(means)) {
    const part = h("span", component === explains ? "xray-part explains" : "xray-part");
    part.style.width = `${(100 * mean) / longest}%`;
    part.style.background = colour(component);
    part.title = `${component} ${ms(mean)}`;
    bar.append(part);
  }
  return h("div", "xray-row", h("span", "xray-name", name), bar, h("span", "xray-ms", ms(total(means))));
}

function legend(name, { tail_ms: tail, median_ms: median, explains }) {
  const swatch = h("span", "xray-swatch");
  swatch.style.background = colour(name);
  const item = h(
    "div",
    name === explains ? "explains" : "",
    h("dt", "", swatch, name),
    h("dd", "", `${number(median[name])} → ${ms(tail[name])}`),
  );
  item.title = ABOUT[name] ?? `By the server's word: ${name}`;
  return item;
}

const total = (means) => Object.values(means).reduce((sum, mean) => sum + mean, 0);

const ms = (value) => `${number(value)} ms`;

/** Three figures, but never fewer than all digits before the point. */
function number(value) {
  const size = Math.abs(value);
  const digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

const colour = (name) => `var(--c-stage-${CSS.escape(name)}, var(--c-other))`;

function h(tag, classes, ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

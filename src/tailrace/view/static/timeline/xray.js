// The X-ray of a tail: where the slowest 1 % of the requests spent their time, against the median.

import { h } from "./dom.js";
import { number, whole } from "./format.js";

const TAIL = [0.99, 1];
const MEDIAN = [0.4, 0.6];
const FEWEST = 100;
const DECADES = 10;

// A request's way, as far as it is the same for every server; the server's stages follow.
const WAY = {
  "send-lag": "The generator's own lateness: from the intended time until it set about the request",
  "connection-wait": "Waiting for a connection to become free, at the cap",
  connect: "Waiting for a connection to be opened",
  network: "From sent to done, what the server's own stages leave over",
  service: "From sent to done: the server does not say what took its time",
};

const TOO_FEW =
  "Where the time of the slowest 1 % goes can be told once 100 requests have been answered.";

/** Bins of latency in use, ascending, and what fell into each: an hour of it must be small. */
export function digest({ latency_bins: counts = {}, components_us: sums = {} }) {
  return {
    bins: Uint8Array.from(Object.keys(counts), Number),
    counts: Uint32Array.from(Object.values(counts)),
    sums: Object.entries(sums).map(([name, us]) => [name, Float64Array.from(us)]),
  };
}

/**
 * The X-ray of the intervals with these digests taken together, as a Result has it, or null of too
 * few requests. The requests of one bin are taken for alike: of a bin that lies across a border,
 * the part within counts in proportion.
 */
export function xrayOf(digests, binsPerDecade) {
  const counts = new Float64Array(DECADES * binsPerDecade);
  const sums = new Map(Object.keys(WAY).map((name) => [name, null]));
  for (const digest of digests) {
    add(counts, digest.bins, digest.counts);
    for (const [name, us] of digest.sums) {
      if (!sums.get(name)) sums.set(name, new Float64Array(counts.length));
      add(sums.get(name), digest.bins, us);
    }
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  const found = [...sums].filter(([, us]) => us);
  if (total < FEWEST || !found.length) return null;
  const tail = shares(counts, total, TAIL);
  const median = shares(counts, total, MEDIAN);
  const means = (part) => {
    const requests = dot(counts, part);
    return Object.fromEntries(found.map(([name, us]) => [name, dot(us, part) / requests / 1000]));
  };
  const [tail_ms, median_ms] = [means(tail), means(median)];
  const gap_ms = Object.fromEntries(found.map(([name]) => [name, tail_ms[name] - median_ms[name]]));
  const parts = Object.entries(gap_ms).sort(([, one], [, other]) => other - one);
  return {
    tail_requests: Math.round(total * (TAIL[1] - TAIL[0])),
    median_requests: Math.round(total * (MEDIAN[1] - MEDIAN[0])),
    from_ms: 10 ** (tail.findIndex((part) => part > 0) / binsPerDecade - 3),
    tail_ms,
    median_ms,
    gap_ms,
    explains: parts.reduce((sum, [, gap]) => sum + gap, 0) > 0 ? parts[0][0] : null,
  };
}

function add(whole, bins, values) {
  for (let at = 0; at < bins.length; at++) whole[bins[at]] += values[at];
}

/** Which part of each bin lies between two shares of all requests, fastest first. */
function shares(counts, total, [low, high]) {
  let end = 0;
  return counts.map((count) => {
    const begin = end;
    end += count;
    const within = Math.min(end, high * total) - Math.max(begin, low * total);
    return within > 0 ? within / count : 0;
  });
}

const dot = (one, other) => one.reduce((sum, value, at) => sum + value * other[at], 0);

/** The X-rays of the time that is shown, one for each source. */
export class Xrays {
  #shown = null;

  /** `stages` is their palette. */
  constructor(stages, binsPerDecade) {
    this.stages = stages;
    this.binsPerDecade = binsPerDecade;
    this.element = h("section", {
      class: "card xray-card",
      "aria-label": "Tail X-ray",
      "data-testid": "xray",
    });
  }

  /** Show those of `sources`, [{label}], over their intervals in `points`. */
  show(sources, points) {
    const key = points.map((own) => `${own.length} ${own[0]?.end} ${own.at(-1)?.end}`).join();
    if (key === this.#shown) return;
    this.#shown = key;
    const drawn = points.map((own, at) =>
      drawXray(
        xrayOf(own.map((point) => point.digest), this.binsPerDecade),
        this.stages,
        points.length > 1 ? `Tail X-ray, ${sources[at].label}` : "Tail X-ray",
      ),
    );
    this.element.replaceChildren(...drawn);
  }
}

/**
 * `xray`, a Result's or Window's as JSON, or null, as an element. `stages` is the palette of those;
 * `label` is its name, to tell several from each other.
 */
export function drawXray(xray, stages, label = "Tail X-ray") {
  const name = h("b", { class: "xray-label" }, label);
  if (!xray) return h("figure", { class: "xray" }, h("p", { class: "xray-said" }, name, TOO_FEW));
  const longest = Math.max(total(xray.tail_ms), total(xray.median_ms));
  const colour = (part) => `var(--${part in WAY ? `c-way-${part}` : stages.colour(part)})`;
  return h(
    "figure",
    { class: "xray" },
    h("p", { class: "xray-said" }, name, said(xray)),
    ...row("median", xray.median_ms, longest, xray.explains, colour),
    ...row("slowest 1 %", xray.tail_ms, longest, xray.explains, colour),
    h("p", { class: "xray-hint" }, "Mean time, median → slowest 1 %"),
    h("dl", { class: "xray-parts" }, ...components(xray).map((part) => legend(part, xray, colour))),
  );
}

/** The X-ray in one sentence. */
export function said({ explains, gap_ms: gap, tail_requests: requests, from_ms: from }) {
  const all = total(gap);
  const tail = `the slowest 1 % (${whole(requests)} from ${ms(from)} on)`;
  if (explains === null) return `The median and ${tail} took the same time.`;
  const share = Math.round(100 * Math.min(1, gap[explains] / all));
  return `${explains} explains ${share} % of the gap of ${ms(all)} between the median and ${tail}.`;
}

/** The components that took any time worth a digit, in the order of a request's way. */
function components({ tail_ms: tail, median_ms: median }) {
  return Object.keys(tail).filter((name) => tail[name] >= 0.0005 || median[name] >= 0.0005);
}

function row(name, means, longest, explains, colour) {
  const bar = h("div", { class: "xray-bar", "aria-hidden": "true" });
  for (const [component, mean] of Object.entries(means)) {
    const part = h("span", {
      class: component === explains ? "xray-part explains" : "xray-part",
      title: `${component} ${ms(mean)}`,
    });
    part.style.width = `${(100 * mean) / longest}%`;
    part.style.background = colour(component);
    bar.append(part);
  }
  return [h("span", { class: "xray-name" }, name), bar, h("span", { class: "xray-ms" }, ms(total(means)))];
}

function legend(name, { tail_ms: tail, median_ms: median, explains }, colour) {
  const swatch = h("span", { class: "xray-swatch" });
  swatch.style.background = colour(name);
  return h(
    "div",
    { class: name === explains ? "explains" : null, title: WAY[name] ?? `By the server's word: ${name}` },
    h("dt", {}, swatch, name),
    h("dd", {}, `${number(median[name])} → ${ms(tail[name])}`),
  );
}

const total = (means) => Object.values(means).reduce((sum, mean) => sum + mean, 0);

const ms = (value) => `${number(value)} ms`;

// The latency heatmap: a cell for each column and bin of latency, coloured by requests a second.

import { amount } from "./format.js";
import { h, setText } from "./dom.js";
import { roundUp } from "./ticks.js";

const LEGEND_PX = [120, 8];

/** Latency in ms at which bin number `bin` begins. */
export function binStart(bin, binsPerDecade) {
  return 10 ** (bin / binsPerDecade - 3);
}

/** Lowest and highest latency of `columns`, ms; null without any. */
export function extent(columns, binsPerDecade) {
  let [low, high] = [Infinity, -Infinity];
  for (const { bins } of columns) {
    if (!bins.counts.length) continue;
    low = Math.min(low, bins.first);
    high = Math.max(high, bins.first + bins.counts.length);
  }
  return low < high ? [binStart(low, binsPerDecade), binStart(high, binsPerDecade)] : null;
}

/** Most requests a second in one cell, rounded up so that colours keep their meaning. */
export function top(columns) {
  let most = 0;
  for (const column of columns) {
    const own = column.value("heat", ({ bins, seconds }) => Math.max(0, ...bins.counts) / seconds);
    most = Math.max(most, own);
  }
  return most ? roundUp(most) : 0;
}

/**
 * Paint `columns` onto `canvas`, which covers the chart's plot area. `x` and `y` give the pixel of
 * a time and of a latency, `heat` is the list of colours, `most` the rate of the last one.
 */
export function paint(canvas, columns, { x, y, heat, most, binsPerDecade, ratio }) {
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const scale = (heat.length - 1) / Math.log1p(most);
  const snap = (pixel) => Math.round(pixel * ratio) / ratio;
  for (const { start, end, bins, seconds } of columns) {
    const [left, right] = [snap(x(start)), snap(x(end))];
    bins.counts.forEach((count, at) => {
      if (!count) return;
      const bottom = snap(y(binStart(bins.first + at, binsPerDecade)));
      const above = snap(y(binStart(bins.first + at + 1, binsPerDecade)));
      context.fillStyle = heat[Math.round(scale * Math.log1p(count / seconds))];
      context.fillRect(left, above, Math.max(right - left, 1 / ratio), bottom - above);
    });
  }
}

/** The scale of colours, with its ends in figures. */
export class HeatLegend {
  constructor() {
    const [width, height] = LEGEND_PX;
    this.bar = h("canvas", { width: 2 * width, height: 2 * height, class: "heat-bar" });
    this.most = h("span");
    this.element = h("div", { class: "heat-legend" }, h("span", {}, "0"), this.bar, this.most);
  }

  draw(heat, most) {
    setText(this.most, most ? `${amount(most)} req/s` : "");
    const context = this.bar.getContext("2d");
    const step = this.bar.width / heat.length;
    heat.forEach((colour, at) => {
      context.fillStyle = colour;
      context.fillRect(at * step, 0, step + 1, this.bar.height);
    });
  }
}

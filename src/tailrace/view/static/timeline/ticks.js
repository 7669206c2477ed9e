// Where the axes have their ticks.

const SECOND = 1000;
const APART_PX = 96;
const EDGE_PX = 24;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

/** Round times within `range` that have room on an axis of `width_px`; of the local day if `wall`. */
export function timeTicks([from, to], width_px, wall) {
  const most = Math.max(2, width_px / APART_PX);
  const margin = (EDGE_PX * (to - from)) / width_px;
  const step = SECOND * (STEPS.find((s) => (to - from) / (s * SECOND) <= most) ?? STEPS.at(-1));
  const shift = wall ? new Date(to).getTimezoneOffset() * 60 * SECOND : 0;
  const ticks = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to - margin; at += step) {
    if (at >= from + margin) ticks.push(at);
  }
  return ticks;
}

/** The smallest of 1, 2, 5 × 10^n that is not below `value`. */
export function roundUp(value) {
  const decade = 10 ** Math.floor(Math.log10(value));
  return Number((([1, 2, 5].find((m) => m * decade >= value * (1 - 1e-9)) ?? 10) * decade).toPrecision(6));
}

/** Ends and ticks of a log axis on the 1-2-5 series, decades alone where those are too many. */
export function logTicks(low, high) {
  const ladder = [];
  for (let e = Math.floor(Math.log10(low)) - 1; e <= Math.floor(Math.log10(high)) + 1; e++) {
    for (const mantissa of [1, 2, 5]) ladder.push(Number(`${mantissa}e${e}`));
  }
  const first = ladder.findLastIndex((tick) => tick <= low);
  const last = Math.max(ladder.findIndex((tick) => tick >= high), first + 2);
  const ticks = ladder.slice(first, last + 1);
  const shown = ticks.length <= 9 ? ticks : ticks.filter((tick) => Math.log10(tick) % 1 === 0);
  return { min: ticks[0], max: ticks.at(-1), shown };
}

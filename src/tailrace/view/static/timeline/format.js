// Numbers and times as people read them; tailrace.units says the same.

export const NONE = "–";

// Made once: toLocaleString would make one for every number.
const PLACES = [0, 1, 2].map(
  (places) =>
    new Intl.NumberFormat("en-US", { minimumFractionDigits: places, maximumFractionDigits: places }),
);

/** Three figures, but never fewer than all digits before the point. */
export function number(value) {
  if (value === null || value === undefined) return NONE;
  const size = Math.abs(value);
  return PLACES[size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2].format(value);
}

/** A count. */
export const whole = (count) => PLACES[0].format(count);

/** A count without places, anything else as `number`. */
export function amount(value) {
  return Number.isInteger(value) ? whole(value) : number(value);
}

const UNITS = [
  [1e-3, 1e-6, "µs"],
  [1, 1e-3, "ms"],
  [120, 1, "s"],
  [7200, 60, "min"],
  [Infinity, 3600, "h"],
];

/** A lateness of `us` µs, in the words of tailrace.units.format_lag. */
export function lag(us) {
  if (us === null || us === undefined) return NONE;
  const seconds = us / 1e6;
  const rounded = Number(seconds.toPrecision(3));
  const [, length, unit] = UNITS.find(([limit]) => rounded < limit);
  return `${Number((seconds / length).toPrecision(3))} ${unit}`;
}

/** A tick of an axis. */
export function tick(value) {
  return value >= 1e4 ? `${value / 1e3}k` : value.toLocaleString("en-US");
}

/** The time of day of `ms`, Unix time. */
export function timeOfDay(ms) {
  return new Date(ms).toTimeString().slice(0, 8);
}

/** `ms` since a run's start as m:ss or h:mm:ss. */
export function elapsed(ms) {
  const seconds = Math.round(ms / 1000);
  const two = (value) => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

/** `text` with what is between its two ends left out, if it is longer than `most`: addresses differ there. */
export function middle(text, most) {
  const half = Math.floor((most - 1) / 2);
  return text.length > most ? `${text.slice(0, half)}…${text.slice(text.length - half)}` : text;
}

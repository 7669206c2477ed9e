// Charts as they are declared (view/charts.py), made into what draws them.

import { amount, lag, number } from "./format.js";

const WORDS = { amount, lag, "per second": (value) => `${number(value)}/s` };

/**
 * Each of `declared`, in its order, as a plot takes it; `runs` names the sources, where these are
 * compared. `figure` words a value together with its unit, where this depends on it; `named` is the
 * palette whose names the chart has a series each for, as `one(name, colour)`.
 */
export function charts(declared, runs = []) {
  return declared.flatMap((chart) =>
    chart.heat && chart.by_run
      ? runs.map((title, of) => ({ ...chart, title, of, series: [] }))
      : [made(chart)],
  );
}

function made({ lines = [], words, by_run: byRun, ...chart }) {
  return {
    ...chart,
    byRun,
    whole: words === "amount",
    figure: WORDS[words],
    series: chart.named ? [] : lines.map((line) => series(line)),
    one: (name, colour) => series(lines[0], name, colour),
  };
}

/** A declared line; `name` stands in the place of `*`, if it is of a name. */
export function series({ kind = "line", words, ...line }, name, colour = line.colour) {
  const named = (text) => (text === "*" ? name : text);
  return {
    ...line,
    kind,
    colour,
    id: named(line.id),
    label: named(line.label),
    figure: WORDS[words] ?? number,
    value: taken(line.path.map(named), line.take, kind),
  };
}

function taken(path, take, kind) {
  const of = (point) => total(path.reduce((found, key) => found?.[key], point));
  switch (take) {
    case "last":
      return (column) => of(column.points.at(-1));
    case "mean":
      return (column) => column.mean(of);
    case "rate":
      // A bar of nothing is none.
      return (column) => column.rate((point) => of(point) ?? 0) || (kind === "bar" ? null : 0);
    default:
      return (column) => column.worst(of);
  }
}

/** A number as it is, a table of counts as its sum. */
function total(found) {
  if (found === null || typeof found !== "object") return found;
  return Object.values(found).reduce((sum, count) => sum + count, 0);
}

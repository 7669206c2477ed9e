// Charts of several runs laid over each other: one figure a chart, one colour a run.

import { lag } from "./format.js";
import { line } from "./series.js";

const of = (name, title, unit, about, value, more = {}) => ({
  name,
  title,
  unit,
  about,
  byRun: true,
  series: [line(name, title, value)],
  ...more,
});

/** A chart for each figure worth comparing, and a heatmap for each of `runs`, their names. */
export function comparisons(runs) {
  const latency = (name, more) =>
    of(`runs-${name}`, `Latency ${name}`, "ms", "per interval, log scale", (column) => column.worst((p) => p.latency_ms[name]), {
      log: true,
      ...more,
    });
  return [
    latency("p99", { slo: true }),
    latency("p50"),
    latency("p99.9"),
    of("runs-qps", "Completed", "req/s", "QPS", (column) => column.rate((p) => p.completed)),
    of("runs-failures", "Failures", "/s", "of every kind", (column) =>
      column.rate((p) => Object.values(p.failed).reduce((sum, count) => sum + count, 0)),
    ),
    of("runs-in-flight", "In flight", "requests", "at the interval's end", (column) => column.worst((p) => p.in_flight), {
      whole: true,
    }),
    of("runs-send-lag", "Send lag p99", "", "per interval, the generator's own", (column) =>
      column.worst((p) => p.send_lag_us.p99), { figure: lag },
    ),
    of("runs-load-cpu", "Load workers' CPU", "%", "of one core, all together", (column) =>
      column.worst((p) => p.cpu_percent),
    ),
    of("runs-server", "Service's CPU", "%", "by its own /metrics; of one core", (column) =>
      column.worst((p) => p.server.cpu_percent), { occurring: true, optional: true },
    ),
    ...runs.map((label, at) => ({
      name: "runs-heatmap",
      title: label,
      unit: "ms",
      about: "requests a second in each 12 % of latency",
      log: true,
      slo: true,
      heat: true,
      of: at,
      series: [],
    })),
  ];
}

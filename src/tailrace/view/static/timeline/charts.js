// What each chart shows: its series, and how a column's values come from its intervals.

import { lag } from "./format.js";

/** A line of what `value` gives for each column; `more` says how it looks. */
const line = (id, label, value, more = {}) => ({ id, label, value, colour: `c-${id}`, kind: "line", ...more });

/** A line that is filled below. */
const area = { fill: 0.14 };

/**
 * The charts named in `wanted`, in this order; `runs` names the sources, where these are compared. A
 * chart's `figure` words a value together with its unit, where this depends on it; `named` is the
 * palette whose names it has a series each for, as `one(name, colour)`.
 */
export function charts({ charts: wanted, runs }) {
  const known = [...ofOne(), ...comparisons(runs ?? [])];
  return wanted.flatMap((name) => known.filter((chart) => chart.name === name));
}

function ofOne() {
  return [
    {
      name: "latency",
      title: "Latency",
      unit: "ms",
      about: "per interval, from the intended time, log scale",
      log: true,
      marks: "thin",
      slo: true,
      series: [
        line("p50", "p50", (column) => column.worst((p) => p.latency_ms.p50)),
        line("p99", "p99", (column) => column.worst((p) => p.latency_ms.p99), { width: 2.4 }),
        line("p99.9", "p99.9", (column) => column.worst((p) => p.latency_ms["p99.9"]), {
          colour: "c-p999",
          width: 1.2,
          dash: [5, 3],
        }),
      ],
    },
    {
      name: "heatmap",
      title: "Latency heatmap",
      unit: "ms",
      about: "requests a second in each 12 % of latency",
      log: true,
      slo: true,
      heat: true,
      series: [],
    },
    {
      name: "rates",
      title: "Rate",
      unit: "req/s",
      about: "asked for, sent (RPS), completed (QPS)",
      marks: "named",
      series: [
        line("asked", "asked", (column) => column.points.at(-1).target_per_s, {
          width: 1.2,
          dash: [4, 3],
          step: "end",
        }),
        line("qps", "QPS", (column) => column.rate((p) => p.completed), area),
        line("rps", "RPS", (column) => column.rate((p) => p.sent)),
      ],
    },
    {
      name: "failures",
      title: "Failures",
      unit: "/s",
      about: "by kind",
      occurring: true,
      none: "no failures",
      named: "failures",
      one: (kind, colour) => ({
        id: kind,
        label: kind,
        kind: "bar",
        colour,
        value: (column) => column.rate((p) => p.failed[kind] ?? 0) || null,
      }),
    },
    {
      name: "in-flight",
      title: "In flight",
      unit: "requests",
      about: "at the interval's end",
      whole: true,
      series: [
        line("inflight", "in flight", (column) => column.worst((p) => p.in_flight), area),
        line("backlog", "backlog", (column) => column.worst((p) => p.backlog)),
      ],
    },
    {
      name: "send-lag",
      title: "Send lag",
      unit: "",
      figure: lag,
      about: "per interval, the generator's own",
      series: [line("lag", "p99", (column) => column.worst((p) => p.send_lag_us.p99), area)],
    },
    {
      name: "stages",
      title: "Stages",
      unit: "ms",
      about: "means, stacked",
      occurring: true,
      optional: true,
      named: "stages",
      one: (stage, colour) =>
        line(stage, stage, (column) => column.mean((p) => p.stages_ms[stage]?.mean), {
          colour,
          stacked: true,
          width: 0,
          fill: 0.85,
        }),
    },
    {
      name: "server",
      title: "Service's CPU and GPU",
      unit: "%",
      about: "by its own /metrics; CPU of one core",
      occurring: true,
      optional: true,
      series: [
        line("cpu", "CPU", (column) => column.worst((p) => p.server.cpu_percent), area),
        line("gpu", "GPU", (column) => column.worst((p) => p.server.gpu_percent)),
      ],
    },
    {
      name: "load-cpu",
      title: "Load workers' CPU",
      unit: "%",
      about: "of one core, all together",
      series: [line("cpu", "CPU", (column) => column.worst((p) => p.cpu_percent), area)],
    },
    {
      name: "tick-lag",
      title: "Tick lag",
      unit: "ms",
      about: "the generator's latest clock tick",
      series: [
        line("tick", "latest", (column) => column.worst((p) => p.tick_lag_ms), { colour: "c-lag", ...area }),
      ],
    },
    {
      name: "connections",
      title: "Connections",
      unit: "",
      about: "open, and requests that waited for one",
      whole: true,
      series: [
        line("connections", "open", (column) => column.worst((p) => p.connections), {
          colour: "c-inflight",
          ...area,
        }),
        line("waits", "waited", (column) => column.worst((p) => p.cap_waits), { colour: "c-backlog" }),
      ],
    },
  ];
}

/** Charts of several runs laid over each other: one figure a chart, one colour a run. */
function comparisons(runs) {
  const of = (name, title, unit, about, value, more = {}) => ({
    name,
    title,
    unit,
    about,
    byRun: true,
    series: [line(name, title, value)],
    ...more,
  });
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

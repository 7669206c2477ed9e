// What each chart shows: its series, and how a column's values come from its intervals.

import { comparisons } from "./comparison.js";
import { lag } from "./format.js";
import { area, line } from "./series.js";

/**
 * The charts named in `wanted`, in this order; `stages` and `failures` name the kinds in theirs, and
 * `runs` the sources, where these are compared. A chart's `figure` words a value together with its
 * unit, where this depends on it.
 */
export function charts({ charts: wanted, stages, failures, runs }) {
  const known = [...ofOne({ stages, failures }), ...comparisons(runs ?? [])];
  return wanted.flatMap((name) => known.filter((chart) => chart.name === name));
}

function ofOne({ stages, failures }) {
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
      series: [...failures, "other"].map((kind) => ({
        id: kind,
        label: kind,
        kind: "bar",
        colour: `fail-${kind}`,
        value: (column) =>
          column.rate((p) => (kind === "other" ? others(p.failed, failures) : (p.failed[kind] ?? 0))) ||
          null,
      })),
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
      series: stages.map((stage) =>
        line(stage, stage, (column) => column.mean((p) => p.stages_ms[stage]?.mean), {
          colour: `stage-${stage}`,
          stacked: true,
          width: 0,
          fill: 0.85,
        }),
      ),
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
        line("tick", "latest", (column) => column.worst((p) => p.tick_lag_ms), { colour: "lag", ...area }),
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
          colour: "inflight",
          ...area,
        }),
        line("waits", "waited", (column) => column.worst((p) => p.cap_waits), { colour: "backlog" }),
      ],
    },
  ];
}

function others(failed, known) {
  return Object.entries(failed).reduce(
    (sum, [kind, count]) => sum + (known.includes(kind) ? 0 : count),
    0,
  );
}

/** Whether an interval by itself breaks `slo`: a failed request is slower than any bound. */
export function exceeds(slo, point) {
  const failed = Object.values(point.failed).reduce((sum, count) => sum + count, 0);
  const spared = (1 - (slo.percent ?? 100) / 100) * (failed + point.completed);
  if (failed > spared + 1e-9) return true;
  const value = point.latency_ms[slo.statistic] ?? null;
  return value !== null && value > slo.bound_ms;
}

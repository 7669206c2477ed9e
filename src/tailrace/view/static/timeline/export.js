// Taking away what is seen: the intervals as a table.

/** Offer `blob` as a file of this name. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * The intervals of each {label, points} as CSV, one row each, with a head; `columns`, `series` and
 * `statistics` as a Timeline is configured.
 */
export function csv(sources, { columns: plain, series, statistics }) {
  const points = sources.flatMap((source) => source.points);
  const names = (field) => [...new Set(points.flatMap((point) => Object.keys(point[field])))].sort();
  const columns = [
    ["end", (p) => new Date(1000 * p.wall_time).toISOString()],
    ...plain.map((name) => [name, (p) => p[name]]),
    ...series.flatMap(({ field }) => statistics.map((name) => [`${field}.${name}`, (p) => p[field]?.[name]])),
    ...names("failed").map((kind) => [`failed.${kind}`, (p) => p.failed[kind] ?? 0]),
    ...names("stages_ms").flatMap((stage) =>
      ["mean", "p99"].map((name) => [`stages_ms.${stage}.${name}`, (p) => p.stages_ms[stage]?.[name]]),
    ),
    ...names("server").map((name) => [`server.${name}`, (p) => p.server[name]]),
    ["events", (p) => p.events.map((event) => event.text).join("; ")],
  ];
  const rows = sources.flatMap(({ label, points: own }) =>
    own.map((point) => [label, ...columns.map(([, value]) => value(point))]),
  );
  const head = ["source", ...columns.map(([name]) => name)];
  return [head, ...rows].map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

function quoted(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// Taking away what is seen: the charts as one picture, the intervals as a table.

import { FONT } from "./theme.js";

const SCALE = 2;
const HEAD_PX = 64;
const MARGIN_PX = 16;

/** Offer `blob` as a file of this name. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A PNG of everything in `element` as it looks now, below `title` and `subtitle`. */
export async function picture(element, theme, title, subtitle) {
  const box = element.getBoundingClientRect();
  const [width, height] = [box.width + 2 * MARGIN_PX, box.height + HEAD_PX + MARGIN_PX];
  const canvas = new OffscreenCanvas(Math.ceil(width * SCALE), Math.ceil(height * SCALE));
  const context = canvas.getContext("2d");
  context.scale(SCALE, SCALE);
  context.fillStyle = theme.colour("page");
  context.fillRect(0, 0, width, height);
  context.textBaseline = "middle";
  context.fillStyle = theme.colour("text");
  context.font = `650 18px ${FONT}`;
  context.fillText(title, MARGIN_PX, 24, width - 2 * MARGIN_PX);
  context.fillStyle = theme.colour("dim");
  context.font = `13px ${FONT}`;
  context.fillText(subtitle, MARGIN_PX, 46, width - 2 * MARGIN_PX);
  context.translate(MARGIN_PX - box.left, HEAD_PX - box.top);
  paint(context, element);
  return canvas.convertToBlob({ type: "image/png" });
}

/** Paint an element's box, its canvases and its text, and then what is in it. */
function paint(context, element) {
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  if (box.width <= 1 || style.visibility === "hidden" || Number(style.opacity) === 0) return;
  context.beginPath();
  context.roundRect(box.left, box.top, box.width, box.height, parseFloat(style.borderRadius) || 0);
  if (style.backgroundColor !== "rgba(0, 0, 0, 0)") {
    context.fillStyle = style.backgroundColor;
    context.fill();
  }
  if (parseFloat(style.borderTopWidth) && style.borderTopStyle !== "none") {
    context.lineWidth = parseFloat(style.borderTopWidth);
    context.strokeStyle = style.borderTopColor;
    context.stroke();
  }
  if (element instanceof HTMLCanvasElement && element.width) {
    context.drawImage(element, box.left, box.top, box.width, box.height);
  }
  for (const child of element.childNodes) {
    if (child instanceof HTMLElement) paint(context, child);
    else if (child instanceof Text && child.data.trim()) write(context, child, style);
  }
}

function write(context, text, style) {
  const range = document.createRange();
  range.selectNode(text);
  const box = range.getBoundingClientRect();
  if (box.width <= 1) return;
  context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  context.fillStyle = style.color;
  context.fillText(text.data.trim(), box.left, box.top + box.height / 2);
}

const PERCENTILES = ["mean", "p50", "p90", "p95", "p99", "p99.9", "max"];

const COLUMNS = [
  ["end", (p) => new Date(1000 * p.wall_time).toISOString()],
  ...["t_s", "interval_s", "target_per_s", "offered", "sent", "completed"].map((name) => [
    name,
    (p) => p[name],
  ]),
  ...["rps", "qps", "in_flight", "backlog", "connections", "cap_waits", "tick_lag_ms"].map((name) => [
    name,
    (p) => p[name],
  ]),
  ...["latency_ms", "service_ms", "send_lag_us"].flatMap((table) =>
    PERCENTILES.map((name) => [`${table}.${name}`, (p) => p[table][name]]),
  ),
  ["cpu_percent", (p) => p.cpu_percent],
];

/** The intervals of each {label, points} as CSV, one row each, with a head. */
export function csv(sources) {
  const points = sources.flatMap((source) => source.points);
  const names = (field) => [...new Set(points.flatMap((point) => Object.keys(point[field])))].sort();
  const columns = [
    ...COLUMNS,
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

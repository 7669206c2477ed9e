// What ECharts is told: once, how a chart looks; then, at each interval, the data and the axes.

import { tick } from "./format.js";
import { FONT } from "./theme.js";

/** The plot area within a chart, px from its edges; the same in all, so that their times align. */
export const GRID = { left: 46, right: 12, top: 18, bottom: 22 };

/** How `chart` with its `rows` of series looks, each of these with its id and colour. */
export function look(chart, rows, theme, timeText) {
  const text = { fontFamily: FONT, fontSize: 11, color: theme.colour("dim") };
  const rule = { color: theme.colour("line"), width: 1 };
  return {
    animation: false,
    textStyle: { fontFamily: FONT },
    grid: { ...GRID, outerBoundsMode: "none" },
    xAxis: {
      type: "value",
      axisLine: { lineStyle: rule, onZero: false },
      axisTick: { show: false },
      splitLine: { show: false },
      axisLabel: { ...text, formatter: timeText, hideOverlap: true },
    },
    yAxis: {
      type: chart.log ? "log" : "value",
      min: chart.log ? 1 : 0,
      minInterval: chart.whole ? 1 : 0,
      splitNumber: 4,
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: { show: !chart.heat, lineStyle: rule },
      axisLabel: { ...text, margin: 8, formatter: chart.figure ?? tick },
    },
    series: [
      { id: "marks", type: "line", data: [], silent: true },
      ...rows.map((row) => series(row, theme)),
    ],
  };
}

function series({ id, one, colour }, theme) {
  const common = {
    id,
    name: one.label,
    silent: true,
    itemStyle: { color: theme.colour(colour) },
    emphasis: { disabled: true },
  };
  if (one.kind === "bar") return { ...common, type: "bar", stack: "bars", barWidth: "75%", barMaxWidth: 12 };
  return {
    ...common,
    type: "line",
    showSymbol: false,
    symbol: "circle",
    step: one.step ?? false,
    lineStyle: { width: one.width ?? 1.6, type: one.dash ?? "solid" },
    ...(one.stacked ? { stack: "lines" } : {}),
    ...(one.fill ? { areaStyle: { opacity: one.fill } } : {}),
  };
}

/** The data of one interval's drawing: `values` by series, the axes' ends and ticks, the marks. */
export function data({ range, ticks, axis, rows, lines }) {
  return {
    xAxis: { min: range[0], max: range[1], axisLabel: { customValues: ticks } },
    ...(axis
      ? {
          yAxis: {
            min: axis.min,
            max: axis.max,
            axisLabel: { customValues: axis.shown },
            splitLine: { customValues: axis.shown },
            axisTick: { customValues: axis.shown },
          },
        }
      : {}),
    series: [
      { id: "marks", markLine: { symbol: "none", silent: true, animation: false, data: lines } },
      ...rows.map(({ id, values }) => ({ id, data: values })),
    ],
  };
}

/** The mark of something that was done at one time. */
export function eventLine({ at, text, kind, named }, theme) {
  const colour = theme.colour(kind === "worker" ? "bad" : "dim");
  return {
    xAxis: at,
    lineStyle: { color: colour, width: 1, type: [2, 3], opacity: 0.7 },
    label: {
      show: named,
      formatter: text.replaceAll("{", "("),
      position: "end",
      distance: 2,
      color: colour,
      fontSize: 10,
      fontFamily: FONT,
      width: 88,
      overflow: "truncate",
    },
  };
}

/** The bound of an SLO. */
export function sloLine({ expression, bound_ms }, theme) {
  return {
    yAxis: bound_ms,
    lineStyle: { color: theme.colour("bad"), width: 1, type: "solid", opacity: 0.7 },
    label: {
      show: true,
      formatter: `SLO ${expression}`,
      position: "insideStartTop",
      color: theme.colour("bad"),
      backgroundColor: theme.colour("surface"),
      padding: [1, 4],
      fontSize: 11,
      fontFamily: FONT,
    },
  };
}

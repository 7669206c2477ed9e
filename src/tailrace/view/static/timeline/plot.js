// One chart on the page: its panel, legend, drawing, and what is painted below the lines.

import { h, setAttribute, setText } from "./dom.js";
import { amount, number } from "./format.js";
import { extent, HeatLegend, paint, top } from "./heatmap.js";
import { data, eventLine, GRID, look, sloLine } from "./options.js";
import { logTicks, timeTicks } from "./ticks.js";

const PAPER_RATIO = 3;

export class Plot {
  // {id, label, colour, one, at}: a series, and which source it is of.
  #rows = [];
  #known = null;
  #hidden = new Set();
  #legend = [];
  #note = null;
  visible = true;
  stale = true;
  printed = false;
  drawnAt = -Infinity;

  /** `changed` is called when a series is switched on or off. */
  constructor(echarts, chart, theme, { palettes, binsPerDecade, timeText, changed }) {
    this.echarts = echarts;
    this.chart = chart;
    this.theme = theme;
    this.palettes = palettes;
    this.binsPerDecade = binsPerDecade;
    this.timeText = timeText;
    this.changed = changed;
    this.#build();
  }

  #build() {
    const { name, title, unit, about } = this.chart;
    this.under = h("canvas", { class: "under", "aria-hidden": "true" });
    this.canvas = h("div", { class: "drawing", role: "img", "data-chart": name, "aria-label": title });
    this.area = h(
      "div",
      { class: "plot" },
      this.under,
      this.canvas,
      h("div", { class: "cross" }),
      h("div", { class: "selection" }),
    );
    this.legend = h("div", { class: "legend" });
    this.heatLegend = this.chart.heat ? new HeatLegend() : null;
    if (this.heatLegend) this.legend.append(this.heatLegend.element);
    this.about = h("span", { class: "hint" }, about);
    this.element = h(
      "article",
      { class: `card panel panel-${name}` },
      h("div", { class: "panel-head" }, h("h3", {}, title), h("span", { class: "unit" }, unit), this.about),
      this.legend,
      this.area,
    );
  }

  /** A row for each series, or for each source where these have colours of their own. */
  #rowsOf(sources) {
    const { byRun, named, series, one } = this.chart;
    if (byRun) {
      return sources.map(({ source }, at) => ({
        id: `run-${at}`,
        label: source.label,
        colour: `c-run-${at}`,
        one: series[0],
        at,
      }));
    }
    const palette = this.palettes[named];
    const own = palette ? palette.names.map((name) => one(name, palette.colour(name))) : series;
    return own.map((each) => ({ ...each, one: each, at: 0 }));
  }

  #legendEntry(row) {
    const { id, label, colour, one } = row;
    const value = h("span", { class: "legend-value" });
    const swatch = h("span", { class: `swatch swatch-${one.kind}${one.dash ? " dashed" : ""}` });
    const button = h(
      "button",
      {
        type: "button",
        class: "legend-item",
        "aria-pressed": String(!this.#hidden.has(id)),
        title: `Show or hide ${label}`,
        "data-series": id,
        onclick: () => {
          if (!this.#hidden.delete(id)) this.#hidden.add(id);
          setAttribute(button, "aria-pressed", String(!this.#hidden.has(id)));
          this.changed();
        },
      },
      swatch,
      h("span", {}, label),
      " ",
      value,
    );
    swatch.style.background = `var(--${colour})`;
    return { row, button, value };
  }

  /** Have a series for each name there is; take away a chart or a series with nothing to show. */
  settle({ sources }) {
    const rows = this.#rowsOf(sources);
    const known = rows.map(({ id, label }) => `${id} ${label}`).join("\n");
    if (known !== this.#known) {
      this.#known = known;
      this.#rows = rows;
      this.stale = true;
      for (const { button } of this.#legend) button.remove();
      this.#legend = rows.map((row) => this.#legendEntry(row));
      this.legend.append(...this.#legend.map(({ button }) => button));
    }
    const { occurring, optional } = this.chart;
    const seen = (row) => sources[row.at].columns.some((column) => this.#value(row, column) !== null);
    this.occurring = new Set(rows.filter((row) => !occurring || seen(row)).map(({ id }) => id));
    this.element.hidden = optional === true && this.occurring.size === 0;
  }

  /** Draw the scene: {range, wall, sources: [{source, columns}], slos, marks}. */
  draw(scene) {
    if (this.canvas.clientWidth === 0) return;
    if (!this.drawing) this.#begin();
    if (this.stale) {
      this.drawing.setOption(look(this.chart, this.#rows, this.theme, this.timeText), { notMerge: true });
      this.stale = false;
    }
    const width = this.canvas.clientWidth - GRID.left - GRID.right;
    const ticks = timeTicks(scene.range, width, scene.wall);
    const rows = this.#values(scene);
    const axis = this.chart.log ? this.#logAxis(scene, rows) : null;
    this.drawing.setOption(
      data({ range: scene.range, ticks, axis, rows, lines: this.#lines(scene) }),
    );
    if (this.chart.heat || (this.chart.slo && !this.chart.byRun)) this.#paintUnder(scene, axis);
    setAttribute(this.canvas, "data-columns", String(scene.sources[0]?.columns.length ?? 0));
  }

  #begin() {
    this.drawing = this.echarts.init(this.canvas, null, { renderer: this.printed ? "svg" : "canvas" });
    this.stale = true;
  }

  resize() {
    if (this.drawing && this.canvas.clientWidth) this.drawing.resize();
  }

  close() {
    this.drawing?.dispose();
    this.drawing = null;
  }

  /** Draw for paper, where lines stay sharp at any size, or for the screen again. */
  print(printed) {
    this.printed = printed;
    this.close();
  }

  #value({ one }, column) {
    return column.value(`${this.chart.name}/${one.id}`, one.value);
  }

  #values({ sources }) {
    return this.#rows.map((row) => {
      const shown = this.occurring.has(row.id) && !this.#hidden.has(row.id);
      return { id: row.id, values: shown ? this.#points(row, sources[row.at].columns) : [] };
    });
  }

  #points(row, columns) {
    const points = [];
    let before = null;
    for (const column of columns) {
      if (before && column.run !== before.run) points.push([column.start, null]);
      points.push([column.end, this.#value(row, column)]);
      before = column;
    }
    return points;
  }

  #logAxis({ sources, slos }, rows) {
    let [low, high] = [Infinity, -Infinity];
    const reach = (value) => {
      if (!value) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    };
    for (const { values } of rows) for (const [, value] of values) reach(value);
    if (this.chart.heat) {
      for (const { columns } of sources) extent(columns, this.binsPerDecade)?.forEach(reach);
    }
    for (const slo of slos) reach(slo.bound_ms);
    return low <= high ? logTicks(low, high) : logTicks(1, 100);
  }

  #lines({ marks, slos }) {
    const events = this.chart.marks ? marks : [];
    return [
      ...events.map((mark) =>
        eventLine({ ...mark, named: mark.named && this.chart.marks === "named" }, this.theme),
      ),
      ...(this.chart.slo ? slos.map((slo) => sloLine(slo, this.theme)) : []),
    ];
  }

  #paintUnder({ range, sources, slos }, axis) {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const ratio = this.printed ? PAPER_RATIO : devicePixelRatio;
    Object.assign(this.under, { width: width * ratio, height: height * ratio });
    const x = (time) =>
      GRID.left + ((time - range[0]) / (range[1] - range[0])) * (width - GRID.left - GRID.right);
    const share = (ms) => Math.log(ms / axis.min) / Math.log(axis.max / axis.min);
    const y = (ms) => height - GRID.bottom - share(ms) * (height - GRID.top - GRID.bottom);
    const context = this.under.getContext("2d");
    context.beginPath();
    context.rect(GRID.left * ratio, 0, (width - GRID.left - GRID.right) * ratio, height * ratio);
    context.clip();
    const { columns } = sources[this.chart.of ?? 0];
    this.#note = this.chart.heat ? this.chart.about : this.#kept(columns, slos);
    if (this.chart.heat) {
      const most = Math.max(...sources.map((one) => top(one.columns)));
      const heat = this.theme.heat;
      paint(this.under, columns, { x, y, heat, most, binsPerDecade: this.binsPerDecade, ratio });
      this.heatLegend.draw(heat, most);
    } else {
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = this.theme.colour("bad");
      for (const column of columns) {
        if (!column.points.some(isBroken)) continue;
        const [left, right] = [Math.round(x(column.start)), Math.round(x(column.end))];
        context.globalAlpha = 0.09;
        context.fillRect(left, GRID.top, right - left, height - GRID.top - GRID.bottom);
        context.globalAlpha = 1;
        context.fillRect(left, GRID.top, right - left, 3);
      }
    }
  }

  /** How many of the intervals shown kept the SLOs, in words. */
  #kept(columns, slos) {
    const points = columns.flatMap((column) => column.points);
    if (!slos.length || !points.some(isJudged)) return this.chart.about;
    const broken = points.filter(isBroken).length;
    const all = `${amount(points.length)} intervals`;
    return broken ? `over the SLO in ${amount(broken)} of ${all}` : `within the SLO in all ${all}`;
  }

  /** Say the values of one moment: `columns` has one or null a source; `when` is it in words. */
  read(columns, when) {
    const said = [];
    for (const { row, button, value } of this.#legend) {
      button.hidden = !this.occurring?.has(row.id) && !this.chart.byRun;
      if (button.hidden) continue;
      const figure = this.chart.figure ?? (this.chart.whole ? amount : number);
      const column = columns[row.at];
      const text = figure(column ? this.#value(row, column) : null);
      setText(value, text);
      said.push(`${row.label} ${text}`);
    }
    const { title, unit, none } = this.chart;
    setText(this.about, none && !said.length ? none : (this.#note ?? this.chart.about));
    setAttribute(
      this.canvas,
      "aria-label",
      `${[`${title} over time`, unit].filter(Boolean).join(", ")}. ${when ? `${when}: ${said.join(", ") || (none ?? "")}` : ""}`,
    );
  }
}

/** Whether an interval broke any SLO: it was judged where it was measured, and nowhere else. */
function isBroken({ slo }) {
  return Object.values(slo ?? {}).includes(false);
}

function isJudged({ slo }) {
  return Object.keys(slo ?? {}).length > 0;
}

// One chart on the page: its panel, legend, drawing, and what is painted below the lines.

import { exceeds } from "./charts.js";
import { h, setAttribute, setText } from "./dom.js";
import { amount, number } from "./format.js";
import { extent, HeatLegend, paint, top } from "./heatmap.js";
import { data, eventLine, GRID, look, runColour, sloLine } from "./options.js";
import { logTicks, timeTicks } from "./ticks.js";

const PAPER_RATIO = 3;

export class Plot {
  #hidden = new Set();
  #drawn = null;
  #legend = [];
  #note = null;
  #runs = null;
  visible = true;
  printed = false;
  drawnAt = -Infinity;

  /** `changed` is called when a series is switched on or off. */
  constructor(echarts, chart, theme, { binsPerDecade, timeText, changed }) {
    this.echarts = echarts;
    this.chart = chart;
    this.theme = theme;
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
    if (!this.chart.byRun) this.#makeLegend(this.chart.series);
  }

  /** An entry for each series, or for each source where these have colours of their own. */
  #makeLegend(entries) {
    for (const { button } of this.#legend) button.remove();
    this.#legend = entries.map((entry) => this.#legendEntry(entry));
    this.legend.append(...this.#legend.map(({ button }) => button));
  }

  #nameRuns(sources) {
    if (!this.chart.byRun) return;
    if (sources.map(({ source }) => source.label).join("\n") === this.#runs) return;
    this.#runs = sources.map(({ source }) => source.label).join("\n");
    const [one] = this.chart.series;
    this.#makeLegend(
      sources.map(({ source }, at) => ({ ...one, id: runColour(at), label: source.label, colour: runColour(at), at })),
    );
  }

  #legendEntry(one) {
    const value = h("span", { class: "legend-value" });
    const swatch = h("span", { class: `swatch swatch-${one.kind}${one.dash ? " dashed" : ""}` });
    const button = h(
      "button",
      {
        type: "button",
        class: "legend-item",
        "aria-pressed": "true",
        title: `Show or hide ${one.label}`,
        "data-series": one.id,
        onclick: () => {
          if (!this.#hidden.delete(one.id)) this.#hidden.add(one.id);
          setAttribute(button, "aria-pressed", String(!this.#hidden.has(one.id)));
          this.changed();
        },
      },
      swatch,
      h("span", {}, one.label),
      " ",
      value,
    );
    swatch.style.background = `var(--c-${one.colour.replaceAll("_", "-").replaceAll(".", "")})`;
    return { one, button, value };
  }

  /** Take away a chart that has nothing to show, and the series that do not occur. */
  settle(scene) {
    this.#nameRuns(scene.sources);
    this.occurring = this.#occurring(scene);
    this.element.hidden = this.chart.optional === true && this.occurring.size === 0;
  }

  /** Draw the scene: {range, wall, sources: [{source, columns}], slos, marks, fresh}. */
  draw(scene) {
    if (this.canvas.clientWidth === 0) return;
    if (!this.drawing) this.#begin();
    const sources = scene.sources.length;
    if (scene.fresh || this.#drawn !== sources) {
      this.drawing.setOption(
        look(this.chart, this.theme, scene.sources, this.timeText),
        { notMerge: true },
      );
      this.#drawn = sources;
    }
    const width = this.canvas.clientWidth - GRID.left - GRID.right;
    const ticks = timeTicks(scene.range, width, scene.wall);
    const rows = this.#rows(scene);
    const axis = this.chart.log ? this.#logAxis(scene, rows) : null;
    this.drawing.setOption(
      data({ range: scene.range, ticks, axis, rows, lines: this.#lines(scene) }),
    );
    if (this.chart.heat || (this.chart.slo && !this.chart.byRun)) this.#paintUnder(scene, axis);
    setAttribute(this.canvas, "data-columns", String(scene.sources[0]?.columns.length ?? 0));
  }

  #begin() {
    this.drawing = this.echarts.init(this.canvas, null, { renderer: this.printed ? "svg" : "canvas" });
    this.#drawn = null;
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

  #key(one) {
    return `${this.chart.name}/${one.id}`;
  }

  #value(one, column) {
    return column.value(this.#key(one), one.value);
  }

  /** Ids of the series that have anything to show; all of them, where none comes and goes. */
  #occurring({ sources }) {
    const { series, occurring } = this.chart;
    const seen = (one) =>
      sources.some(({ columns }) => columns.some((column) => this.#value(one, column) !== null));
    return new Set(series.filter((one) => !occurring || seen(one)).map((one) => one.id));
  }

  #rows({ sources }) {
    return sources.flatMap(({ columns }, at) =>
      this.chart.series.map((one) => {
        const hidden = this.#hidden.has(this.chart.byRun ? runColour(at) : one.id);
        const shown = this.occurring.has(one.id) && !hidden;
        return { id: `${at}/${one.id}`, values: shown ? this.#points(one, columns) : [] };
      }),
    );
  }

  #points(one, columns) {
    const points = [];
    let before = null;
    for (const column of columns) {
      if (before && column.run !== before.run) points.push([column.start, null]);
      points.push([column.end, this.#value(one, column)]);
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
    const { source, columns } = sources[this.chart.of ?? 0];
    const whose = sources.length > 1 && this.chart.of === undefined ? `${source.label}: ` : "";
    this.#note = whose + (this.chart.heat ? this.chart.about : this.#kept(columns, slos));
    if (this.chart.heat) {
      const most = Math.max(...sources.map((one) => top(one.columns)));
      const heat = this.theme.heat;
      paint(this.under, columns, { x, y, heat, most, binsPerDecade: this.binsPerDecade, ratio });
      this.heatLegend.draw(heat, most);
    } else {
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.fillStyle = this.theme.colour("bad");
      for (const column of columns) {
        if (!over(column, slos)) continue;
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
    if (!slos.length || !points.length) return this.chart.about;
    const broken = points.filter((point) => slos.some((slo) => exceeds(slo, point))).length;
    const all = `${amount(points.length)} intervals`;
    return broken ? `over the SLO in ${amount(broken)} of ${all}` : `within the SLO in all ${all}`;
  }

  /** Say the values of one moment: `columns` has one or null a source; `when` is it in words. */
  read(columns, when) {
    const said = [];
    for (const { one, button, value } of this.#legend) {
      button.hidden = !this.chart.byRun && !this.occurring?.has(one.id);
      if (button.hidden) continue;
      const figure = this.chart.figure ?? (this.chart.whole ? amount : number);
      const text = (this.chart.byRun ? [columns[one.at]] : columns)
        .map((column) => figure(column ? this.#value(one, column) : null))
        .join(" / ");
      setText(value, text);
      said.push(`${one.label} ${text}`);
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

/** Whether any interval of `column` broke any of `slos`. */
function over(column, slos) {
  return column.points.some((point) => slos.some((slo) => exceeds(slo, point)));
}

// The timeline of one service, or of runs: all charts share its time, view and moment.

import { echarts } from "nicegui-echart";
import { charts } from "./charts.js";
import { Choice, nearest } from "./choice.js";
import { h, setText } from "./dom.js";
import { csv, save } from "./export.js";
import { elapsed, timeOfDay } from "./format.js";
import { marks } from "./marks.js";
import { Moment } from "./moment.js";
import { GRID } from "./options.js";
import { Palette } from "./palette.js";
import { Plot } from "./plot.js";
import { listen } from "./pointer.js";
import { Store } from "./store.js";
import { Theme } from "./theme.js";
import { FIRST_SPAN_MS, Toolbar } from "./toolbar.js";
import { View } from "./view.js";
import { Xrays } from "./xray.js";

const RETRY_MS = 2000;
// How old a chart may be that nobody sees: it is there at once when the page is scrolled or printed.
const OUT_OF_SIGHT_MS = 5000;

export class Timeline {
  #stores = [];
  #columns = [];
  #range = [0, 1];
  #choice = new Choice();
  #aloud = false;
  #fresh = true;
  #due = false;

  /**
   * `config`: as view/charts.py configures it, and {kept, runs, title, plain}: `runs` names what is
   * compared, and `plain` is charts alone, without moment and X-ray.
   */
  constructor(element, config) {
    this.config = config;
    this.live = config.clock === "wall";
    this.timeText = this.live ? timeOfDay : elapsed;
    this.view = new View(this.live ? FIRST_SPAN_MS : null);
    this.theme = new Theme(() => {
      this.#fresh = true;
      this.#schedule();
    });
    this.#build(element);
    this.#observe();
  }

  #build(element) {
    const redraw = () => this.#schedule();
    const { binsPerDecade, colours, plain, runs } = this.config;
    const palettes = {
      stages: new Palette("c-stage", colours),
      failures: new Palette("c-fail", colours),
    };
    this.palettes = palettes;
    this.plots = charts(this.config.charts, runs).map(
      (chart) =>
        new Plot(echarts, chart, this.theme, {
          palettes,
          binsPerDecade,
          timeText: this.timeText,
          changed: redraw,
        }),
    );
    this.toolbar = new Toolbar(this.config.title ?? "Timeline", this.live, {
      look: (span) => this.#change(() => this.view.look(span)),
      pause: () => this.#change(() => this.#pause()),
      back: () => this.#change(() => this.view.back()),
      csv: () => this.exportCsv(),
    });
    // Of runs that are compared no one moment is of all.
    this.moment =
      plain || runs?.length
        ? null
        : new Moment(this.config, {
            stages: palettes.stages,
            timeText: this.timeText,
            release: () => this.#choose(() => this.#choice.release()),
          });
    this.xrays = plain ? null : new Xrays(palettes.stages, binsPerDecade);
    this.charts = h(
      "div",
      {
        class: "charts",
        tabindex: 0,
        role: "group",
        "aria-label":
          "Charts. Left and right arrow keys choose a moment, plus and minus zoom, Escape goes back.",
        "data-testid": "charts",
      },
      ...this.plots.map((plot) => plot.element),
    );
    this.emptyText = h("div", {});
    this.empty = h(
      "div",
      { class: "empty", "data-testid": "empty", hidden: "" },
      h(
        "div",
        { class: "empty-card" },
        h("div", { class: "empty-title" }, "Nothing measured yet"),
        this.emptyText,
      ),
    );
    element.append(
      this.toolbar.element,
      ...(this.xrays ? [this.xrays.element] : []),
      h(
        "div",
        { class: this.moment ? "timeline-body" : "timeline-body plain" },
        this.charts,
        this.moment?.element ?? null,
        this.empty,
      ),
    );
    listen(this.charts, {
      hover: (share) => this.#choose(() => this.#choice.point(share)),
      leave: () => this.#choose(() => this.#choice.point(null)),
      pin: (share) =>
        this.#choose(() => this.#choice.toggle(this.#timeAt(share), this.#columns[0] ?? [])),
      select: (from, to) => this.#select(from, to),
      zoom: (from, to) => this.#change(() => this.view.zoom([this.#timeAt(from), this.#timeAt(to)])),
      key: (key) => this.#key(key),
    });
  }

  #observe() {
    this.resized = new ResizeObserver(() => {
      for (const plot of this.plots) plot.resize();
      this.#schedule();
    });
    this.resized.observe(this.charts);
    this.seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        this.plots.find((plot) => plot.element === target).visible = isIntersecting;
      }
      this.#schedule();
    });
    for (const plot of this.plots) this.seen.observe(plot.element);
  }

  close() {
    this.theme.close();
    this.resized.disconnect();
    this.seen.disconnect();
    for (const plot of this.plots) plot.close();
    this.#stores = [];
  }

  /** The text of the picture that is empty. */
  say(text) {
    setText(this.emptyText, text ?? "");
  }

  /** Show `sources`, as in store.js, whose history is fetched now. */
  open(sources) {
    this.#stores = sources.map((source) => new Store(source, this.live, this.config.kept));
    this.#choice.release();
    this.#fresh = true;
    this.view.resume();
    for (const store of this.#stores) this.#load(store);
    this.#schedule();
  }

  async #load(store) {
    try {
      await store.load();
      for (const plot of this.plots) plot.drawnAt = -Infinity;
    } catch (error) {
      console.info(error.message);
      setTimeout(() => this.#stores.includes(store) && this.#load(store), RETRY_MS);
    }
    this.#schedule();
  }

  /** Append an interval to the first source. */
  add(point) {
    const [store] = this.#stores;
    if (store && !store.add(point)) this.#load(store);
    this.#schedule();
  }

  /** Draw everything for paper, or for the screen again, at the size that it has now. */
  print(printed) {
    this.theme.forget();
    for (const plot of this.plots) plot.print(printed);
    this.#fresh = true;
    this.draw(true);
  }

  #schedule() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.draw();
    });
  }

  get #extent() {
    const ends = this.#stores.filter((store) => store.last);
    if (!ends.length) return [Date.now() - 1000, Date.now()];
    return [
      Math.min(...ends.map((store) => store.points[0].start)),
      Math.max(...ends.map((store) => store.last.end)),
    ];
  }

  /** Draw what is in sight, and now and then the rest; `all` draws everything now. */
  draw(all = false) {
    if (!this.#stores.length) return;
    const now = performance.now();
    for (const store of this.#stores) {
      this.palettes.stages.meet(store.stages);
      this.palettes.failures.meet(store.failures);
    }
    this.#range = this.view.range(this.#extent);
    this.#columns = this.#stores.map((store) => store.columns(this.#range));
    const width = this.charts.querySelector(".plot").clientWidth - GRID.left - GRID.right;
    const [first] = this.#stores;
    const scene = {
      range: this.#range,
      wall: this.live,
      sources: this.#stores.map((store, at) => ({ source: store.source, columns: this.#columns[at] })),
      slos: this.#slos(),
      marks: marks(first.between(this.#range), this.#range, width, (event) =>
        1000 * (this.live ? event.wall_time : event.t_s),
      ),
    };
    for (const plot of this.plots) {
      plot.stale ||= this.#fresh;
      plot.settle(scene);
      if (!all && !plot.visible && now - plot.drawnAt < OUT_OF_SIGHT_MS) continue;
      plot.draw(scene);
      plot.drawnAt = now;
    }
    this.#fresh = false;
    this.empty.hidden = this.#stores.some((store) => store.last || !store.loaded);
    this.toolbar.show(this.view, this.#status());
    this.xrays?.show(
      this.#stores.map((store) => store.source),
      this.#stores.map((store) => store.between(this.#range)),
    );
    this.#read();
  }

  #slos() {
    const all = this.#stores.flatMap((store) => store.source.slos);
    return [...new Map(all.map((slo) => [slo.expression, slo])).values()];
  }

  #status() {
    const [store] = this.#stores;
    if (this.view.paused !== null) {
      const behind = Math.round((this.#extent[1] - this.view.paused) / 1000);
      return `Paused, ${behind} s behind`;
    }
    if (this.view.zoomed) return this.#range.map(this.timeText).join(" – ");
    const each = store.grain(this.#range);
    return each > 1 ? `A point is ${each} intervals: rates are means, latency is the highest` : "";
  }

  #timeAt(share) {
    const [from, to] = this.#range;
    return from + share * (to - from);
  }

  /** Say the chosen moment's values, or the latest's. */
  #read() {
    const [from, to] = this.#range;
    const chosen = this.#choice.within(this.#range);
    const main = chosen && nearest(this.#columns[0] ?? [], chosen.time);
    const columns = this.#columns.map((own, at) => {
      if (!at && main) return main;
      if (!main) return own.at(-1) ?? null;
      const other = nearest(own, main.end);
      return other && Math.abs(other.end - main.end) <= main.seconds * 1000 ? other : null;
    });
    this.charts.classList.toggle("has-cross", main !== null);
    if (main) this.charts.style.setProperty("--cross", Math.min(1, (main.end - from) / (to - from)));
    const latest = this.view.paused === null && !this.view.zoomed ? "latest" : "last shown";
    this.moment?.show(columns[0] ?? null, {
      chosen: main && chosen.kind,
      kind: !main ? latest : chosen.kind === "pinned" ? "held" : "",
      aloud: this.#aloud,
    });
    this.#aloud = false;
    const shown = columns.find((column) => column);
    const when = shown ? this.timeText(shown.end) : "";
    for (const plot of this.plots) plot.read(columns, when);
  }

  #choose(act) {
    act();
    this.#read();
  }

  #select(from, to) {
    this.charts.classList.toggle("has-selection", from !== null);
    if (from === null) return;
    this.charts.style.setProperty("--from", from);
    this.charts.style.setProperty("--to", to);
  }

  #change(act) {
    act();
    this.#schedule();
  }

  #pause() {
    if (this.view.paused === null) this.view.pause(this.#extent[1]);
    else this.view.resume();
  }

  #key(key) {
    const now = this.#choice.within(this.#range);
    if (this.#choice.move(key, this.#columns[0] ?? [], this.#range)) {
      this.#aloud = true;
      this.#read();
    } else if (key === "+" || key === "=") {
      const [from, to] = this.#range;
      const quarter = (to - from) / 4;
      const middle = Math.min(to - quarter, Math.max(from + quarter, now?.time ?? to));
      this.#change(() => this.view.zoom([middle - quarter, middle + quarter]));
    } else if (key === "-") {
      this.#change(() => this.view.back());
    } else if (key === "Escape" && this.view.zoomed) {
      this.#change(() => this.view.back());
    } else if (key === "Escape" && now) {
      this.#choose(() => this.#choice.release());
    } else {
      return false;
    }
    return true;
  }

  get #fileName() {
    const name = this.#stores.map((store) => store.source.label).join(" and ");
    const day = new Date(this.live ? this.#range[1] : Date.now());
    const stamp = day.toISOString().slice(0, 19).replaceAll(":", "");
    return `${name.replaceAll(/[^\w.-]+/g, "-")}-${stamp}`;
  }

  /** Save the intervals shown as a table. */
  exportCsv() {
    const sources = this.#stores.map((store) => ({
      label: store.source.label,
      points: store.between(this.#range),
    }));
    save(new Blob([csv(sources, this.config)], { type: "text/csv" }), `${this.#fileName}.csv`);
  }
}

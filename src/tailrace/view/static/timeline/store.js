// One source's intervals, oldest first, and their grouping into the columns that are drawn.

import { digest } from "./xray.js";

const COLUMNS = 300;

export class Store {
  points = [];
  loaded = false;
  // Names of stages and of kinds of failures, in the order in which they came.
  stages = new Set();
  failures = new Set();
  #waiting = [];
  #columns = new Map();

  /**
   * `source`: {label, slos, url}, or `json`, its points as text, instead of a URL that answers with
   * them; `wall`: whether time is that of the day, or since the start.
   */
  constructor(source, wall, kept) {
    this.source = source;
    this.wall = wall;
    this.kept = kept ?? Infinity;
  }

  get last() {
    return this.points.at(-1);
  }

  /** Fetch what is missing: everything at first, later what came after the last interval. */
  async load() {
    this.loaded = false;
    const body = this.source.json ? JSON.parse(this.source.json) : await this.#fetch();
    this.loaded = true;
    for (const point of body) this.#append(point);
    for (const point of this.#waiting.splice(0)) this.#append(point);
  }

  async #fetch() {
    const since = this.last ? `?since=${this.last.wall_time}` : "";
    const answer = await fetch(this.source.url + since, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${this.source.url} answered ${answer.status}`);
    return answer.json();
  }

  /** Append an interval; false if some before it are missing, so that `load` is needed. */
  add(point) {
    const expected = this.last && point.index > this.last.index ? this.last.index + 1 : 0;
    if (!this.loaded || point.index > expected) {
      this.#waiting.push(point);
      return !this.loaded;
    }
    this.#append(point);
    return true;
  }

  #append(point) {
    const last = this.last;
    if (last && point.wall_time <= last.wall_time) return;
    point.end = 1000 * (this.wall ? point.wall_time : point.t_s);
    point.start = point.end - 1000 * point.interval_s;
    point.run = last ? last.run + (point.index <= last.index) : 0;
    point.digest = digest(point);
    point.latency_bins = point.components_us = null;
    for (const name of Object.keys(point.stages_ms)) this.stages.add(name);
    for (const kind of Object.keys(point.failed)) this.failures.add(kind);
    this.points.push(point);
    if (this.points.length > 1.1 * this.kept) this.points.splice(0, this.points.length - this.kept);
  }

  /** The intervals that end after `from` and not after `to`, in ms. */
  between([from, to]) {
    return this.points.slice(this.#after(from), this.#after(to));
  }

  /** How many intervals a column stands for when `range` is shown. */
  grain([from, to]) {
    if (!this.points.length) return 1;
    // The median, since intervals jitter and a run's last one is cut short.
    const lengths = this.points.slice(-99).map((point) => point.interval_s).sort((a, b) => a - b);
    return Math.max(1, Math.round((to - from) / 1000 / lengths[lengths.length >> 1] / COLUMNS));
  }

  /**
   * The columns that `range` shows, whole. They are numbered within the run, so a column that is
   * complete never changes again, and what was worked out of it holds.
   */
  columns(range) {
    const each = this.grain(range);
    const place = (point) => `${point.run}/${each}/${Math.floor(point.index / each)}`;
    let first = this.#after(range[0]);
    const end = this.#after(range[1]);
    while (first > 0 && first < end && place(this.points[first - 1]) === place(this.points[first])) {
      first--;
    }
    const columns = new Map();
    for (let at = first; at < end; ) {
      const key = place(this.points[at]);
      const began = at;
      while (at < end && place(this.points[at]) === key) at++;
      const before = this.#columns.get(key);
      const same = before && before.points.length === at - began;
      columns.set(key, same ? before : new Column(this.points.slice(began, at)));
    }
    this.#columns = columns;
    return [...columns.values()];
  }

  #after(time) {
    let low = 0;
    let high = this.points.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.points[middle].end > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Neighbouring intervals of one run that are drawn as one. */
class Column {
  #values = new Map();

  constructor(points) {
    this.points = points;
    this.run = points[0].run;
    this.start = points[0].start;
    this.end = points.at(-1).end;
    this.seconds = points.reduce((sum, point) => sum + point.interval_s, 0);
  }

  /** `work(column)`, done once for each `key`. */
  value(key, work) {
    if (!this.#values.has(key)) this.#values.set(key, work(this));
    return this.#values.get(key);
  }

  /** Rate a second of what `count` gives for each interval. */
  rate(count) {
    return this.points.reduce((sum, point) => sum + count(point), 0) / this.seconds;
  }

  /** The highest of what `value` gives for each interval; null if none has any. */
  worst(value) {
    let worst = null;
    for (const point of this.points) {
      const found = value(point) ?? null;
      if (found !== null && (worst === null || found > worst)) worst = found;
    }
    return worst;
  }

  /** The mean of what `value` gives, weighted by completed requests; null if none has any. */
  mean(value) {
    let sum = 0;
    let total = 0;
    for (const point of this.points) {
      const found = value(point) ?? null;
      if (found === null) continue;
      sum += found * point.completed;
      total += point.completed;
    }
    return total ? sum / total : null;
  }

  /** Completed requests by bin of latency without gaps, added up: {first, counts}. */
  get bins() {
    return this.value("bins", () => {
      const parts = this.points.map((point) => point.digest).filter(({ bins }) => bins.length);
      const first = Math.min(...parts.map(({ bins }) => bins[0]));
      const end = Math.max(...parts.map(({ bins }) => bins.at(-1) + 1));
      const counts = new Uint32Array(parts.length ? end - first : 0);
      for (const part of parts) {
        part.bins.forEach((bin, at) => (counts[bin - first] += part.counts[at]));
      }
      return { first, counts };
    });
  }
}

// The list of runs: sorted, filtered, and some of them chosen, all in the browser.
import { elapsed, middle, number, whole } from "tailrace-timeline/format.js";

const COLUMNS = [
  { key: "started", label: "Started (UTC)" },
  { key: "target", label: "Target", wide: true },
  { key: "profile", label: "Profile", wider: true },
  { key: "state", label: "State", wider: true },
  { key: "duration_s", label: "Duration", number: true, wide: true },
  { key: "completed", label: "Completed", number: true, wide: true },
  { key: "failed", label: "Failed", number: true, wide: true },
  { key: "p99_ms", label: "p99, ms", number: true },
  { key: "verdict", label: "Verdict" },
];

const collator = new Intl.Collator("en", { numeric: true });

const verdict = (run) => (run.verdict ? (run.verdict.valid ? "VALID" : "INVALID") : "");
const cut = (run) => ([undefined, null, "duration"].includes(run.ended_by) ? "" : run.ended_by);
const value = (run, key) => (key === "verdict" ? verdict(run) + run.answers.map(({ text }) => text).join() : run[key]);

// What is not known comes last, whichever the order.
const compare = (key, sign) => (a, b) => {
  const [one, other] = [value(a, key), value(b, key)];
  if (one == null || other == null) return (one == null) - (other == null);
  return sign * (typeof one === "number" ? one - other : collator.compare(one, other));
};

// The first cell of a row: its title or time, its name, its note; `more` comes below them.
const named = (one, time, more = "") => `
  <th scope="row"><a :href="address(${one}.name)">{{ ${one}.title || instant(${one}.${time}) }}</a>
    <small v-if="${one}.title">{{ instant(${one}.${time}) }}</small>
    <small>{{ ${one}.name }}</small>
    <small v-if="${one}.note" class="written" :title="${one}.note">{{ start(${one}.note) }}</small>${more}</th>`;

const NARROW_STATE = `
    <small v-if="run.state !== 'finished'" class="narrow run-state" :data-state="run.state">{{ run.state }}</small>`;

export default {
  template: `
    <section class="runs" aria-label="Runs">
      <div class="page-head">
        <h1>Runs</h1>
        <span class="hint" role="status" data-testid="count">{{ count }}</span>
        <span v-if="rows.length" class="buttons field">
          <input v-model="filter" type="search" placeholder="Filter" aria-label="Filter runs"
            data-testid="filter">
          <button type="button" class="button primary" :disabled="chosen.length < 2"
            data-testid="compare" @click="open('')">Compare</button>
          <button type="button" class="button" :disabled="!chosen.length" data-testid="report"
            @click="open('/report')">Save the report</button>
        </span>
      </div>
      <div v-if="!rows.length && !searches.length" class="card empty-room" data-testid="no-runs">
        <h2>No run yet</h2>
        <span>Every run keeps its results in a directory of its own, and is listed here: start one
          on <a href="/services">Services</a>, or by</span>
        <pre tabindex="0">tailrace load URL --rate 200 --for 30s</pre>
      </div>
      <div v-if="rows.length" class="card scroll" tabindex="0" role="region" aria-label="Table of runs">
        <table>
          <thead><tr>
            <th scope="col"><span class="unseen">Chosen to be compared</span></th>
            <th v-for="column in columns" :key="column.key" scope="col"
                :class="{ number: column.number, wide: column.wide, wider: column.wider }" :aria-sort="order(column.key)">
              <button type="button" @click="sort(column)">{{ column.label }}</button>
            </th>
          </tr></thead>
          <tbody>
            <tr v-for="run in shown" :key="run.name" :data-run="run.name">
              <td class="choice"><input v-model="chosen" type="checkbox" :value="run.name"
                :aria-label="'Choose ' + run.name"
                :disabled="chosen.length >= most && !chosen.includes(run.name)"></td>
              ${named("run", "started", NARROW_STATE)}
              <td class="long wide code" :title="run.target">{{ middle(run.target) }}</td>
              <td class="long wider code" :title="run.profile">{{ middle(run.profile) }}</td>
              <td class="wider"><span class="run-state" :data-state="run.state" :title="run.problems.join('; ')">{{ run.state }}</span>
                <small v-if="cut(run)" title="what ended it before its time">{{ cut(run) }}</small></td>
              <td class="number wide">{{ clock(run.duration_s) }}</td>
              <td class="number wide">{{ whole(run.completed) }}</td>
              <td class="number wide" :class="{ bad: run.failed }">
                {{ whole(run.failed) }}</td>
              <td class="number">{{ number(run.p99_ms) }}</td>
              <td class="judged"><span :title="run.verdict?.reasons.join('; ')" :class="verdict(run).toLowerCase()">{{ verdict(run) || "–" }}</span>
                <small v-for="{ text, look, why } in run.answers" :key="text" :class="look" :title="why">{{ text }}</small></td>
            </tr>
          </tbody>
        </table>
      </div>
      <div v-if="searches.length" class="page-head"><h2>Searches</h2>
        <span class="hint">the highest rate within an SLO, by tailrace find</span></div>
      <div v-if="searches.length" class="card scroll" tabindex="0" role="region"
          aria-label="Table of searches">
        <table class="stack" data-testid="searches">
          <thead><tr>
            <th scope="col">Ended (UTC)</th>
            <th scope="col" class="wide">Target</th>
            <th scope="col">SLO</th>
            <th scope="col" class="number">Rate found, /s</th>
            <th scope="col">Outcome</th>
            <th scope="col" class="number wide">Rates tried</th>
          </tr></thead>
          <tbody>
            <tr v-for="search in found" :key="search.name" :data-search="search.name">
              ${named("search", "ended")}
              <td class="long wide code" :title="search.target">{{ middle(search.target) }}</td>
              <td class="judged" data-head="SLO">{{ search.slo }}</td>
              <td class="number" data-head="Rate found, /s">{{ rate(search.rate_per_s) }}</td>
              <td class="judged" data-head="Outcome" :title="search.reason"><span :class="search.confirmed ? 'valid' : 'invalid'">
                {{ search.confirmed ? "confirmed" : "not confirmed" }}</span>
                <small v-if="search.ended_by" title="what ended it before its time">{{ search.ended_by }}</small></td>
              <td class="number wide">{{ whole(search.steps) }}</td>
            </tr>
          </tbody>
        </table>
      </div>
    </section>`,
  props: {
    rows: { type: Array, default: () => [] },
    searches: { type: Array, default: () => [] },
    // So many runs are compared at most.
    most: Number,
  },
  data: () => ({ columns: COLUMNS, filter: "", chosen: [], key: "started", sign: -1 }),
  computed: {
    found() {
      return this.searches.filter((search) => this.has(search, search.slo));
    },
    shown() {
      return this.rows
        .filter((run) => this.has(run, run.profile, run.arrivals, run.state, verdict(run)))
        .sort(compare(this.key, this.sign));
    },
    count() {
      const all = this.rows.length;
      const some = this.shown.length;
      if (!all) return "";
      return some === all ? `${all} in all` : `${some} of ${all}`;
    },
  },
  watch: {
    rows(rows) {
      const names = new Set(rows.map((run) => run.name));
      this.chosen = this.chosen.filter((name) => names.has(name));
    },
  },
  methods: {
    verdict,
    cut,
    middle: (text) => middle(text, 72),
    start: (note) => (note.length > 80 ? `${note.slice(0, 79)}…` : note),
    rate: (rate) => (rate == null ? "none" : Number(rate.toPrecision(4)).toLocaleString("en-US")),
    address: (name) => `/runs/${encodeURIComponent(name)}`,
    instant: (text) => (text ? text.slice(0, 19).replace("T", " ") : "?"),
    whole,
    number,
    clock: (seconds) => elapsed(1000 * seconds),
    // Whether each word of the filter is in what there is to read of a row.
    has(row, ...more) {
      const said = [row.title, row.note, row.name, row.target, ...more].join(" ").toLowerCase();
      return this.filter.toLowerCase().split(/\s+/).every((word) => said.includes(word));
    },
    order(key) {
      if (key !== this.key) return undefined;
      return this.sign > 0 ? "ascending" : "descending";
    },
    sort({ key, number }) {
      this.sign = key === this.key ? -this.sign : number || key === "started" ? -1 : 1;
      this.key = key;
    },
    open(path) {
      const [first, ...others] = this.chosen;
      const compared = others.map((name) => `with=${encodeURIComponent(name)}`).join("&");
      location.href = `${this.address(first)}${path}${compared && `?${compared}`}`;
    },
  },
};

// The panel that explains one moment: percentiles, rates, failures, stages, slowest requests.

import { series } from "./charts.js";
import { h, setText } from "./dom.js";
import { amount, lag, number } from "./format.js";

const SLOWEST = 5;

export class Moment {
  #shown = null;

  /**
   * `config` is that of a Timeline; `stages` is their palette; `timeText` says a time; `release`
   * unpins the moment.
   */
  constructor({ facts, series: all, statistics, tail }, { stages, timeText, release }) {
    this.facts = facts.map((line) => series(line));
    this.series = all.filter(({ unit }) => unit === "ms");
    this.statistics = statistics;
    this.tail = tail;
    this.stages = stages;
    this.timeText = timeText;
    this.title = h("span", { class: "moment-time", "data-testid": "moment-time" });
    this.kind = h("span", { class: "hint" });
    this.release = h(
      "button",
      { type: "button", class: "tool", "data-testid": "release", onclick: release },
      "Latest",
    );
    this.said = h("p", { class: "unseen", "aria-live": "polite" });
    this.body = h("div", { class: "moment-body" });
    this.element = h(
      "aside",
      { class: "card moment", "aria-label": "One moment", tabindex: 0, "data-testid": "moment" },
      h("div", { class: "moment-head" }, this.title, this.kind, this.release),
      this.said,
      this.body,
    );
  }

  /**
   * Show `column`, or null. `chosen` is "hover", "pinned", or null if nobody chose it; `kind` says so
   * in words, and `aloud` tells a screen reader what is shown.
   */
  show(column, { chosen, kind, aloud }) {
    this.element.dataset.chosen = chosen ?? "latest";
    this.release.hidden = chosen !== "pinned";
    const key = column && `${column.start}+${column.points.length}`;
    setText(this.kind, kind);
    if (key !== this.#shown) {
      this.#shown = key;
      setText(this.title, this.#when(column));
      this.body.replaceChildren(...(column ? this.#section(column) : []));
    }
    if (aloud) setText(this.said, this.#words(column));
  }

  #when(column) {
    if (!column) return "No interval yet";
    const { points, start, end } = column;
    if (points.length === 1) return this.timeText(end);
    return `${this.timeText(start)} – ${this.timeText(end)}`;
  }

  #words(column) {
    if (!column) return this.#when(column);
    const at = (name) => number(column.worst((p) => p.latency_ms[name]));
    const failed = Object.values(failures(column)).reduce((sum, count) => sum + count, 0);
    return `${this.#when(column)}: p50 ${at("p50")}, p99 ${at("p99")} ms, ${amount(failed)} failed`;
  }

  #section(column) {
    return [
      column.points.length > 1
        ? h("p", { class: "hint" }, `${column.points.length} intervals: the highest percentiles, mean rates`)
        : null,
      this.#percentiles(column),
      this.#facts(column),
      ...this.#stages(column),
      ...this.#slowest(column),
    ].filter(Boolean);
  }

  #percentiles(column) {
    const cell = ({ field }, name) => number(column.worst((p) => p[field]?.[name]));
    return h(
      "table",
      { class: "percentiles" },
      h(
        "thead",
        {},
        h("tr", {}, ...["ms", ...this.series.map(({ label }) => label)].map((text) => h("th", { scope: "col" }, text))),
      ),
      h(
        "tbody",
        {},
        ...this.statistics.map((name) =>
          h(
            "tr",
            { class: name === this.tail ? "main" : null },
            h("th", { scope: "row" }, name),
            ...this.series.map((one) => h("td", {}, cell(one, name))),
          ),
        ),
      ),
    );
  }

  #facts(column) {
    const failed = Object.entries(failures(column));
    const events = column.points.flatMap((point) => point.events.map((event) => event.text));
    const rows = [
      ...this.facts.map(({ label, value, figure }) => [label, figure(value(column))]),
      [
        "failed",
        failed.length ? failed.map(([reason, count]) => `${amount(count)} ${reason}`).join(", ") : "none",
      ],
      ...(events.length ? [["events", events.slice(-3).join(", ")]] : []),
    ];
    return h(
      "dl",
      { class: "facts" },
      ...rows.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))),
    );
  }

  #stages(column) {
    const parts = this.stages.names
      .map((stage) => [stage, column.mean((p) => p.stages_ms[stage]?.mean), this.stages.colour(stage)])
      .filter(([, mean]) => mean !== null);
    if (!parts.length) return [];
    const total = parts.reduce((sum, [, mean]) => sum + mean, 0);
    return [
      h("h3", {}, "Stages, mean ms"),
      bar(parts, total),
      h(
        "dl",
        { class: "parts" },
        ...parts.map(([stage, mean, colour]) =>
          h("div", {}, h("dt", {}, swatch(colour), stage), h("dd", {}, number(mean))),
        ),
      ),
    ];
  }

  #slowest(column) {
    const slowest = column.points
      .flatMap((point) => point.slowest)
      .sort((a, b) => b.latency_ms - a.latency_ms)
      .slice(0, SLOWEST);
    if (!slowest.length) return [];
    return [
      h("h3", {}, "Slowest requests, ms"),
      h(
        "ol",
        { class: "slowest", "data-testid": "slowest" },
        ...slowest.map((request) => this.#request(request, slowest[0].latency_ms)),
      ),
    ];
  }

  #request({ latency_ms, service_ms, send_lag_ms, connection_ms = 0, stages_ms }, longest) {
    const stages = this.stages.entries(stages_ms);
    const inside = stages.reduce((sum, [, ms]) => sum + ms, 0);
    const parts = [
      ["send lag", send_lag_ms, "c-way-send-lag"],
      ...(connection_ms > 0 ? [["connection", connection_ms, "c-way-connection-wait"]] : []),
      ...stages.map(([stage, ms]) => [stage, ms, this.stages.colour(stage)]),
      ["elsewhere", Math.max(0, service_ms - inside), "c-way-elsewhere"],
    ];
    const said = parts.map(([name, ms]) => `${name} ${number(ms)}`).join(", ");
    return h(
      "li",
      { title: said },
      h("span", { class: "slowest-ms" }, number(latency_ms)),
      bar(parts, longest),
      h("span", { class: "hint" }, `service ${number(service_ms)} · lag ${lag(1e3 * send_lag_ms)}`),
      h("span", { class: "unseen" }, said),
    );
  }
}

function failures(column) {
  const counts = {};
  for (const { failed, reasons } of column.points) {
    const own = Object.keys(reasons ?? {}).length ? reasons : failed;
    for (const [reason, count] of Object.entries(own)) counts[reason] = (counts[reason] ?? 0) + count;
  }
  return counts;
}

/** Parts [name, ms, colour] side by side, `whole` ms being all of the width. */
function bar(parts, whole) {
  return h(
    "div",
    { class: "bar", "aria-hidden": "true" },
    ...parts.map(([, ms, colour]) => {
      const part = h("span", { class: "part" });
      part.style.width = `${(100 * ms) / whole}%`;
      part.style.background = `var(--${colour})`;
      return part;
    }),
  );
}

function swatch(colour) {
  const element = h("span", { class: "swatch" });
  element.style.background = `var(--${colour})`;
  return element;
}

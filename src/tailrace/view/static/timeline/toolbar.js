// The row above the charts: how far to look back, pause, zoom back, export.

import { h, setAttribute, setText } from "./dom.js";

const SPANS = [
  [60_000, "1 min"],
  [300_000, "5 min"],
  [900_000, "15 min"],
  [3_600_000, "1 h"],
];

export class Toolbar {
  /** `title` is the heading's text; `on`: look(span_ms), pause(), back(), csv(). */
  constructor(title, live, on) {
    const button = (name, text, more = {}) =>
      h("button", { type: "button", class: "tool", "data-testid": name, onclick: on[name], ...more }, text);
    this.status = h("span", { class: "hint", role: "status", "data-testid": "timeline-status" });
    this.spans = live
      ? SPANS.map(([span, text]) => [
          span,
          h("button", { type: "button", "aria-pressed": "false", onclick: () => on.look(span) }, text),
        ])
      : [];
    this.pause = live ? button("pause", "Pause", { "aria-pressed": "false" }) : null;
    this.back = button("back", "Zoom back");
    this.element = h(
      "div",
      { class: "timeline-head" },
      h("h2", { class: "heading" }, title),
      this.status,
      h(
        "div",
        { class: "tools", role: "toolbar", "aria-label": title },
        this.back,
        this.pause,
        live
          ? h(
              "div",
              { class: "span", role: "group", "aria-label": "Time shown", "data-testid": "span" },
              ...this.spans.map(([, element]) => element),
            )
          : null,
        button("csv", "CSV", { "aria-label": "Export the intervals shown as CSV" }),
      ),
    );
  }

  /** Bring it up to `view`, with `status` beside the heading. */
  show(view, status) {
    setText(this.status, status);
    this.back.hidden = !view.zoomed;
    if (this.pause) {
      setText(this.pause, view.paused === null ? "Pause" : "Go on");
      setAttribute(this.pause, "aria-pressed", String(view.paused !== null));
    }
    for (const [span, element] of this.spans) {
      setAttribute(element, "aria-pressed", String(!view.zoomed && span === view.span));
    }
  }
}

export const FIRST_SPAN_MS = SPANS[0][0];

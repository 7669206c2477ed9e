// The X-ray of the tail over the time that is shown, one for each source.

import { drawXray } from "tailrace-xray";
import { xrayOf } from "tailrace-xray/merge.js";
import { h } from "./dom.js";

export class Xrays {
  #shown = null;

  constructor(binsPerDecade) {
    this.binsPerDecade = binsPerDecade;
    this.element = h("section", {
      class: "card xray-card",
      "aria-label": "Tail X-ray",
      "data-testid": "xray",
    });
  }

  /** Show those of `sources`, [{label}], over their intervals in `points`. */
  show(sources, points) {
    const key = points.map((own) => `${own.length} ${own[0]?.end} ${own.at(-1)?.end}`).join();
    if (key === this.#shown) return;
    this.#shown = key;
    const drawn = points.map((own, at) => {
      const element = h("div");
      const label = points.length > 1 ? `Tail X-ray, ${sources[at].label}` : "Tail X-ray";
      drawXray(element, xrayOf(own.map((point) => point.digest), this.binsPerDecade), { label });
      return element;
    });
    this.element.replaceChildren(...drawn);
  }
}

// Which stretch of time the charts show: the last so many seconds, the whole, or a fixed part.

const LEAST_MS = 2000;

export class View {
  paused = null;
  #fixed = [];

  /** `span`: how much is shown, ms; null is everything. */
  constructor(span) {
    this.span = span;
  }

  get zoomed() {
    return this.#fixed.length > 0;
  }

  /** [from, to] in ms, of data that reach over `extent`. */
  range(extent) {
    if (this.zoomed) return this.#fixed.at(-1);
    const end = this.paused ?? extent[1];
    return this.span === null ? [Math.min(extent[0], end - 1000), end] : [end - this.span, end];
  }

  look(span) {
    this.span = span;
    this.#fixed = [];
  }

  zoom([from, to]) {
    if (to - from >= LEAST_MS) this.#fixed.push([from, to]);
  }

  back() {
    this.#fixed.pop();
  }

  pause(end) {
    this.paused = end;
  }

  resume() {
    this.paused = null;
    this.#fixed = [];
  }
}

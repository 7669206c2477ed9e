// Colours of what the data name: the stages of a server, the kinds of failures.

export class Palette {
  #places = new Map();

  /** `variable` is the CSS variable of a colour without its number, of which there are `count`. */
  constructor(variable, count) {
    this.variable = variable;
    this.count = count;
  }

  /** All names met, in order. */
  get names() {
    return [...this.#places.keys()];
  }

  get size() {
    return this.#places.size;
  }

  /** Give each of `names` that is new the next colour: it keeps it, wherever it is drawn. */
  meet(names) {
    for (const name of names) if (!this.#places.has(name)) this.#places.set(name, this.#places.size);
  }

  /** The CSS variable of a name's colour, without its dashes. */
  colour(name) {
    return this.#places.has(name) ? `${this.variable}-${this.#places.get(name) % this.count}` : "c-other";
  }

  /** [name, value] of an object, in the order of their colours. */
  entries(values) {
    return this.names.filter((name) => name in values).map((name) => [name, values[name]]);
  }
}

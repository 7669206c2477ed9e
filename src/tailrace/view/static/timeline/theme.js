// The page's colours, which a canvas cannot take from style sheets by itself.

export const FONT =
  "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const HEAT_STOPS = 6;
const HEAT_STEPS = 256;

export class Theme {
  #colours = new Map();
  #heat = null;

  /** `changed` is called when the page goes from light to dark or back. */
  constructor(changed) {
    this.observer = new MutationObserver(() => {
      this.forget();
      changed();
    });
    this.observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Ask for every colour anew. */
  forget() {
    this.#colours.clear();
    this.#heat = null;
  }

  /** The CSS variable `--name`. */
  colour(name) {
    let colour = this.#colours.get(name);
    if (colour === undefined) {
      colour = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
      this.#colours.set(name, colour);
    }
    return colour;
  }

  /** The heatmap's colours from few to many requests. */
  get heat() {
    this.#heat ??= this.#ramp();
    return this.#heat;
  }

  #ramp() {
    const canvas = new OffscreenCanvas(HEAT_STEPS, 1);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const gradient = context.createLinearGradient(0, 0, HEAT_STEPS, 0);
    for (let stop = 0; stop < HEAT_STOPS; stop++) {
      gradient.addColorStop(stop / (HEAT_STOPS - 1), this.colour(`heat-${stop}`));
    }
    context.fillStyle = gradient;
    context.fillRect(0, 0, HEAT_STEPS, 1);
    const { data } = context.getImageData(0, 0, HEAT_STEPS, 1);
    return Array.from({ length: HEAT_STEPS }, (_, at) => {
      const [red, green, blue] = data.subarray(4 * at, 4 * at + 3);
      return `rgb(${red},${green},${blue})`;
    });
  }

  close() {
    this.observer.disconnect();
  }
}

// What was done to a run, as marks on the time axis.

const APART_PX = 12;
const NAMED_APART_PX = 64;

/**
 * Events of `points` as marks {at, text, kind, named}: those closer to each other than APART_PX are
 * one, which says how many it stands for, and only those with room have a name.
 */
export function marks(points, [from, to], width_px, timeOf) {
  const perPixel = (to - from) / width_px;
  const found = [];
  for (const point of points) {
    for (const event of point.events) {
      const at = timeOf(event);
      if (at < from || at > to) continue;
      const last = found.at(-1);
      if (last && at - last.at < APART_PX * perPixel) {
        last.count += 1;
        last.text = event.text;
        if (event.kind === "worker") last.kind = "worker";
      } else {
        found.push({ at, text: event.text, kind: event.kind, count: 1 });
      }
    }
  }
  let free = -Infinity;
  for (const mark of found) {
    mark.named = mark.at >= free && (to - mark.at) / perPixel > NAMED_APART_PX / 2;
    if (mark.named) free = mark.at + NAMED_APART_PX * perPixel;
    if (mark.count > 1) mark.text += ` (+${mark.count - 1})`;
  }
  return found;
}

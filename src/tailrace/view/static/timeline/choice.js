// Which moment is explained: the one that is pointed at, one that is held, or the latest.

const PAGE = 10;

export class Choice {
  #share = null;
  #held = null;

  /** {time, kind}: ms, and "pinned" or "hover"; null for the latest, as where it is out of `range`. */
  within([from, to]) {
    const inSight = (time) => time !== null && time >= from && time <= to;
    if (inSight(this.#held)) return { time: this.#held, kind: "pinned" };
    const time = this.#share === null ? null : from + this.#share * (to - from);
    return inSight(time) ? { time, kind: "hover" } : null;
  }

  /** Point at a share of the time shown; null points nowhere. */
  point(share) {
    this.#share = share;
  }

  /** Hold the moment of the column nearest to `time`, or let go of it if it is held. */
  toggle(time, columns) {
    const end = nearest(columns, time)?.end ?? null;
    this.#held = this.#held === end ? null : end;
    this.#share = null;
  }

  release() {
    this.#held = this.#share = null;
  }

  /** Move by a key along `columns`, of which `range` is shown; false if it is no such key. */
  move(key, columns, range) {
    const now = this.within(range);
    const at = columns.indexOf(now ? nearest(columns, now.time) : columns.at(-1));
    const to = {
      ArrowLeft: now ? at - 1 : at,
      ArrowRight: at + 1,
      PageUp: at - PAGE,
      PageDown: at + PAGE,
      Home: 0,
      End: columns.length - 1,
    }[key];
    if (to === undefined || !columns.length) return false;
    this.#held = columns[Math.min(columns.length - 1, Math.max(0, to))].end;
    return true;
  }
}

/** The column whose end is nearest to `time`; null without any. */
export function nearest(columns, time) {
  let best = null;
  for (const column of columns) {
    if (best === null || Math.abs(column.end - time) < Math.abs(best.end - time)) best = column;
  }
  return best;
}

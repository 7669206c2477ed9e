// How a series is written down.

/** A line of what `value` gives for each column; `more` says how it looks. */
export const line = (id, label, value, more = {}) => ({ id, label, value, colour: id, kind: "line", ...more });

/** A line that is filled below. */
export const area = { fill: 0.14 };

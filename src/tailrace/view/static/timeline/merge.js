// The X-ray of any stretch of time, from what its intervals tell of each component of latency.

const TAIL = [0.99, 1];
const MEDIAN = [0.4, 0.6];
const FEWEST = 100;
const DECADES = 10;

// A request's way, as far as it is the same for every server; the server's stages follow.
const WAY = ["send-lag", "connection-wait", "connect", "network", "service"];

/** What `xrayOf` needs of a Point, and little else: an hour of it must be small. */
export function digest({ latency_bins: counts = {}, components_us: sums = {} }) {
  return {
    bins: Uint8Array.from(Object.keys(counts), Number),
    counts: Uint32Array.from(Object.values(counts)),
    sums: Object.entries(sums).map(([name, us]) => [name, Float64Array.from(us)]),
  };
}

/**
 * The X-ray of the intervals with these digests taken together, as a Result has it, or null of too
 * few requests. The requests of one bin are taken for alike: of a bin that lies across a border,
 * the part within counts in proportion.
 */
export function xrayOf(digests, binsPerDecade) {
  const counts = new Float64Array(DECADES * binsPerDecade);
  const sums = new Map(WAY.map((name) => [name, null]));
  for (const digest of digests) {
    add(counts, digest.bins, digest.counts);
    for (const [name, us] of digest.sums) {
      if (!sums.get(name)) sums.set(name, new Float64Array(counts.length));
      add(sums.get(name), digest.bins, us);
    }
  }
  const total = counts.reduce((sum, count) => sum + count, 0);
  const found = [...sums].filter(([, us]) => us);
  if (total < FEWEST || !found.length) return null;
  const tail = shares(counts, total, TAIL);
  const median = shares(counts, total, MEDIAN);
  const means = (part) => {
    const requests = dot(counts, part);
    return Object.fromEntries(found.map(([name, us]) => [name, dot(us, part) / requests / 1000]));
  };
  const [tail_ms, median_ms] = [means(tail), means(median)];
  const gap_ms = Object.fromEntries(found.map(([name]) => [name, tail_ms[name] - median_ms[name]]));
  const parts = Object.entries(gap_ms).sort(([, one], [, other]) => other - one);
  return {
    tail_requests: Math.round(total * (TAIL[1] - TAIL[0])),
    median_requests: Math.round(total * (MEDIAN[1] - MEDIAN[0])),
    from_ms: 10 ** (tail.findIndex((part) => part > 0) / binsPerDecade - 3),
    tail_ms,
    median_ms,
    gap_ms,
    explains: parts.reduce((sum, [, gap]) => sum + gap, 0) > 0 ? parts[0][0] : null,
  };
}

function add(whole, bins, values) {
  for (let at = 0; at < bins.length; at++) whole[bins[at]] += values[at];
}

/** Which part of each bin lies between two shares of all requests, fastest first. */
function shares(counts, total, [low, high]) {
  let end = 0;
  return counts.map((count) => {
    const begin = end;
    end += count;
    const within = Math.min(end, high * total) - Math.max(begin, low * total);
    return within > 0 ? within / count : 0;
  });
}

const dot = (one, other) => one.reduce((sum, value, at) => sum + value * other[at], 0);

// Mouse, finger and keyboard on the charts: what they choose, said in shares of the time shown.

import { GRID } from "./options.js";

const DRAG_PX = 5;

/**
 * Listen on `element`, in which every `.plot` is a chart.
 *
 * `on`: hover(share), leave(), pin(share), select(from, to) while a stretch is dragged (null when
 * it ends), zoom(from, to), and key(name), which gives whether the key meant anything.
 */
export function listen(element, on) {
  let drag = null;

  const shareIn = (plot, event) => {
    const box = plot.getBoundingClientRect();
    const share = (event.clientX - box.left - GRID.left) / (box.width - GRID.left - GRID.right);
    return Math.min(1, Math.max(0, share));
  };
  const ends = (event) => [drag.share, shareIn(drag.plot, event)].sort((a, b) => a - b);
  const moved = (event) => Math.abs(event.clientX - drag.x) > DRAG_PX;

  element.addEventListener("pointerdown", (event) => {
    const plot = event.target.closest(".plot");
    if (!plot || event.button !== 0) return;
    drag = { plot, share: shareIn(plot, event), x: event.clientX, far: false };
    if (event.pointerType === "mouse") plot.setPointerCapture(event.pointerId);
    else on.hover(drag.share);
  });
  element.addEventListener("pointermove", (event) => {
    const plot = drag?.plot ?? event.target.closest(".plot");
    if (!plot) {
      on.leave();
      return;
    }
    on.hover(shareIn(plot, event));
    if (drag && event.pointerType === "mouse" && (drag.far ||= moved(event))) {
      on.select(...ends(event));
    }
  });
  element.addEventListener("pointerup", (event) => {
    if (!drag) return;
    if (drag.far) on.zoom(...ends(event));
    else on.pin(shareIn(drag.plot, event));
    on.select(null);
    drag = null;
  });
  element.addEventListener("pointercancel", () => {
    drag = null;
    on.select(null);
    on.leave();
  });
  element.addEventListener("pointerleave", () => {
    if (!drag) on.leave();
  });
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && drag) {
      drag = null;
      on.select(null);
    } else if (!on.key(event.key)) {
      return;
    }
    event.preventDefault();
  });
}

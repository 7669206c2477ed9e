// The report in the browser: its timelines, and what changes when it is printed.

import { Timeline } from "tailrace-timeline";

const root = document.documentElement;

/** Draw `sources` ({label, slos, json}) in every element that has the configuration of a timeline. */
export function start(sources) {
  const timelines = [...document.querySelectorAll("[data-timeline]")].map((element) => {
    const timeline = new Timeline(element, JSON.parse(element.dataset.timeline));
    timeline.say("The run has no finished interval.");
    timeline.open(sources);
    return timeline;
  });
  onPaper(timelines);
  root.dataset.started = "";
}

/** On paper: light, as wide as the sheet, and every chart drawn. */
function onPaper(timelines) {
  let theme = null;
  addEventListener("beforeprint", () => {
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    root.classList.add("paper");
    for (const timeline of timelines) timeline.print(true);
  });
  addEventListener("afterprint", () => {
    root.dataset.theme = theme;
    root.classList.remove("paper");
    for (const timeline of timelines) timeline.print(false);
  });
}

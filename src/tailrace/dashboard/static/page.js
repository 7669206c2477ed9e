// The browser's part of the page: the theme, and data on its way into the charts.
(() => {
  const KEY = "tailrace-theme";
  const system = matchMedia("(prefers-color-scheme: dark)");
  let pending = null;
  let linked = false;

  const apply = () => {
    const theme = localStorage.getItem(KEY) || (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    window.Quasar?.Dark.set(theme === "dark");
    document
      .querySelector("[data-testid=theme]")
      ?.setAttribute("aria-label", `Switch to the ${theme === "dark" ? "light" : "dark"} theme`);
  };

  const link = async (charts) => {
    linked = true;
    const { echarts } = await import("nicegui-echart");
    for (const chart of charts) chart.group = "tailrace";
    echarts.connect("tailrace");
  };

  const chartOf = (name) => {
    const element = document.querySelector(`[data-chart="${name}"]`);
    return element && getElement(Number(element.id.slice(1)))?.chart;
  };

  window.tailrace = {
    // The theme follows the system until the first switch, then this browser remembers it.
    switchTheme() {
      const dark = document.documentElement.dataset.theme === "dark";
      localStorage.setItem(KEY, dark ? "light" : "dark");
      apply();
    },

    // Fills the slider's track up to the thumb without asking the server; gives its position.
    slide(input) {
      input.style.setProperty("--fill", input.value / input.max);
      return Number(input.value);
    },

    // frame: {chart: option with nothing but data}. Charts mount late; the newest frame waits.
    draw(frame) {
      pending = frame;
      const charts = Object.keys(frame).map(chartOf);
      if (!charts.every(Boolean)) {
        setTimeout(() => pending === frame && this.draw(frame), 50);
        return;
      }
      Object.values(frame).forEach((option, at) => charts[at].setOption(option));
      if (!linked) link(charts);
    },
  };

  apply();
  system.addEventListener("change", apply);
  addEventListener("load", apply);
})();

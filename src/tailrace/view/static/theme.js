// The theme: the system's until the switch is used, which this browser then remembers.
(() => {
  const KEY = "tailrace-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  // A page opened from a disk may have no storage.
  const stored = (act) => {
    try {
      return act(localStorage);
    } catch {
      return null;
    }
  };
  let chosen = stored((storage) => storage.getItem(KEY));

  const apply = () => {
    const theme = chosen || (system.matches ? "dark" : "light");
    root.dataset.theme = theme;
    window.Quasar?.Dark.set(theme === "dark");
    const other = theme === "dark" ? "light" : "dark";
    document.querySelector("[data-testid=theme]")?.setAttribute("aria-label", `Switch to the ${other} theme`);
  };

  apply();
  system.addEventListener("change", apply);
  addEventListener("DOMContentLoaded", apply);
  addEventListener("load", apply);
  addEventListener("click", ({ target }) => {
    if (!target.closest?.("[data-testid=theme]")) return;
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    stored((storage) => storage.setItem(KEY, chosen));
    apply();
  });
})();

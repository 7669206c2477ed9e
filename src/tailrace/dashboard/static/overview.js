// The overview: puts what the board says into the cards that the server built.
(() => {
  const DOES = { idle: "start", running: "stop", starting: "stop", stopping: "wait" };
  const SAYS = { start: "Start", stop: "Stop", wait: "Stopping…" };

  const put = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const steer = (card, row) => {
    const toggle = card.querySelector(".toggle");
    const does = DOES[row.texts.state];
    toggle.dataset.does = does;
    toggle.ariaDisabled = does === "wait";
    toggle.ariaLabel = `${SAYS[does]} ${row.texts.name}`;
    put(toggle.firstElementChild, SAYS[does]);
    const rate = card.querySelector("input");
    if (document.activeElement !== rate || !rate.dataset.typed) rate.value = Math.round(row.rate * 100) / 100 || row.rate;
    for (const button of card.querySelectorAll(".more button")) {
      button.disabled = row.texts.state !== "idle";
      button.ariaLabel = `${button.textContent} ${row.texts.name}`;
    }
  };

  const draw = (spark, { path, over, bound }) => {
    spark.querySelector(".spark-line").setAttribute("d", path);
    spark.querySelector(".spark-over").setAttribute("d", over);
    spark.querySelector(".spark-bound").setAttribute("d", bound === null ? "" : `M0 ${bound}H120`);
  };

  tailrace.overview = {
    // rows: [{id, rate, texts: {field: text}, flags, path, over, bound}], of the services that changed.
    show(rows) {
      for (const row of rows) {
        const card = document.querySelector(`[data-service="${row.id}"]`);
        if (!card) continue;
        card.dataset.flags = row.flags;
        for (const [field, text] of Object.entries(row.texts)) {
          const element = card.querySelector(`[data-field="${field}"]`);
          // Addresses differ at their ends, which is where a cut would be.
          put(element, field === "url" ? tailrace.middle(text, 64) : text);
          element.title = text;
        }
        steer(card, row);
        draw(card.querySelector(".spark"), row);
      }
    },
  };

  // A rate that is being typed is left alone until it is entered or left.
  addEventListener("input", ({ target }) => {
    if (target.closest?.("[data-service]")) target.dataset.typed = "yes";
  });
  for (const done of ["change", "focusout"])
    addEventListener(done, ({ target }) => {
      if (target.closest?.("[data-service]")) delete target.dataset.typed;
    }, true);
})();

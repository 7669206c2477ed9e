// The page of a run: its name and note, and its end.
for (const button of document.querySelectorAll("[data-opens]")) {
  button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
}
for (const button of document.querySelectorAll("[data-closes]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
for (const form of document.querySelectorAll("form[data-verb]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { verb, then } = form.dataset;
    const body = verb === "DELETE" ? null : JSON.stringify(Object.fromEntries(new FormData(form)));
    let said = "The server is gone";
    try {
      const answer = await fetch(form.action, { method: verb, body });
      if (answer.ok) {
        if (then) location.assign(then);
        else location.reload();
        return;
      }
      said = (await answer.json()).error;
    } catch (error) {
      console.info(error.message);
    }
    const line = form.querySelector(".form-error");
    line.textContent = said;
    line.focus();
  });
}

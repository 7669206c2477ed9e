// What every live page does in the browser: above all, saying when the server is gone.
(() => {
  // NiceGUI says in an element of its own whether the connection is lost. A modal dialog says it
  // above other open dialogs too, and lets nothing be pressed that the server would not hear.
  const watchConnection = () => {
    const popup = document.getElementById("popup");
    const notice = document.createElement("dialog");
    notice.className = "gone";
    notice.setAttribute("role", "alertdialog");
    notice.setAttribute("aria-label", "Connection lost");
    notice.innerHTML = "<b>Connection lost</b><p>The server is gone: reconnecting…</p>";
    notice.setAttribute("closedby", "none");
    notice.addEventListener("cancel", (event) => event.preventDefault());
    popup.replaceChildren();
    document.body.append(notice);
    new MutationObserver(() => {
      const lost = popup.ariaHidden === "false";
      if (lost && !notice.open) notice.showModal();
      if (!lost) notice.close();
    }).observe(popup, { attributeFilter: ["aria-hidden"] });
  };

  window.tailrace = {
    // Fills the slider's track up to the thumb without asking the server; gives its position.
    slide(input) {
      input.style.setProperty("--fill", input.value / input.max);
      return Number(input.value);
    },
  };

  addEventListener("DOMContentLoaded", watchConnection);
})();

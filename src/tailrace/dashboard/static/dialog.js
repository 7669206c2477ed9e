// The form of a service: opened, filled and closed as the server says; what is typed goes there as one object.
(() => {
  const find = () => document.getElementById("service-dialog");

  const complain = (dialog, line) => {
    const error = dialog.querySelector(".form-error");
    error.textContent = line;
    for (const wrong of dialog.querySelectorAll("[aria-invalid]")) wrong.removeAttribute("aria-invalid");
    return error;
  };

  tailrace.dialog = {
    // values: text by the field's name; fixed: names of fields that cannot be changed.
    fill(title, values, fixed) {
      const dialog = find();
      complain(dialog, "");
      dialog.querySelector("h2 span").textContent = title;
      for (const part of dialog.querySelectorAll("details")) part.open = false;
      for (const field of dialog.querySelectorAll("[name]")) {
        const value = values[field.name] ?? "";
        if (field.type === "checkbox") field.checked = value === field.value;
        else field.value = value;
        field.readOnly = fixed.includes(field.name);
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
      dialog.showModal();
      dialog.querySelector("[name]:not(:read-only)").focus();
    },

    typed(event) {
      event.preventDefault();
      event.target.querySelector("[type=submit]").disabled = true;
      const fields = [...event.target.querySelectorAll("[name]")];
      const value = (field) => (field.type !== "checkbox" ? field.value : field.checked ? "yes" : "no");
      return Object.fromEntries(fields.map((field) => [field.name, value(field)]));
    },

    // Shows why the form was refused; `field` is the name of the one that is at fault, if known.
    fail(line, field) {
      const dialog = find();
      const error = complain(dialog, line);
      dialog.querySelector("[type=submit]").disabled = false;
      const wrong = field && dialog.querySelector(`[name="${field}"]`);
      if (wrong) {
        wrong.setAttribute("aria-invalid", "true");
        const folded = wrong.closest("details");
        if (folded) folded.open = true;
      }
      (wrong || error).focus();
    },

    close() {
      find().querySelector("[type=submit]").disabled = false;
      find().close();
    },
  };
})();

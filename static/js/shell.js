// What every page needs: menus that close, passwords that show, pictures that are forgotten.
import { forgetAll, sweep } from "./pictures.js";

for (const menu of document.querySelectorAll("[data-menu]")) {
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

for (const box of document.querySelectorAll("[data-password]")) {
  const input = box.querySelector("input");
  const button = box.querySelector("button");
  button.hidden = false;
  button.addEventListener("click", () => {
    const show = input.type === "password";
    input.type = show ? "text" : "password";
    button.textContent = show ? button.dataset.hide : button.dataset.show;
    button.setAttribute("aria-pressed", String(show));
  });
}

document.querySelector("[data-autofocus]")?.focus();

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// A signed-out browser keeps no copy of anybody's photo.
for (const form of document.querySelectorAll("[data-forget-pictures]")) {
  form.addEventListener("submit", () => forgetAll());
}
if (document.body.hasAttribute("data-signed-out")) forgetAll();
else sweep();

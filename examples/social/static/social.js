"use strict";

// Each form marked data-auth goes to the auth API as JSON; the answer says where the browser has to go.
for (const form of document.querySelectorAll("form[data-auth]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    const response = await fetch(form.action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    const answer = await response.json();
    if (response.ok) location.assign(answer.url || fields.callbackURL);
    else document.querySelector("[role=alert]").textContent = answer.message;
  });
}

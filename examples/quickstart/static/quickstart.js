"use strict";

// Each form marked data-auth goes to the auth API as JSON; what the server refuses is shown beside it.
for (const form of document.querySelectorAll("form[data-auth]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!form.hasAttribute("aria-busy")) send(form);
  });
}

async function send(form) {
  const problem = form.querySelector("[role=alert]");
  problem.textContent = "";
  form.setAttribute("aria-busy", "true");
  try {
    const fields = Object.fromEntries(new FormData(form));
    const response = await fetch(form.action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    if (response.ok) {
      location.assign(fields.callbackURL); // the server has checked it
    } else {
      const answer = await response.json().catch(() => ({}));
      problem.textContent = answer.message ?? `The server answered ${response.status}. Please try again.`;
    }
  } catch {
    problem.textContent = "The server cannot be reached. Please try again.";
  } finally {
    form.removeAttribute("aria-busy");
  }
}

// The few live parts that htmx does not do. Every page works without this file.
"use strict";

// What a press on a button has come to, below it and read aloud: that needs the line to be there before its words.
function say(button, text, className) {
  const place = button.closest(".secret, .actions");
  let line = place.nextElementSibling;
  if (!line?.matches("[data-told]")) {
    line = document.createElement("p");
    line.dataset.told = "";
    line.setAttribute("role", "status");
    place.after(line);
  }
  line.className = className;
  setTimeout(() => { line.textContent = text; }, 100);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.dataset.said ??= button.textContent; // pressed again while it still says so
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = button.dataset.said; }, 2000);
      say(button, "Copied.", "unseen"); // the button says so to whoever sees it
    } catch {
      getSelection().selectAllChildren(source); // the browser does not let us: one key is left to press
      say(button, "The browser did not let this page copy. The text is selected now: press Ctrl+C, on a Mac ⌘C, or hold your finger on it and choose Copy.", "problem");
    }
  }
  const keeper = event.target.closest("[data-download]");
  if (keeper) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([document.getElementById(keeper.dataset.download).textContent + "\n"]));
    link.download = keeper.dataset.name;
    link.click();
    URL.revokeObjectURL(link.href);
  }
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target.matches("a[role=button]")) { // what is called a button is pressed like one
    event.preventDefault();
    event.target.click();
  }
  if (event.key === "Escape") {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
});

// On a phone the places stand in one row that scrolls: show the one that we are at.
document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// A form is sent once, however often its button is pressed; one that gives a file leaves the page as it is.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  const leaves = !event.defaultPrevented; // htmx, or a script that has something to say first, keeps the page
  if (button && leaves && !("gives" in event.target.dataset)) setTimeout(() => { button.disabled = true; });
});
window.addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[disabled]:not([data-disabled])")) button.disabled = false;
});

// Live parts load anew every minute while somebody can see them, but not under a reader's hands.
function refresh() {
  if (document.visibilityState !== "visible") return;
  for (const part of document.querySelectorAll("[data-live]")) {
    const isRead = part.contains(document.activeElement) || part.querySelector("details[open]");
    if (!isRead) part.dispatchEvent(new Event("refresh"));
  }
}
setInterval(refresh, 60_000);

// A live part whose page is gone (a key that was revoked elsewhere) says so, in place of what does not hold any more.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target } = event.detail;
  if ([403, 404].includes(xhr.status) && target.closest("[data-live]")) window.location.reload();
  if (xhr.status === 409 && target.id === "walk") event.detail.shouldSwap = true; // says why it does not go on
});
document.addEventListener("visibilitychange", refresh);

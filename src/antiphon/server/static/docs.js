"use strict";
// Everything here is an addition: the page says the same without it.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Examples call the server that this page came from, wherever it is mounted.
const base = location.origin + location.pathname.replace(/\/docs\/?$/, "");
for (const place of all(".origin")) place.textContent = base;

// A link to a schema opens it.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", openTarget);
openTarget();

// The search hides what does not contain every word.
const search = document.getElementById("search");
const nothing = document.getElementById("nothing");
const links = new Map(all("nav .toc a").map((link) => [link.hash.slice(1), link]));
const entries = all("article, .schema").map((element) => [element, element.textContent.toLowerCase()]);

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [element, text] of entries) {
    const hidden = !words.every((word) => text.includes(word));
    element.hidden = hidden;
    const link = links.get(element.id);
    if (link) link.hidden = hidden;
  }
  for (const section of all("main > section")) {
    section.hidden = words.length > 0 && all("article, .schema", section).every((element) => element.hidden);
    links.get(section.id).hidden = section.hidden;
  }
  nothing.hidden = entries.some(([element]) => !element.hidden);
}
search.hidden = false;
search.addEventListener("input", find);
addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && document.activeElement === search) {
    search.value = "";
    find();
    search.blur();
  }
});

// The contents show where the reader is.
const seen = new IntersectionObserver(
  (changes) => {
    for (const change of changes) {
      links.get(change.target.id)?.classList.toggle("here", change.isIntersecting);
    }
  },
  { rootMargin: "-10% 0px -85% 0px" },
);
for (const article of all("article")) seen.observe(article);

// Commands can be copied where the browser allows it.
if (navigator.clipboard) {
  for (const box of all("pre")) {
    const command = box.querySelector("code");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    box.append(button);
  }
}

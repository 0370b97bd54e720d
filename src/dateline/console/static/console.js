// What a page that grows by itself says, and when it does not ask; the growing is htmx's.
"use strict";

const news = document.getElementById("news");
let before = null;

function lost(told) {
  // Once: whoever listens need not hear it every four seconds.
  before ??= news.textContent;
  if (news.textContent !== told) news.textContent = told;
}

// What nobody sees need not be asked for, and would be on record as a look.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, () => lost("The server does not answer; this page goes on asking."));
}
document.addEventListener("htmx:responseError", (event) => {
  lost(`The server refuses (${event.detail.xhr.status}); this page goes on asking.`);
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (!event.detail.successful || before === null) return;
  // Where something is new, it says so already.
  if (event.detail.xhr.status === 204) news.textContent = before;
  before = null;
});

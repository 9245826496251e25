// Desk only: shows the emails that the local AWS kept instead of sending them. Leave this file out of your page.

import { config } from "./config.js";

const POLL_INTERVAL = 1_500; // milliseconds
const LINK = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?)]/g;

const section = document.querySelector("#mailbox");
const status = document.querySelector("#mailbox-status");
const held = document.querySelector("#mailbox-held");
const emailList = document.querySelector("#emails");

if (config.mailbox) {
  section.hidden = false;
  refresh();
  setInterval(() => document.visibilityState === "visible" && refresh(), POLL_INTERVAL);
  document.addEventListener("visibilitychange", refresh);
}

async function refresh() {
  try {
    const response = await fetch(config.mailbox, { signal: AbortSignal.timeout(POLL_INTERVAL * 4) });
    const { messages, held_back: heldBack = [] } = await response.json(); // messages: a list for each account
    showHeldBack(heldBack);
    showEmails(Object.values(messages).flat().sort((a, b) => a.Timestamp - b.Timestamp));
  } catch {
    setStatus("The local AWS does not respond.");
  }
}

/** Shows which requests the rate limits held back: the API's response does not reveal it. */
function showHeldBack(lines) {
  const items = lines.slice(-3).map((line) => element("li", {}, line));
  if (items.map((item) => item.textContent).join("\n") !== [...held.children].map((item) => item.textContent).join("\n")) {
    held.replaceChildren(...items);
  }
}

/** Shows the newest email first, and opens it. Keeps the elements of the others: the developer may be reading them. */
function showEmails(emails) {
  const ids = new Set(emails.map((email) => email.MessageId));
  const shown = new Map([...emailList.children].map((each) => [each.dataset.id, each]));
  for (const [id, each] of shown) if (!ids.has(id)) each.remove();
  const added = emails.filter((email) => !shown.has(email.MessageId));
  for (const email of added) emailList.prepend(createEnvelope(email));
  if (added.length > 0) {
    for (const [n, each] of [...emailList.children].entries()) each.open = n === 0;
  }
  setStatus(emails.length === 0
    ? "No email yet."
    : `${emails.length} ${emails.length === 1 ? "email" : "emails, newest first"}.`);
}

function createEnvelope(email) {
  const when = new Date(email.Timestamp * 1000);
  const time = element("time", { dateTime: when.toISOString() }, when.toLocaleTimeString());
  const headers = element("dl", {}, ...[
    ["From", decodeHeader(email.Source)],
    ["To", (email.To ?? []).join(", ")],
  ].flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const text = element("div", { className: "email-text" }, ...withLinks((email.BodyText ?? "").trim()));
  const frame = createFrame(email);
  const tabs = element("div", { className: "tabs" }, ...[["HTML", frame, text], ["Text", text, frame]].map(
    ([name, panel, other], n) => {
      const tab = element("button", { type: "button" }, name);
      tab.setAttribute("aria-pressed", String(n === 0));
      tab.addEventListener("click", () => {
        for (const each of tabs.children) each.setAttribute("aria-pressed", String(each === tab));
        panel.hidden = false;
        other.hidden = true;
      });
      return tab;
    }));
  text.hidden = true;
  const summary = element("summary", {}, element("span", {}, email.Subject), time);
  const envelope = element("details", { className: "email" }, summary, headers, tabs, frame, text);
  envelope.dataset.id = email.MessageId;
  return envelope;
}

/**
 * Shows the HTML part in a frame that runs no scripts. `allow-same-origin` lets this page measure the frame's height.
 * A link in the frame may replace this page, as a link in an email program opens a page.
 */
function createFrame(email) {
  const frame = element("iframe", { title: `The HTML part of "${email.Subject}"`, loading: "lazy" });
  frame.setAttribute("sandbox", "allow-same-origin allow-top-navigation-by-user-activation");
  frame.src = `${config.mailbox}/${encodeURIComponent(email.MessageId)}`;
  frame.addEventListener("load", () => {
    frame.style.height = `${(frame.contentDocument?.documentElement.scrollHeight ?? 400) + 2}px`;
  });
  return frame;
}

/** Splits a text into strings and links. The strings are inserted as text, so HTML in an email's text has no effect. */
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: href, index } of text.matchAll(LINK)) {
    if (!URL.canParse(href)) continue;
    parts.push(text.slice(end, index), element("a", { href, className: "email-link", rel: "noreferrer" }, href));
    end = index + href.length;
  }
  return [...parts, text.slice(end)];
}

/** Decodes the encoded words of a header (RFC 2047). Rekey writes them in UTF-8 and Base64. */
function decodeHeader(header) {
  const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return header
    .replace(/\?=\s+=\?/g, "?==?")
    .replace(/=\?utf-8\?b\?([a-z0-9+/=]*)\?=/gi, (_, base64) => new TextDecoder().decode(bytesOf(base64)));
}

function element(name, properties, ...children) {
  const created = Object.assign(document.createElement(name), properties);
  created.append(...children);
  return created;
}

/** Sets the status only if it changes: screen readers announce every update of a live region. */
function setStatus(text) {
  if (status.textContent !== text) status.textContent = text;
}

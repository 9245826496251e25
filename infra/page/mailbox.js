// Desk only: shows the emails that the local AWS kept instead of sending them. Leave it out of your page.

import { config } from "./config.js";

const PERIOD = 1_500; // milliseconds
const LINK = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?)]/g;

const section = document.querySelector("#mailbox");
const status = document.querySelector("#mailbox-status");
const held = document.querySelector("#mailbox-held");
const mails = document.querySelector("#mails");

if (config.mailbox) {
  section.hidden = false;
  look();
  setInterval(() => document.visibilityState === "visible" && look(), PERIOD);
  document.addEventListener("visibilitychange", look);
}

async function look() {
  try {
    const response = await fetch(config.mailbox, { signal: AbortSignal.timeout(PERIOD * 4) });
    const { messages, held_back: heldBack = [] } = await response.json(); // messages: a list for each account
    showHeldBack(heldBack);
    showMails(Object.values(messages).flat().sort((a, b) => a.Timestamp - b.Timestamp));
  } catch {
    tell("The local AWS does not answer.");
  }
}

/** What the limits swallowed: the API answers such a request like any other. */
function showHeldBack(lines) {
  const items = lines.slice(-3).map((line) => element("li", {}, line));
  if (items.map((item) => item.textContent).join("\n") !== [...held.children].map((item) => item.textContent).join("\n")) {
    held.replaceChildren(...items);
  }
}

/** The newest first, and open. What is there already stays untouched: somebody may be reading it. */
function showMails(found) {
  const ids = new Set(found.map((mail) => mail.MessageId));
  const shown = new Map([...mails.children].map((each) => [each.dataset.id, each]));
  for (const [id, each] of shown) if (!ids.has(id)) each.remove();
  const added = found.filter((mail) => !shown.has(mail.MessageId));
  for (const mail of added) mails.prepend(envelopeOf(mail));
  if (added.length > 0) {
    for (const [n, each] of [...mails.children].entries()) each.open = n === 0;
  }
  tell(found.length === 0 ? "No email yet." : `${found.length} ${found.length === 1 ? "email" : "emails, newest first"}.`);
}

function envelopeOf(mail) {
  const when = new Date(mail.Timestamp * 1000);
  const time = element("time", { dateTime: when.toISOString() }, when.toLocaleTimeString());
  const headers = element("dl", {}, ...[
    ["From", decoded(mail.Source)],
    ["To", (mail.To ?? []).join(", ")],
  ].flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const text = element("div", { className: "mail-text" }, ...withLinks((mail.BodyText ?? "").trim()));
  const frame = frameOf(mail);
  const tabs = element("div", { className: "tabs" }, ...[["HTML", frame, text], ["Text", text, frame]].map(
    ([name, mine, other], n) => {
      const tab = element("button", { type: "button" }, name);
      tab.setAttribute("aria-pressed", String(n === 0));
      tab.addEventListener("click", () => {
        for (const each of tabs.children) each.setAttribute("aria-pressed", String(each === tab));
        mine.hidden = false;
        other.hidden = true;
      });
      return tab;
    }));
  text.hidden = true;
  const summary = element("summary", {}, element("span", {}, mail.Subject), time);
  const envelope = element("details", { className: "mail" }, summary, headers, tabs, frame, text);
  envelope.dataset.id = mail.MessageId;
  return envelope;
}

/**
 * The HTML part, in a frame where no script runs. `allow-same-origin` is for measuring its height; a link in it may
 * replace this page, as a click in a mail program opens one.
 */
function frameOf(mail) {
  const frame = element("iframe", { title: `The HTML part of "${mail.Subject}"`, loading: "lazy" });
  frame.setAttribute("sandbox", "allow-same-origin allow-top-navigation-by-user-activation");
  frame.src = `${config.mailbox}/${encodeURIComponent(mail.MessageId)}`;
  frame.addEventListener("load", () => {
    frame.style.height = `${(frame.contentDocument?.documentElement.scrollHeight ?? 400) + 2}px`;
  });
  return frame;
}

/** Cuts a text into strings and links. An email's text is only ever text here: what looks like HTML in it stays text. */
function withLinks(text) {
  const parts = [];
  let end = 0;
  for (const { 0: href, index } of text.matchAll(LINK)) {
    if (!URL.canParse(href)) continue;
    parts.push(text.slice(end, index), element("a", { href, className: "mail-link", rel: "noreferrer" }, href));
    end = index + href.length;
  }
  return [...parts, text.slice(end)];
}

/** Undoes the encoded words that names in mail headers are sent as (RFC 2047; Rekey makes UTF-8 ones in Base64). */
function decoded(header) {
  const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return header
    .replace(/\?=\s+=\?/g, "?==?")
    .replace(/=\?utf-8\?b\?([a-z0-9+/=]*)\?=/gi, (_, base64) => new TextDecoder().decode(bytesOf(base64)));
}

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Only what is new: a live region reads out whatever is put into it. */
function tell(text) {
  if (status.textContent !== text) status.textContent = text;
}

// Every state of the page, and how a person gets there.

import { TOKEN } from "./server.mjs";

const EMAIL = "ada.lovelace@example.com";
const LINK = `?email=${encodeURIComponent(EMAIL)}&token=`;
const GOOD = `${LINK}${TOKEN}`;
export const LONG = `${"a-very-long-local-part-".repeat(2)}@${"department.".repeat(8)}example.com`;

export const states = {
  "forgot": (page, url) => open(page, url),
  "forgot-invalid": (page, url) => ask(page, url, "not an address"),
  "forgot-too-many": (page, url) => ask(page, url, "too-many@example.com"),
  "forgot-unavailable": (page, url) => ask(page, url, "unavailable@example.com"),
  "forgot-unanswered": (page, url) => ask(page, url, "silence@example.com"),
  "sent": (page, url) => ask(page, url, EMAIL),
  "sent-long": (page, url) => ask(page, url, LONG),
  "sent-again": async (page, url) => {
    await ask(page, url, "impatient@example.com");
    await page.waitForSelector("#sent-again[aria-disabled=false]");
    await page.click("#sent-again");
    await page.waitForSelector("#sent-status .done:not(:empty)");
  },
  "reset": (page, url) => open(page, url + GOOD),
  "reset-long": (page, url) => open(page, `${url}?email=${encodeURIComponent(LONG)}&token=${TOKEN}`),
  "reset-mistakes": (page, url) => save(page, url + GOOD, "short", "different"),
  "reset-leaked": (page, url) => save(page, url + GOOD, "a leaked password"),
  "reset-too-many": (page, url) => save(page, url + GOOD, "a busy password"),
  "reset-shown": async (page, url) => {
    await open(page, url + GOOD);
    await page.type("#reset-password", "correct horse battery staple");
    await page.click("#reset-toggle");
  },
  "done": (page, url) => save(page, url + GOOD, "correct horse battery staple"),
  "bad-token": (page, url) => save(page, `${url}${LINK}${"f".repeat(64)}`, "correct horse battery staple"),
  "bad-incomplete": (page, url) => open(page, `${url}?email=${encodeURIComponent(EMAIL)}`),
  "bad-damaged": (page, url) => open(page, `${url}${LINK}${TOKEN.slice(0, 40)}`),
  "bad-reloaded": async (page, url) => {
    await open(page, url + GOOD);
    await page.reload();
  },
};

/** Opens the page anew, whatever was there before. */
export async function open(page, url) {
  await page.goto("about:blank");
  await page.goto(url);
  await page.waitForSelector("section.card:not([hidden])");
}

export async function ask(page, url, email) {
  await open(page, url);
  await page.type("#forgot-email", email);
  await page.keyboard.press("Enter");
  await settle(page, "#forgot");
}

export async function save(page, url, password, confirmation = password) {
  await open(page, url);
  await page.type("#reset-password", password);
  await page.type("#reset-confirmation", confirmation);
  await page.keyboard.press("Enter");
  await settle(page, "#reset");
}

/** Waits until a form was answered: another view, a message, or a mistake. */
async function settle(page, view) {
  await page.waitForFunction((view) => {
    const section = document.querySelector(view);
    const button = section.querySelector("[type=submit]");
    const said = section.querySelector(".done:not(:empty), .failed:not(:empty), [aria-invalid]");
    return section.hidden || (said && button.getAttribute("aria-disabled") === "false");
  }, {}, view);
}

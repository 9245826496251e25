// The sample page, in Chromium and Firefox, beside an API that answers as Rekey's does: `node --test tests/page/`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { AXE, launch } from "./browsers.mjs";
import { TOKEN, serve } from "./server.mjs";
import { LONG, ask, open, save, states } from "./states.mjs";

const EMAIL = "ada.lovelace@example.com";
const PASSWORD = "correct horse battery staple";
const axe = await readFile(AXE, "utf8");

let server;
before(async () => { server = await serve(); });
after(() => server.close());

for (const name of ["chrome", "firefox"]) describe(name, () => {
  let browser;
  before(async () => { browser = await launch(name); });
  after(() => browser.close());

  /** Gives a test a tab of its own, in which `prepare` runs before every script of the page. */
  async function inTab(act, prepare) {
    const page = await browser.newPage();
    try {
      if (prepare) await page.evaluateOnNewDocument(prepare);
      await act(page);
    } finally {
      await page.close();
    }
  }

  for (const [state, reach] of Object.entries(states)) {
    test(`${state}: accessible, within every width, light and dark, and without the token in the address`, () =>
      inTab(async (page) => {
        for (const [width, scheme] of [[320, "light"], [390, "dark"], [1280, "light"]]) {
          await page.setViewport({ width, height: 800 });
          if (name === "chrome") await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
          await reach(page, server.url);
          assert.equal(await page.evaluate(() => location.href), server.url);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(overflow <= 0, `${overflow} px wider than ${width}`);
          assert.equal(await page.evaluate(() => document.querySelectorAll("section.card:not([hidden])").length), 1);
          const headings = await page.$$eval("section.card:not([hidden]) h1", (all) => all.map((one) => one.textContent));
          assert.equal(await page.title(), `${headings} · Example App`);
          await page.evaluate(axe);
          const { violations } = await page.evaluate(() => globalThis.axe.run());
          assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), []);
          const contrast = await page.evaluate(borderContrast);
          assert.ok(contrast === null || contrast >= 3, `the border of the read-only field has a contrast of ${contrast}`);
        }
      }));
  }

  // The reports of CASES: a link as mail programs, gateways, and people change it.
  const encoded = encodeURIComponent(EMAIL);
  const whole = `email=${encoded}&token=${TOKEN}`;
  for (const [what, parts, email = EMAIL] of [
    ["as it was sent", `?${whole}`],
    ["in the fragment", `#${whole}`],
    ["after a path in the fragment", `#/reset?${whole}`],
    ["with the page's own query", `?view=reset&${whole}`],
    ["&amp; (yii2-app-advanced#302)", `?email=${encoded}&amp;token=${TOKEN}`],
    ["&amp;amp;", `?email=${encoded}&amp;amp;token=${TOKEN}`],
    ["&#38;", `?email=${encoded}&#38;token=${TOKEN}`],
    ["the query encoded as a whole", `?${encodeURIComponent(whole)}`],
    ["the query encoded as a whole, twice", `?${encodeURIComponent(encodeURIComponent(whole))}`],
    ["%40 encoded twice (appsmith#30195)", `?email=${encodeURIComponent(encoded)}&token=${TOKEN}`],
    ["%2B decoded on the way (CE-Phoenix#864)", `?email=ada+new%40example.com&token=${TOKEN}`, "ada+new@example.com"],
    ["%2B as a space", `?email=ada%20new%40example.com&token=${TOKEN}`, "ada+new@example.com"],
    ["%2B encoded twice", `?email=ada%252Bnew%2540example.com&token=${TOKEN}`, "ada+new@example.com"],
    ["upper case", `?email=${encoded}&token=${TOKEN.toUpperCase()}`],
    ["with the end of a sentence", `?${whole}.`],
  ]) {
    test(`a link is understood: ${what}`, () => inTab(async (page) => {
      await open(page, server.url + parts);
      assert.equal(await page.$eval("#reset-email", (field) => field.value), email);
      const address = await page.evaluate(() => location.href);
      assert.doesNotMatch(address, /token|[0-9a-f]{64}|email=/i);
      assert.equal(address.includes("view=reset"), parts.includes("view=reset"));
      assert.equal(address.includes("#/reset"), parts.includes("#/reset"));
      assert.ok(!(await page.content()).includes(TOKEN.slice(0, 16)));
      const before = server.asked.length;
      await page.type("#reset-password", PASSWORD);
      await page.type("#reset-confirmation", PASSWORD);
      await page.keyboard.press("Enter");
      await page.waitForSelector("#done:not([hidden])");
      const [sent] = server.asked.slice(before).filter(({ email: asked }) => asked === email);
      assert.equal(sent.token.toLowerCase(), TOKEN);
    }));
  }

  for (const [what, parts, title] of [
    ["cut at & (OnePoint-Global-Account-Toolkit#403)", `?email=${encoded}`, "This link is not complete"],
    ["without an address", `?token=${TOKEN}`, "This link is not complete"],
    ["with half a token", `?email=${encoded}&token=${TOKEN.slice(0, 30)}`, "This link is damaged"],
    ["with something else for a token", `?email=${encoded}&token=${"x".repeat(64)}`, "This link is damaged"],
    ["with parts that nobody can read", `?${encoded}%26to%ken${TOKEN}token`, "This link is damaged"],
  ]) {
    test(`a link that cannot be used says so: ${what}`, () => inTab(async (page) => {
      await open(page, server.url + parts);
      assert.equal(await page.$eval("#bad-title", (title) => title.textContent), title);
      assert.doesNotMatch(await page.evaluate(() => location.href), /token|[0-9a-f]{30}/i);
      await page.click("#bad-new");
      await page.waitForSelector("#forgot:not([hidden])");
    }));
  }

  test("a reload says that the link must be opened again (identity-idp#8207)", () => inTab(async (page) => {
    await states["bad-reloaded"](page, server.url);
    assert.equal(await page.$eval("#bad-title", (title) => title.textContent), "Open the link again");
    await page.click("#bad-new");
    await page.reload();
    await page.waitForSelector("#forgot:not([hidden])");
  }));

  test("the flow works by keyboard alone, and the focus follows it", () => inTab(async (page) => {
    await open(page, server.url);
    await page.keyboard.press("Tab");
    await page.keyboard.type("impatient@example.com");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#sent:not([hidden])");
    assert.equal(await focused(page), "sent-title");
    await page.waitForSelector("#sent-again[aria-disabled=false]");
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "sent-again");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#sent-status .done:not(:empty)");

    await open(page, `${server.url}?${whole}`);
    for (const [stop, typed] of [["reset-email"], ["reset-password", "short"], ["reset-toggle"], ["reset-confirmation", "other"]]) {
      await page.keyboard.press("Tab");
      assert.equal(await focused(page), stop);
      if (typed) await page.keyboard.type(typed);
    }
    await page.keyboard.press("Enter");
    await page.waitForSelector("#reset-password[aria-invalid]");
    assert.equal(await focused(page), "reset-password", "the first mistake");
    assert.notEqual(await page.$eval("#reset-confirmation-error", (error) => error.textContent), "", "every mistake at once");
    await page.keyboard.type(" no longer");
    assert.equal(await page.$eval("#reset-password", (field) => field.getAttribute("aria-invalid")), null);
    assert.equal(await page.$eval("#reset-password-error", (error) => error.textContent), "");
  }));

  test("\"Send again\" waits for the cooldown and asks once more for the same address", () => inTab(async (page) => {
    const before = server.asked.length;
    await ask(page, server.url, EMAIL);
    assert.match(await page.$eval("#sent-again", (button) => button.textContent), /^Send again in (1:00|0:59)$/);
    await page.click("#sent-again");
    assert.equal(server.asked.length, before + 1, "within the cooldown, nothing is sent");
    await states["sent-again"](page, server.url);
    const asked = server.asked.slice(before + 1);
    assert.deepEqual(asked.map(({ email }) => email), ["impatient@example.com", "impatient@example.com"]);
    assert.deepEqual(asked[0].locale, "en");
  }));

  test("an address is shown as it was typed, whatever characters it has", () => inTab(async (page) => {
    const email = "{ada}<b>&email;@example.com";
    await ask(page, server.url, email);
    assert.equal(await page.$eval("#sent-intro strong", (strong) => strong.textContent), email);
    assert.match(await page.$eval("#sent-intro", (intro) => intro.textContent), /The link works for 1 hour\.$/);
  }));

  test("an address that its field cuts off is shown whole below it", () => inTab(async (page) => {
    const whole = () => page.$eval("#reset-email-whole", (hint) => (hint.hidden ? null : hint.textContent));
    await page.setViewport({ width: 1280, height: 800 });
    await states.reset(page, server.url);
    assert.equal(await whole(), null);
    await page.setViewport({ width: 320, height: 800 });
    await page.waitForSelector("#reset-email-whole:not([hidden])");
    assert.equal(await whole(), EMAIL);
    await states["reset-long"](page, server.url);
    assert.equal(await whole(), LONG);
  }));

  test("the page says what the API says", () => inTab(async (page) => {
    const said = (selector) => page.$eval(selector, (element) => element.textContent);
    for (const [email, words] of [
      ["too-many@example.com", "Too many attempts. Try again in 2 minutes."],
      ["unavailable@example.com", "We can't do this right now. Try again in 2 seconds."],
      ["our-fault@example.com", "Something went wrong on our side. Try again later."],
      ["silence@example.com", "The server did not answer. Check your connection and try again."],
    ]) {
      await ask(page, server.url, email);
      assert.equal(await said("#forgot-status .failed"), words);
    }
    await ask(page, server.url, "malformed@example.com");
    assert.equal(await said("#forgot-email-error"), "Enter an email address, like ada@example.com.");
    await save(page, `${server.url}?${whole}`, "a long password");
    assert.equal(await said("#reset-password-error"), "Use at most 256 characters.");
    await save(page, `${server.url}?${whole}`, "a silent password");
    assert.match(await said("#reset-status .failed"), /your password may or may not be changed/);
  }));

  test("after the change, \"Sign in\" leads on, and nothing is kept", () => inTab(async (page) => {
    await states.done(page, server.url);
    const kept = () => localStorage.length + sessionStorage.length + document.cookie.length;
    assert.equal(await page.evaluate(kept), 0);
    assert.equal(await page.$eval("#done a.primary", (link) => link.textContent), "Sign in");
    await Promise.all([page.waitForNavigation(), page.click("#done a.primary")]);
    assert.equal(new URL(page.url()).pathname, "/sign-in");
  }));

  test("German browsers get German, and ask for German emails", () => inTab(async (page) => {
    const before = server.asked.length;
    await ask(page, server.url, EMAIL);
    assert.equal(await page.$eval("html", (html) => html.lang), "de");
    assert.equal(await page.$eval("#sent-title", (title) => title.textContent), "Sehen Sie in Ihr Postfach");
    assert.match(await page.$eval("#sent-intro", (intro) => intro.textContent), /Der Link gilt 1 Stunde\./);
    assert.equal(server.asked[before].locale, "de");
    await states["reset-mistakes"](page, server.url);
    assert.equal(await page.$eval("#reset-password-error", (error) => error.textContent), "Verwenden Sie mindestens 8 Zeichen.");
  }, () => Object.defineProperty(navigator, "languages", { value: ["fr-FR", "de-AT", "en"] })));

  test("a browser without AbortSignal.timeout works (carbon-app#1415)", () => inTab(async (page) => {
    await states.done(page, server.url);
    assert.ok(await page.$("#done:not([hidden])"));
    await states.sent(page, server.url);
    assert.ok(await page.$("#sent:not([hidden])"));
  }, () => { delete AbortSignal.timeout; }));

  test("a browser without ARIA reflection works (origami#662)", () => inTab(async (page) => {
    await states["reset-mistakes"](page, server.url);
    assert.equal(await page.$eval("#reset-password", (field) => field.getAttribute("aria-invalid")), "true");
    await states["reset-shown"](page, server.url);
    assert.equal(await page.$eval("#reset-toggle", (toggle) => toggle.getAttribute("aria-pressed")), "true");
    await states["sent-again"](page, server.url);
    await states.done(page, server.url);
    assert.ok(await page.$("#done:not([hidden])"));
  }, () => {
    for (const name of Object.getOwnPropertyNames(Element.prototype)) {
      if (name.startsWith("aria")) delete Element.prototype[name];
    }
  }));

  test("a mistake of the page itself is not the network's", () => inTab(async (page) => {
    await ask(page, server.url, EMAIL);
    assert.match(await page.$eval("#forgot-status .failed", (text) => text.textContent), /went wrong on this page/);
  }, () => { JSON.stringify = () => { throw new TypeError("a mistake"); }; }));

  // Firefox has no such switch for WebDriver.
  if (name === "chrome") test("without JavaScript, the page says what it needs", () => inTab(async (page) => {
    await page.setJavaScriptEnabled(false);
    await page.goto(server.url);
    const visible = await page.$$eval("main .card", (all) => all.filter((one) => !one.hidden).map((one) => one.textContent.trim()));
    assert.deepEqual(visible, ["This page needs JavaScript to set a new password. Turn it on, and reload the page."]);
  }));
});

/** The contrast of a read-only field's border with what is around it (WCAG 2.2, 1.4.11). axe looks at text only. */
function borderContrast() {
  const field = document.querySelector("section:not([hidden]) input[readonly]");
  if (!field) return null;
  const luminance = (color) => {
    const [red, green, blue] = color.match(/[\d.]+/g).slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const border = luminance(getComputedStyle(field).borderTopColor);
  const ground = luminance(getComputedStyle(field.closest(".card")).backgroundColor);
  return (Math.max(border, ground) + 0.05) / (Math.min(border, ground) + 0.05);
}

function focused(page) {
  return page.evaluate(() => document.activeElement.id);
}
